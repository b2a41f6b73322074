"""Lists from a file back to a checked graph. Nothing in them is trusted: whatever is wrong raises BadFile."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from smidgen.codec.graph_lists import DTYPES, default_weight_name
from smidgen.codec.plain import LONGEST, entry, expect, from_plain, pair
from smidgen.codec.store import Numbering
from smidgen.errors import BadFile
from smidgen.formats import Format, Grid
from smidgen.graph import Graph, Node, Value
from smidgen.graph.core import MOST_ELEMENTS, UNSUITABLE
from smidgen.graph.ops import OPS
from smidgen.graph.scan import SCANS, body_of, with_body

GRID_BITS = range(1, 33)
DEEPEST_SCANS = 2  # every level is checked once more for each level above


def read_graph(lists: Any, store: Sequence[Format]) -> Graph:
    """The graph that `GraphLister` listed. Raises BadFile."""
    parts = expect(lists, list, "a graph")
    if len(parts) not in (6, 7):
        raise BadFile("structure", f"a graph with {len(parts)} parts", "it has 6 or 7")
    graph = _GraphReader(parts[:6], store).graph()
    return replace(graph, states=_states(graph, parts[6])) if len(parts) == 7 else graph


def _states(graph: Graph, item: Any) -> tuple[tuple[str, str], ...]:
    pairs = [pair(state, "a state") for state in expect(item, list, "states")]
    found = [
        (entry(graph.inputs, given, "a state's input"), entry(graph.outputs, made, "a state's output"))
        for given, made in pairs
    ]
    for names in zip(*found):
        if len(set(names)) < len(names):
            raise BadFile("structure", "an input or output is two states")
    for given, made in found:
        if graph.values[given].shape != graph.values[made].shape:
            raise BadFile("structure", f"state {given!r} is returned as {made!r} of another shape")
    return tuple(found)


class _GraphReader:
    """What the graph and its bodies share: grids, weights, and how deep bodies may lie."""

    def __init__(self, parts: list[Any], store: Sequence[Format]) -> None:
        name, *self.scope, weights, grids = parts
        self.name = expect(name, str, "a graph's name")
        self.stored = expect(weights, list, "weights")
        self.grids = [_grid(grid) for grid in expect(grids, list, "grids")]
        self.store = list(store)
        self.numbering, self.store_numbering = Numbering(), Numbering()
        self.weight_names: list[str] = []
        self.weights: dict[str, Format] = {}

    def graph(self) -> Graph:
        bare = replace(_ScopeReader(self, self.scope, 0).graph(self.name), weights=self.weights)
        try:
            graph = bare.inferred()
            graph.check()
        except UNSUITABLE as problem:
            raise BadFile("graph", str(problem).rstrip(".")) from problem
        for scope in (graph, *(body_of(node) for node in graph.walk() if node.op in SCANS)):
            _check_sizes(scope)
        return graph

    def weight(self, node: str, role: Any, number: Any) -> str:
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


class _ScopeReader:
    """The graph, or a body `depth` scans deep."""

    def __init__(self, shared: _GraphReader, parts: list[Any], depth: int) -> None:
        inputs, nodes, outputs = parts
        self.shared, self.depth = shared, depth
        self.inputs, self.nodes = expect(inputs, list, "inputs"), expect(nodes, list, "nodes")
        self.outputs = expect(outputs, list, "outputs")
        self.names: list[str] = []
        self.values: dict[str, Value] = {}

    def graph(self, name: str) -> Graph:
        """Without weights, its shapes not yet inferred."""
        for item in self.inputs:
            given, shape, code = self._fields(item, 3, "an input")
            self._make(expect(given, str, "an input's name"), code, _shape(shape))
        inputs = tuple(self.names)
        nodes = tuple(self._node(item) for item in self.nodes)
        outputs = tuple(entry(self.names, number, "output value") for number in self.outputs)
        return Graph(name, nodes, self.values, {}, inputs, outputs)

    def _node(self, item: Any) -> Node:
        op, name, codes, inputs, inside, attrs, outputs = self._fields(item, 7, "a node")
        op, name = expect(op, str, "an operator"), expect(name, str, "a node's name")
        if op not in OPS:
            raise BadFile(name, f"unknown operator {op!r}", "", "Update smidgen to read this file")
        numbers = [len(self.names) - 1] if inputs is None else expect(inputs, list, "inputs")
        read = tuple(entry(self.names, number, f"{name}: input value") for number in numbers)
        known = from_plain(expect(attrs or {}, dict, "attributes"))
        made = [name] if outputs is None else expect(outputs, list, "output names")
        node = self._scan(op, name, inside, known) if op in SCANS else self._plain(op, name, inside, known)
        listed = codes if isinstance(codes, list) else [codes or 0]
        if len(listed) != len(made):
            raise BadFile(name, f"{len(made)} outputs and {len(listed)} values")
        for output, code in zip(made, listed, strict=True):
            self._make(expect(output, str, "an output's name"), code, ())
        return replace(node, inputs=read, outputs=tuple(made))

    def _plain(self, op: str, name: str, params: Any, attrs: dict[str, Any]) -> Node:
        roles = expect(params or {}, dict, "params")
        weights = {role: self.shared.weight(name, role, number) for role, number in roles.items()}
        return Node(name, op, (), (), weights, attrs)

    def _scan(self, op: str, name: str, parts: Any, attrs: dict[str, Any]) -> Node:
        if self.depth == DEEPEST_SCANS:
            raise BadFile(name, f"scans nested over {DEEPEST_SCANS} deep")
        expect(attrs.get("kind"), str, f"{name}: kind")
        expect(attrs.get("reverse"), bool, f"{name}: reverse")
        fields = expect(parts, list, f"{name}: body")
        if len(fields) != 4:
            raise BadFile(name, f"a body with {len(fields)} parts", "it has 4")
        *scope, title = fields
        body = _ScopeReader(self.shared, scope, self.depth + 1).graph(expect(title, str, "a body's name"))
        return with_body(Node(name, op, (), (), {}, {**attrs, "body": body}), body)

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
        grid = entry(self.shared.grids, (number >> 4) - 1, "grid") if number >> 4 else None
        self.values[name] = Value(shape, dtype, grid, batched=not number & 1)
        self.names.append(name)


def _check_sizes(graph: Graph) -> None:
    for name, value in graph.values.items():
        if len(value.shape) > LONGEST or not 0 <= math.prod(value.shape) < MOST_ELEMENTS:
            raise BadFile(
                "graph", f"value {name!r} has shape {list(value.shape)[:LONGEST]}", "it is too large"
            )


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
