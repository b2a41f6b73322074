"""Which values need a grid of their own, which share one, and which disappear into a fused activation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from smidgen.formats import Grid
from smidgen.graph import Graph, Node

KEEPS_GRID = frozenset({"max_pool", "reshape", "transpose", "pad"})
FUSES = frozenset({"linear", "conv", "add"})
CLAMPS: Mapping[str, tuple[float, float]] = {"relu": (0.0, float("inf")), "relu6": (0.0, 6.0)}
# Functions whose range is known: the grid needs no calibration.
FIXED: Mapping[str, Grid] = {
    "sigmoid": Grid(1 / 256, -128),
    "hardsigmoid": Grid(1 / 256, -128),
    "softmax": Grid(1 / 256, -128),
    "tanh": Grid(1 / 128, 0),
}


# Features of one input differ in range, so trees compare 16 bits of it: a RAM cost of one byte a feature.
TREE_INPUT_BITS = 16


def fixed_grids(graph: Graph) -> dict[str, Grid]:
    """The grids that need no calibration, by owner: known ranges, and inputs that only trees read."""
    found = {n.output: FIXED[n.op] for n in graph.nodes if n.op in FIXED}
    return found | {name: grid for name in graph.inputs if (grid := _threshold_grid(graph, name))}


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
    """The clamp (relu, relu6) that becomes part of `node`'s saturation: its output's only reader."""
    if node.op not in FUSES or node.output in graph.outputs:
        return None
    readers = graph.consumers(node.output)
    return readers[0] if len(readers) == 1 and readers[0].op in CLAMPS else None


def grid_owners(graph: Graph) -> dict[str, str]:
    """value -> the value whose grid it uses (itself for most). Values inside a fusion are left out."""
    owners = {name: name for name in graph.inputs}
    for node in graph.nodes:
        if fused_activation(graph, node):
            continue
        keeps = node.op in KEEPS_GRID and not (node.op == "pad" and node.attrs["value"] != 0)
        for out in node.outputs:
            owners[out] = owners[node.inputs[0]] if keeps else out
    return owners


def with_grids(graph: Graph, grids: Mapping[str, Grid]) -> Graph:
    """Declare grids: `grids` by owner, spread to all values that share them; FIXED ones are filled in."""
    known = {**grids, **fixed_grids(graph)}
    changed = {
        value: replace(graph.values[value], grid=known[owner])
        for value, owner in grid_owners(graph).items()
        if owner in known
    }
    return graph.with_values(changed)


def trainable_grids(graph: Graph) -> dict[str, Grid]:
    """The declared grids that calibration or training may move, by owner."""
    fixed = fixed_grids(graph)
    found: dict[str, Grid] = {}
    for owner in dict.fromkeys(grid_owners(graph).values()):
        grid = graph.values[owner].grid
        if grid is not None and owner not in fixed:
            found[owner] = grid
    return found
