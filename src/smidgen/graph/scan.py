"""Recurrence: a `scan` node runs its body, a graph for one step, over the first axis of its input.

    body inputs    x_t, then one state each                        [..]
    body outputs   sequence outputs, then the next states, as many as there are states
    node inputs    x [T, ..], then the initial states (none: all start at zero)
    node outputs   a [T, ..] for each sequence output, then the final states

The body's weights belong to the outer graph: they are the node's params, each under its own name as role, so
that tying, slicing and coding see them like any other. The body itself is stored without weights. `reverse`
runs from the last step to the first; the i-th row of a sequence output still belongs to the i-th input.
`kind` names what the body computes (`gru`, `lstm`, `custom`), for kernels and exports that know it; the body
is the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from smidgen.formats import Format

if TYPE_CHECKING:
    from smidgen.graph.core import Graph, Node, Value

SCANS = frozenset({"scan", "q.scan"})


def body_of(node: Node, weights: Mapping[str, Format] | None = None) -> Graph:
    """The body of a scan node; with `weights` (the outer graph's), those that it uses are in it."""
    body: Graph = node.attrs["body"]
    return body if weights is None else replace(body, weights={n: weights[n] for n in node.params})


def with_body(node: Node, body: Graph) -> Node:
    """The scan node with another body: its params follow, the body is stored without weights."""
    used = dict.fromkeys(weight for inner in walk(body.nodes) for weight in inner.params.values())
    attrs = {**node.attrs, "body": replace(body, weights={})}
    return replace(node, params={name: name for name in used}, attrs=attrs)


def walk(nodes: Iterable[Node]) -> Iterator[Node]:
    """All nodes in order, each scan followed by the nodes of its body."""
    for node in nodes:
        yield node
        if node.op in SCANS:
            yield from walk(node.attrs["body"].nodes)


def states_of(node: Node) -> tuple[str, ...]:
    """The body's inputs that carry the state from step to step."""
    return tuple(node.attrs["body"].inputs[1:])


def sequences_of(node: Node) -> tuple[str, ...]:
    """The body's outputs of which every step is kept."""
    body: Graph = node.attrs["body"]
    return tuple(body.outputs[: len(body.outputs) - len(states_of(node))])


def next_states_of(node: Node) -> tuple[str, ...]:
    """The body's outputs that become the state of the next step, in the order of `states_of`."""
    body: Graph = node.attrs["body"]
    return tuple(body.outputs[len(body.outputs) - len(states_of(node)) :])


def carried_states(graph: Graph) -> dict[str, str]:
    """Next value of a state -> the state, for all scans and for what a user feeds back."""
    scans = (node for node in walk(graph.nodes) if node.op in SCANS)
    return {made: given for given, made in graph.states} | {
        following: state
        for node in scans
        for following, state in zip(next_states_of(node), states_of(node), strict=True)
    }


def steps_of(node: Node, values: Mapping[str, Value]) -> int:
    """How often the body runs: the length of the input's first axis."""
    return values[node.inputs[0]].shape[0]


def fitted(node: Node, values: Mapping[str, Value]) -> Node:
    """The node with a body for inputs of the shapes in `values`; its own shapes still need `inferred`."""
    body = body_of(node)
    x = replace(body.values[body.inputs[0]], shape=values[node.inputs[0]].shape[1:])
    return replace(
        node, attrs={**node.attrs, "body": replace(body, values={**body.values, body.inputs[0]: x})}
    )


def scan_shapes(
    node: Node, values: Mapping[str, Value], weights: Mapping[str, Format]
) -> tuple[tuple[int, ...], ...]:
    """Shapes of the node's outputs. Raises ValueError or IllegalGraph if the body does not fit its node."""
    body, states = body_of(node, weights), states_of(node)
    x = values[node.inputs[0]].shape
    if not x or x[0] < 1 or body.values[body.inputs[0]].shape != x[1:]:
        raise ValueError(f"the body takes {list(body.values[body.inputs[0]].shape)} a step")
    if len(body.outputs) < len(states):
        raise ValueError(f"{len(body.outputs)} outputs of the body for {len(states)} states")
    body.check()
    for state, following in zip(states, next_states_of(node), strict=True):
        if body.values[state].shape != body.values[following].shape:
            raise ValueError(f"state {state!r} becomes {following!r} of another shape")
    for state, given in zip(states, node.inputs[1:]):
        if body.values[state].shape != values[given].shape:
            raise ValueError(f"state {state!r} starts as {given!r} of another shape")
    if len(node.inputs) not in (1, 1 + len(states)):
        raise ValueError(f"{len(node.inputs) - 1} initial states are given, the body has {len(states)}")
    kept = [(x[0], *body.values[name].shape) for name in sequences_of(node)]
    return (*kept, *(body.values[name].shape for name in states))
