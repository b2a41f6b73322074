"""A graph as short lists, and back. Shapes are not stored: the input shapes and the operators imply them.

    graph  [name, inputs, nodes, outputs, weights, grids, states]; the last only where there are some
    state  [number of the input, number of the output] that is fed back, each counted in its own list
    input  [name, shape, value]
    node   [op, name, value(s), inputs, params, attrs, output names]   trailing defaults are left out
    value  (1 + number of its grid, 0 = none) * 16 + dtype * 2 + (1 if unbatched)
    grid   [scale, zero, bits]; the scale as float32 bits where those are exact
    body   [inputs, nodes, outputs, name]: in the place of a scan's params, which it implies

Values have numbers: graph inputs first, then outputs of nodes in order. A node's inputs default to the value
before it, its outputs to its own name, a weight's name to `<node>.<role>`. Params refer to the graph's
weights, and those to the store's, by `store.references`. A body numbers its own values; weights and grids are
the graph's.
"""

from __future__ import annotations

import struct
from typing import Any

from smidgen.codec.plain import to_plain
from smidgen.codec.store import StoreWriter, references
from smidgen.errors import BadInput
from smidgen.formats import Grid
from smidgen.graph import Graph, Node, Value
from smidgen.graph.scan import SCANS, body_of

DTYPES = ("float32", "int8", "int16", "int32", "uint8", "uint16", "int64", "uint32")


def default_weight_name(node: str, role: str) -> str:
    return f"{node}.{role}"


class GraphLister:
    """Turns one graph into lists; weights go to `store`, which several graphs share."""

    def __init__(self, graph: Graph, store: StoreWriter) -> None:
        self.graph, self.store = graph, store
        self.grids: dict[Grid, int] = {}
        self.weight_numbers: dict[str, int] = {}
        self.stored: dict[str, int] = {}
        self.default_names: set[str] = set()

    def lists(self) -> list[Any]:
        parts = _Scope(self, self.graph).lists()
        grids = [[exact_scale(grid.scale), grid.zero, grid.bits] for grid in self.grids]
        states = [[self.graph.inputs.index(a), self.graph.outputs.index(b)] for a, b in self.graph.states]
        return [self.graph.name, *parts, self._weights(), grids, *([states] if states else [])]

    def grid(self, grid: Grid | None) -> int:
        """0 for none, else 1 + the number of the grid."""
        return 0 if grid is None else 1 + self.grids.setdefault(grid, len(self.grids))

    def weight(self, node: str, role: str, name: str) -> int:
        """The number of a weight, which this graph and its bodies count together."""
        if name not in self.weight_numbers:
            self.weight_numbers[name] = len(self.weight_numbers)
            self.stored[name] = self.store.add(name, self.graph.weights[name])
            if name == default_weight_name(node, role):
                self.default_names.add(name)
        return self.weight_numbers[name]

    def _weights(self) -> list[Any]:
        coded = references(self.stored, 0)
        return [index if name in self.default_names else [index, name] for name, index in coded.items()]


class _Scope:
    """The graph or a body: what has value numbers of its own."""

    def __init__(self, lister: GraphLister, graph: Graph) -> None:
        self.lister, self.graph = lister, graph
        self.values: dict[str, int] = {}

    def lists(self) -> list[Any]:
        graph = self.graph
        inputs = [[name, list(graph.values[name].shape), self._make(name)] for name in graph.inputs]
        nodes = [self._node(node) for node in graph.nodes]
        return [inputs, nodes, [self.values[name] for name in graph.outputs]]

    def _node(self, node: Node) -> list[Any]:
        inputs = [self.values[name] for name in node.inputs]
        latest = [len(self.values) - 1]
        inside = self._body(node) if node.op in SCANS else self._params(node)
        attrs = to_plain({key: value for key, value in node.attrs.items() if key != "body"}, node.name)
        made = [self._make(name) for name in node.outputs]
        fields: list[Any] = [node.op, node.name, made[0] if len(made) == 1 else made]
        fields += [None if inputs == latest else inputs, inside, attrs]
        fields.append(None if node.outputs == (node.name,) else list(node.outputs))
        while fields[-1] in (None, 0, {}):
            fields.pop()
        return fields

    def _params(self, node: Node) -> dict[str, int]:
        known = len(self.lister.weight_numbers)
        numbers = {role: self.lister.weight(node.name, role, name) for role, name in node.params.items()}
        return references(numbers, known)

    def _body(self, node: Node) -> list[Any]:
        body = body_of(node)
        return [*_Scope(self.lister, body).lists(), body.name]

    def _make(self, name: str) -> int:
        """Number the value and return its code."""
        self.values[name] = len(self.values)
        value: Value = self.graph.values[name]
        if value.dtype not in DTYPES:
            raise BadInput(name, f"a value of type {value.dtype}", f"a file holds {', '.join(DTYPES)}")
        grid = self.lister.grid(value.grid)
        return grid << 4 | DTYPES.index(value.dtype) << 1 | (not value.batched)


def exact_scale(scale: float) -> int | float:
    """The scale as the bits of a float32 if it is one, else itself."""
    try:
        packed = struct.pack("<f", scale)
    except OverflowError:
        return scale
    return int(struct.unpack("<I", packed)[0]) if struct.unpack("<f", packed)[0] == scale else scale
