"""A streaming network over a whole stream, the inverse of `streaming`: it is trained and judged at once."""

from __future__ import annotations

from dataclasses import replace

from smidgen.errors import Unsupported
from smidgen.graph.build import GraphBuilder
from smidgen.graph.core import Graph, Node, Value
from smidgen.graph.names import unused
from smidgen.graph.scan import body_of, states_of, steps_of

NAME = "stream"


def over_sequence(graph: Graph, steps: int) -> Graph:
    """`graph`, for one chunk and its states, as a graph over `steps` chunks [steps, ...] that starts at rest.

    Its states become those of a scan. Every output that is no state becomes a sequence [steps, ...].

    Raises:
        Unsupported: `graph` has no states, more than one input besides, or nothing to show but states.
    """
    fed, made = dict(graph.states), [made for _, made in graph.states]
    free = [name for name in graph.inputs if name not in fed]
    shown = [name for name in graph.outputs if name not in made]
    if not fed or len(free) != 1 or not shown:
        found = f"{len(fed)} states, other inputs {free or 'none'}, other outputs {shown or 'none'}"
        raise Unsupported(graph.name, found, "a stream has one input, states and an output", "Pass --state")
    body = _without_single_steps(graph)
    body = replace(body, inputs=(*free, *fed), outputs=(*shown, *fed.values()), states=())
    taken = {*body.values, *(node.name for node in body.walk())}
    builder = GraphBuilder(graph.name)
    chunks = builder.input(unused(taken, f"{free[0]}.chunks"), (steps, *graph.values[free[0]].shape))
    outputs = builder.scan(chunks, body, name=unused(taken, NAME))
    return builder.graph(outputs[: len(shown)])


def _without_single_steps(graph: Graph) -> Graph:
    """The bodies of scans over one step, with their states given, in the place of the scans."""
    for node in graph.nodes:
        if (
            node.op == "scan"
            and steps_of(node, graph.values) == 1
            and len(node.inputs) > len(states_of(node))
        ):
            graph = _inlined(graph, node)
    return graph


def _inlined(graph: Graph, node: Node) -> Graph:
    body = body_of(node)
    step, shape = f"{node.name}.step", body.values[body.inputs[0]].shape
    given = dict(zip(body.inputs, (step, *node.inputs[1:]), strict=True))
    values: dict[str, Value] = {name: v for name, v in body.values.items() if name not in given}
    values[step] = Value(shape)
    nodes = [Node(step, "reshape", node.inputs[:1], (step,), {}, {"shape": shape})]
    nodes += [replace(n, inputs=tuple(given.get(name, name) for name in n.inputs)) for n in body.nodes]
    for out, source in zip(node.outputs, body.outputs, strict=True):
        attrs = {"shape": graph.values[out].shape}
        nodes.append(Node(f"{out}.shown", "reshape", (given.get(source, source),), (out,), {}, attrs))
    return graph.with_values(values).replace(node.name, *nodes)
