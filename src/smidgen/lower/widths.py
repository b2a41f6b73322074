"""Which values have 16 bits: in the body of a recurrence, and between the states of a streaming network.

What a weighted layer multiplies (and what a user reads) has 8 bits. All else that is carried from step to
step has 16, zero point 0 and a power of two as scale: it is read again at every step, so its rounding would
add up (docs/DESIGN.md, D4). A network with states is a body whose loop is the user's.
"""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.graph import Graph, Node
from smidgen.graph.activations import SMOOTH, STEEP, UNIPOLAR
from smidgen.graph.scan import body_of, sequences_of

RECTIFIERS: Mapping[str, tuple[float, float]] = {"relu": (0.0, float("inf")), "relu6": (0.0, 6.0)}
# What becomes part of the saturation of the layer before it. Those of few bits have a grid of their own.
CLAMPS: Mapping[str, tuple[float, float]] = {**RECTIFIERS, **dict.fromkeys(UNIPOLAR, (0.0, 1.0))}
WIDE_MAKERS = frozenset({"linear", "matmul", "add", "sub", "mul", "constant", *RECTIFIERS, *SMOOTH})
WIDE_READERS = WIDE_MAKERS - {"linear", "matmul"} | {"softmax", "normalize"}
WIDE_MOVES = frozenset({"slice", "gather", "reshape", "transpose", "concat"})  # bytes, however many each
_TABLES = frozenset({*SMOOTH, *STEEP}) - CLAMPS.keys()


def wide_in_body(node: Node, owners: Mapping[str, str]) -> set[str]:
    """The owners among the values of a scan's body that have 16 bits."""
    body = body_of(node)
    narrow = {owners[name] for name in (body.inputs[0], *sequences_of(node))}
    narrow |= _narrow_owners(body, owners, narrow)
    return {owners[name] for name in body.values if name in owners} - narrow


def wide_in_stream(graph: Graph, owners: Mapping[str, str]) -> set[str]:
    """The owners among a streaming network's values that have 16 bits: those between its states."""
    carried = _between_states(graph)
    ports = {*graph.inputs, *graph.outputs} - {name for pair in graph.states for name in pair}
    narrow = {owners[name] for name in {*ports, *(graph.values.keys() - carried)} if name in owners}
    narrow |= _narrow_owners(graph, owners, narrow)
    return {owners[name] for name in carried if name in owners and owners[name] in graph.values} - narrow


def state_parts(graph: Graph) -> frozenset[str]:
    """The states that a streaming network is given, and what is only a part or a view of them."""
    found = {given for given, _ in graph.states}
    for node in graph.nodes:
        if node.op in WIDE_MOVES and node.inputs and set(node.inputs) <= found:
            found.update(node.outputs)
    return frozenset(found)


def _between_states(graph: Graph) -> set[str]:
    """The values that depend on a state and that a state depends on."""
    after = {given for given, _ in graph.states}
    for node in graph.nodes:
        if after & set(node.inputs):
            after.update(node.outputs)
    before = {made for _, made in graph.states}
    for node in reversed(graph.nodes):
        if before & set(node.outputs):
            before.update(node.inputs)
    return after & before


def _narrow_owners(graph: Graph, owners: Mapping[str, str], ports: set[str]) -> set[str]:
    """The owners that have 8 bits because of a node's kernels, where those of `ports` have."""
    narrow = ports | {owners[v] for node in graph.nodes for v in _narrowed(graph, node) if v in owners}
    for node in graph.nodes:  # a table of 8-bit entries makes 8 bits; nodes come in order
        if node.op in _TABLES and owners.get(node.inputs[0]) in narrow and node.output in owners:
            narrow.add(owners[node.output])
    return narrow


def _narrowed(graph: Graph, node: Node) -> tuple[str, ...]:
    """What 8 bits follow for from a node's kernels."""
    if node.op == "scan":
        return node.inputs[:1]  # its states are brought to the body's grids
    if node.op in WIDE_MOVES:
        return ()
    read = node.inputs if node.op not in WIDE_READERS else ()
    # A clamp becomes part of its layer.
    makes = graph.producer(node.inputs[0]) if node.op in RECTIFIERS else node
    made = node.outputs if makes is None or makes.op not in {*WIDE_MAKERS, *WIDE_MOVES} else ()
    return (*read, *made)
