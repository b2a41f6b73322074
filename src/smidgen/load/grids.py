"""Grids that a model brings along: from `on_grid` nodes, which follow values through the loader, to values.

Rounding commutes with moving elements and with a maximum, so operators that do only this pass grids on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smidgen.formats import Grid
from smidgen.graph import Graph, Node
from smidgen.lower.grids import KEEPS_GRID, fused_activation
from smidgen.lower.widths import CLAMPS

ON_GRID = "on_grid"


def grid_attrs(grid: Grid) -> Mapping[str, Any]:
    """The attributes of an `on_grid` node."""
    return {"scale": grid.scale, "zero": grid.zero, "bits": grid.bits}


def declared(graph: Graph) -> Graph:
    """`graph` without `on_grid` nodes: their grids belong to values."""
    marks = [node.name for node in graph.nodes if node.op == ON_GRID]
    for name in marks:
        graph = _on_value(graph, graph.node(name))
    return _passed_back(_passed_on(graph)) if marks else graph


def _on_value(graph: Graph, mark: Node) -> Graph:
    """The mark's grid on the value it reads, if all readers see the same; else on a copy of that value."""
    name, grid = mark.inputs[0], Grid(**mark.attrs)
    value, readers = graph.values[name], graph.consumers(name)
    alike = all(reader.op == ON_GRID and reader.attrs == mark.attrs for reader in readers)
    free = value.grid is None and alike and name not in graph.outputs and not _in_real_numbers(graph, name)
    if value.grid == grid or free:
        graph = graph.replace(mark.name).with_values({name: replace(value, grid=grid)})
        return graph.rename_value(mark.output, name)
    copy = Node(mark.name, "reshape", mark.inputs, mark.outputs, attrs={"shape": value.shape})
    made = replace(graph.values[mark.output], grid=grid)
    return graph.replace(mark.name, copy).with_values({mark.output: made})


def _in_real_numbers(graph: Graph, name: str) -> bool:
    """Is the value made by a layer whose weights no integer kernel multiplies with?"""
    node = graph.producer(name)
    if node is not None and node.op in CLAMPS and (before := graph.producer(node.inputs[0])) is not None:
        node = before if fused_activation(graph, before) == node else node
    weight = node.params.get("weight") if node is not None else None
    return weight is not None and graph.weights[weight].integers() is None


def _passed_on(graph: Graph) -> Graph:
    values = dict(graph.values)
    for node in graph.nodes:
        if keeps_grid(node) and values[node.output].grid is None:
            values[node.output] = replace(values[node.output], grid=values[node.inputs[0]].grid)
    return replace(graph, values=values)


def _passed_back(graph: Graph) -> Graph:
    values = dict(graph.values)
    for node in reversed(graph.nodes):
        source = node.inputs[0] if node.inputs else ""
        if not keeps_grid(node) or values[source].grid is not None or source in graph.outputs:
            continue
        if len(graph.consumers(source)) == 1 and not _in_real_numbers(graph, source):
            values[source] = replace(values[source], grid=values[node.output].grid)
    return replace(graph, values=values)


def keeps_grid(node: Node) -> bool:
    """Does the node only move elements, or choose among them?"""
    return node.op in KEEPS_GRID and not (node.op == "pad" and node.attrs["value"] != 0)
