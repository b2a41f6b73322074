"""Which values need a grid of their own, which share one, and which disappear into a fused activation.

Which of them have 16 bits: see widths.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from smidgen.formats import Grid
from smidgen.graph import Graph, Node
from smidgen.graph.activations import UNIPOLAR
from smidgen.graph.overwrite import code_grid
from smidgen.graph.scan import body_of, next_states_of, sequences_of, states_of, with_body
from smidgen.lower.bits import makes_bits
from smidgen.lower.widths import CLAMPS, state_parts, wide_in_body, wide_in_stream

KEEPS_GRID = frozenset({"max_pool", "reduce_max", "reshape", "transpose", "pad", "slice", "spread", "gather"})
FUSES = frozenset({"linear", "conv", "add", "sub"})
# Functions whose range is known: the grid needs no calibration.
FIXED: Mapping[str, Grid] = {
    "sigmoid": Grid(1 / 256, -128),
    "hardsigmoid": Grid(1 / 256, -128),
    "softmax": Grid(1 / 256, -128),
    "tanh": Grid(1 / 128, 0),
    "step": Grid(1.0, 0),  # 0 and 1 are exact, as factors and as terms
    "sign": Grid(1.0, 0),
    "binarize": Grid(1.0, 0),
    **{name: Grid.from_range(0.0, 1.0, bits) for name, bits in UNIPOLAR.items()},
}
GATES = frozenset({"sigmoid", "tanh", "hardsigmoid"})
PARTS = frozenset({"slice", "reshape", "transpose"})
GATE_SUM = Grid(2.0**-12, 0, 16)  # +-8: beyond, a sigmoid differs from its limit by less than 2^-11
GATE = Grid(2.0**-15, 0, 16)


# Features of one input differ in range, so trees compare 16 bits of it: a RAM cost of one byte a feature.
TREE_INPUT_BITS = 16


def _threshold_grid(graph: Graph, name: str) -> Grid | None:
    """The grid that spans all thresholds, if nothing but trees sees the value `name`: what lies beyond them
    compares the same when it saturates.
    """
    readers, thresholds = list(graph.consumers(name)), []
    while readers:
        node = readers.pop()
        if node.op == "reshape" and node.output not in graph.outputs:
            readers += graph.consumers(node.output)
        elif node.op == "trees":
            thresholds.append(graph.weights[node.params["threshold"]].decode())
        else:
            return None
    if not thresholds:
        return None
    lo, hi = min(float(t.min()) for t in thresholds), max(float(t.max()) for t in thresholds)
    # A step of room on each side: the input can then lie on either side of every threshold.
    room = 2 * (max(hi, 0.0) - min(lo, 0.0) or 1.0) / (1 << TREE_INPUT_BITS)
    return Grid.from_range(lo - room, hi + room, TREE_INPUT_BITS)


def fused_activation(graph: Graph, node: Node) -> Node | None:
    """What becomes part of `node`, as its output's only reader: a clamp (relu, relu6) of its saturation, a
    `binarize` of its comparison with a threshold.
    """
    if node.op not in FUSES or node.output in graph.outputs:
        return None
    readers = graph.consumers(node.output)
    if len(readers) != 1:
        return None
    (reader,) = readers
    return reader if reader.op in CLAMPS or makes_bits(graph, node, reader) else None


def grid_owners(graph: Graph) -> dict[str, str]:
    """value -> the value whose grid it uses (itself for most), the values of scan bodies included.

    Values inside a fusion are left out. A state owns the grid of all that it is in other steps or outside.
    Parts of a state that a user feeds back have grids of their own: what is stacked differs in range.
    """
    owners = {name: name for name in graph.inputs}
    parts = state_parts(graph)
    for node in graph.nodes:
        if node.op == "scan":
            owners.update(_scan_owners(graph, node, owners))
        elif not fused_activation(graph, node):
            keeps = node.op in KEEPS_GRID and not (node.op == "pad" and node.attrs["value"] != 0)
            keeps &= not (node.op in ("slice", "gather") and node.inputs[0] in parts)
            for out in node.outputs:
                owners[out] = owners[node.inputs[0]] if keeps else out
    same = _fed_back(graph, owners)
    return {name: same.get(owner, owner) for name, owner in owners.items()}


def _fed_back(graph: Graph, owners: Mapping[str, str]) -> dict[str, str]:
    """Owner of a state that is returned -> that of the state that is given: one grid for all chunks.

    What other layers read of a scan's state has a grid that suits them.
    """
    found = {}
    for given, made in graph.states:
        inside = owners[given] not in graph.values
        if owners[made] in graph.values and not (inside and graph.consumers(made)):
            found[owners[made]] = owners[given]
    return found


def own_grid(graph: Graph, node: Node) -> Grid | None:
    """The grid that an operator's rule makes, whatever is asked for; None where it makes any."""
    if node.op == "softmax":
        return FIXED["softmax"]
    if node.op == "overwrite":
        return code_grid(node.attrs)
    return graph.values[node.inputs[0]].grid if node.op in KEEPS_GRID else None


def _scan_owners(graph: Graph, node: Node, owners: Mapping[str, str]) -> dict[str, str]:
    body, states = body_of(node), states_of(node)
    fed = tuple(zip(states, next_states_of(node), strict=True))
    inner = grid_owners(replace(body, states=fed))
    same = {inner[following]: state for following, state in zip(next_states_of(node), states, strict=True)}
    same[body.inputs[0]] = owners[node.inputs[0]]
    found = {value: same.get(owner, owner) for value, owner in inner.items()}
    wide = wide_in_body(node, found)
    kept = sequences_of(node)
    found.update({out: found[value] for out, value in zip(node.outputs, kept)})
    for out, state in zip(node.outputs[len(kept) :], states, strict=True):
        elsewhere = any(reader.op != "scan" for reader in graph.consumers(out))
        found[out] = out if found[state] in wide and elsewhere else found[state]
    for given, state in zip(node.inputs[1:], states):
        if given in graph.inputs:
            found[given] = found[state]
    return found


def scopes(graph: Graph) -> Iterator[Graph]:
    """The graph and all bodies inside."""
    yield graph
    for node in graph.nodes:
        if node.op == "scan":
            yield from scopes(body_of(node))


def wide_owners(graph: Graph) -> frozenset[str]:
    """The owners that have 16 bits."""
    owners = grid_owners(graph)
    scans = (node for scope in scopes(graph) for node in scope.nodes if node.op == "scan")
    found = {owner for node in scans for owner in wide_in_body(node, owners)}
    return frozenset(found | (wide_in_stream(graph, owners) if graph.states else set()))


def fixed_grids(graph: Graph) -> dict[str, Grid]:
    """The grids, by owner, that follow from the graph alone."""
    owners, wide, found = grid_owners(graph), wide_owners(graph), dict[str, Grid]()
    for scope in scopes(graph):
        for node in scope.nodes:
            owner = owners.get(node.outputs[0], "")
            if node.op in FIXED:
                found[owner] = GATE if owner in wide else FIXED[node.op]
            elif node.op == "overwrite":
                found[owner] = code_grid(node.attrs)
                if _feeds_alone(scope, owners, node):
                    found[owners[node.inputs[0]]] = found[owner]
            elif node.op == "embedding":
                found[owners[node.inputs[0]]] = index_grid(graph.weights[node.params["weight"]].shape[0])
            elif owner in wide and owner == node.output and _read_by_gates(scope, owner):
                found[owner] = GATE_SUM
    for node in (node for scope in scopes(graph) for node in scope.nodes if node.op == "concat"):
        parts = {found.get(owners[name]) for name in node.inputs}
        if len(parts) == 1 and (grid := parts.pop()) and owners[node.output] not in wide:
            found[owners[node.output]] = grid  # of bits, above all, which no other grid holds exactly
    return found | {name: grid for name in graph.inputs if (grid := _threshold_grid(graph, name))}


def _feeds_alone(scope: Graph, owners: Mapping[str, str], node: Node) -> bool:
    """Whether `node` is all that reads its input, and what shares the input's grid."""
    same = [name for name in scope.values if owners.get(name) == owners[node.inputs[0]]]
    readers = [reader for name in same for reader in scope.consumers(name)]
    inside = all(owners.get(reader.output) == owners[node.inputs[0]] for reader in readers if reader != node)
    return inside and not set(same) & set(scope.outputs)


def _read_by_gates(scope: Graph, value: str) -> bool:
    readers = scope.consumers(value)
    return bool(readers) and value not in scope.outputs and all(only_gates(scope, r) for r in readers)


def only_gates(scope: Graph, reader: Node) -> bool:
    """Whether a node is a gate, or hands what it reads, or parts of it, to nothing but gates."""
    return reader.op in GATES or (reader.op in PARTS and _read_by_gates(scope, reader.output))


def gate_terms(graph: Graph) -> dict[str, str]:
    """Owner -> the owner of the other term, for the 16-bit terms of sums that only gates read.

    A term beyond the gates' range plus what the other one can take back makes no difference.
    """
    owners, wide, fixed = grid_owners(graph), wide_owners(graph), fixed_grids(graph)
    found: dict[str, str] = {}
    for scope in scopes(graph):
        for node in scope.nodes:
            if node.op != "add" or fixed.get(owners.get(node.output, "")) != GATE_SUM:
                continue
            a, b = (owners[name] for name in node.inputs)
            terms = ((a, b), (b, a))
            found.update({t: other for t, other in terms if t in wide and len(scope.consumers(t)) == 1})
    return found


def index_grid(rows: int) -> Grid:
    """The grid of whole numbers 0..rows-1: every one is exact. Up to 65,536 rows."""
    bits = 8 if rows <= 256 else 16
    return Grid(1.0, -(1 << (bits - 1)), bits)


def with_grids(graph: Graph, grids: Mapping[str, Grid]) -> Graph:
    """Declare grids: `grids` by owner, spread to all values that share them; fixed ones are filled in.

    What is declared already stays unless `grids` names it.
    """
    before = declared_grids(graph)
    return _spread(graph, grid_owners(graph), {**fixed_grids(graph), **before, **grids}, before)


def _spread(
    graph: Graph, owners: Mapping[str, str], grids: Mapping[str, Grid], before: Mapping[str, Grid]
) -> Graph:
    changed = {
        name: replace(value, grid=grids[owners[name]])
        for name, value in graph.values.items()
        if owners.get(name) in grids and value.grid in (None, before.get(owners[name]))
    }
    nodes = tuple(
        with_body(node, _spread(body_of(node), owners, grids, before)) if node.op == "scan" else node
        for node in graph.nodes
    )
    return replace(graph.with_values(changed), nodes=nodes)


def declared_grids(graph: Graph) -> dict[str, Grid]:
    """The grids of a graph by owner."""
    values = {name: value for scope in scopes(graph) for name, value in scope.values.items()}
    owners = dict.fromkeys(grid_owners(graph).values())
    return {name: grid for name in owners if (grid := values[name].grid) is not None}


def trainable_grids(graph: Graph) -> dict[str, Grid]:
    """The declared grids that calibration or training may move, by owner; 16 bits have room enough."""
    fixed = fixed_grids(graph)
    declared = declared_grids(graph)
    return {name: grid for name, grid in declared.items() if name not in fixed and grid.bits <= 8}


def without_grids(graph: Graph) -> Graph:
    """The graph in real numbers, its bodies too."""
    values = {name: replace(value, grid=None) for name, value in graph.values.items()}
    nodes = tuple(
        with_body(node, without_grids(body_of(node))) if node.op == "scan" else node for node in graph.nodes
    )
    return replace(graph, values=values, nodes=nodes)
