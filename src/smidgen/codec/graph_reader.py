"""Lists from a file back to a checked graph. Nothing in them is trusted: whatever is wrong raises BadFile."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from typing import Any

from smidgen.codec.graph_lists import DTYPES, default_weight_name
from smidgen.codec.plain import LONGEST, entry, expect, from_plain, pair
from smidgen.codec.store import Numbering
from smidgen.errors import BadFile, IllegalGraph
from smidgen.formats import Format, Grid
from smidgen.graph import Graph, Node, Value
from smidgen.graph.ops import OPS

MOST_ELEMENTS = 2**31
GRID_BITS = range(1, 33)
UNSUITABLE = (IllegalGraph, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)


def read_graph(lists: Any, store: Sequence[Format]) -> Graph:
    """The graph that `GraphLister` listed. Raises BadFile."""
    parts = expect(lists, list, "a graph")
    if len(parts) != 6:
        raise BadFile("structure", f"a graph with {len(parts)} parts", "it has 6")
    return _GraphReader(parts, store).graph()


class _GraphReader:
    def __init__(self, parts: list[Any], store: Sequence[Format]) -> None:
        name, inputs, nodes, outputs, weights, grids = parts
        self.name = expect(name, str, "a graph's name")
        self.inputs, self.nodes = expect(inputs, list, "inputs"), expect(nodes, list, "nodes")
        self.outputs, self.stored = expect(outputs, list, "outputs"), expect(weights, list, "weights")
        self.grids = [_grid(grid) for grid in expect(grids, list, "grids")]
        self.store = list(store)
        self.names: list[str] = []
        self.values: dict[str, Value] = {}
        self.numbering, self.store_numbering = Numbering(), Numbering()
        self.weight_names: list[str] = []
        self.weights: dict[str, Format] = {}

    def graph(self) -> Graph:
        for item in self.inputs:
            name, shape, code = self._fields(item, 3, "an input")
            self._make(expect(name, str, "an input's name"), code, _shape(shape))
        inputs = tuple(self.names)
        nodes = tuple(self._node(item) for item in self.nodes)
        outputs = tuple(entry(self.names, number, "output value") for number in self.outputs)
        bare = Graph(self.name, nodes, self.values, self.weights, inputs, outputs)
        try:
            graph = bare.inferred()
            graph.check()
        except UNSUITABLE as problem:
            raise BadFile("graph", str(problem).rstrip(".")) from problem
        for name, value in graph.values.items():
            if len(value.shape) > LONGEST or not 0 <= math.prod(value.shape) < MOST_ELEMENTS:
                raise BadFile(
                    "graph", f"value {name!r} has shape {list(value.shape)[:LONGEST]}", "it is too large"
                )
        return graph

    def _node(self, item: Any) -> Node:
        op, name, codes, inputs, params, attrs, outputs = self._fields(item, 7, "a node")
        op, name = expect(op, str, "an operator"), expect(name, str, "a node's name")
        if op not in OPS:
            raise BadFile(name, f"unknown operator {op!r}", "", "Update smidgen to read this file")
        numbers = [len(self.names) - 1] if inputs is None else expect(inputs, list, "inputs")
        read = tuple(entry(self.names, number, f"{name}: input value") for number in numbers)
        roles = expect(params or {}, dict, "params")
        weights = {role: self._weight(name, role, number) for role, number in roles.items()}
        made = [name] if outputs is None else expect(outputs, list, "output names")
        listed = codes if isinstance(codes, list) else [codes or 0]
        if len(listed) != len(made):
            raise BadFile(name, f"{len(made)} outputs and {len(listed)} values")
        for output, code in zip(made, listed, strict=True):
            self._make(expect(output, str, "an output's name"), code, ())
        return Node(name, op, read, tuple(made), weights, from_plain(expect(attrs or {}, dict, "attributes")))

    def _fields(self, item: Any, count: int, what: str) -> list[Any]:
        """The entries of a list; those left out at its end are None."""
        fields = expect(item, list, what)
        if len(fields) > count:
            raise BadFile("structure", f"{what} with {len(fields)} entries", f"it has at most {count}")
        return fields + [None] * (count - len(fields))

    def _make(self, name: str, code: Any, shape: tuple[int, ...]) -> None:
        number = expect(code, int, f"value {name!r}")
        if number < 0 or name in self.values:
            raise BadFile("structure", f"value {name!r} is declared twice or has code {number}")
        dtype = entry(list(DTYPES), number >> 1 & 7, "data type")
        grid = entry(self.grids, (number >> 4) - 1, "grid") if number >> 4 else None
        self.values[name] = Value(shape, dtype, grid, batched=not number & 1)
        self.names.append(name)

    def _weight(self, node: str, role: Any, number: Any) -> str:
        local = self.numbering.number(number)
        if local == len(self.weight_names):
            stored = entry(self.stored, local, f"{node}: weight")
            index, name = pair(stored, "a named weight") if isinstance(stored, list) else (stored, None)
            name = (
                default_weight_name(node, str(role)) if name is None else expect(name, str, "a weight's name")
            )
            if name in self.weights:
                raise BadFile("structure", f"two weights are called {name!r}")
            self.weights[name] = entry(
                self.store, self.store_numbering.number(index), f"{node}: stored weight"
            )
            self.weight_names.append(name)
        return entry(self.weight_names, local, f"{node}: weight")


def _grid(item: Any) -> Grid:
    fields = expect(item, list, "a grid")
    if len(fields) != 3:
        raise BadFile("structure", f"a grid with {len(fields)} entries", "it has 3")
    scale, zero, bits = fields
    if type(scale) is int and 0 <= scale < 2**32:
        scale = struct.unpack("<f", struct.pack("<I", scale))[0]
    zero, bits = expect(zero, int, "a zero point"), expect(bits, int, "a grid's bits")
    if type(scale) is not float or not (math.isfinite(scale) and scale > 0) or bits not in GRID_BITS:
        raise BadFile("structure", f"a grid with scale {scale!r} and {bits} bits")
    grid = Grid(scale, zero, bits)
    if not grid.qmin <= zero <= grid.qmax:
        raise BadFile("structure", f"zero point {zero}", f"a {bits}-bit grid has no such integer")
    return grid


def _shape(shape: Any) -> tuple[int, ...]:
    sizes = expect(shape, list, "a shape")
    if len(sizes) > LONGEST or not all(type(n) is int and 0 <= n < MOST_ELEMENTS for n in sizes):
        raise BadFile(
            "structure", f"shape {sizes[:LONGEST]}", "a shape is a short list of non-negative sizes"
        )
    return tuple(sizes)
