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
    fixed = {n.output: FIXED[n.op] for n in graph.nodes if n.op in FIXED}
    known = {**grids, **fixed}
    changed = {
        value: replace(graph.values[value], grid=known[owner])
        for value, owner in grid_owners(graph).items()
        if owner in known
    }
    return graph.with_values(changed)


def trainable_grids(graph: Graph) -> dict[str, Grid]:
    """The declared grids that calibration or training may move, by owner."""
    fixed = {n.output for n in graph.nodes if n.op in FIXED}
    found: dict[str, Grid] = {}
    for owner in dict.fromkeys(grid_owners(graph).values()):
        grid = graph.values[owner].grid
        if grid is not None and owner not in fixed:
            found[owner] = grid
    return found
