"""The immutable intermediate representation. Shapes are per sample: the batch dimension is implicit.

A float graph holds real-valued operators; a value with a `grid` but dtype float32 is declared to be
quantized there (training sees it, `lower` carries it out). An integer graph holds the `q.*` operators on
int8 values, and is the definition of what every back end computes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

from smidgen.errors import IllegalGraph
from smidgen.formats import Format, Grid
from smidgen.graph.ops import OPS
from smidgen.graph.scan import SCANS, body_of, fitted, scan_shapes, walk, with_body

Attrs = Mapping[str, Any]
# What code that reads attributes may raise for those of a file from anyone.
UNSUITABLE = (IllegalGraph, TypeError, ValueError, LookupError, ArithmeticError, AttributeError)
MOST_ELEMENTS = 2**31  # of one value, per sample: what no device holds is a mistake or an attack


def frozen(mapping: Mapping[str, Any] | None = None) -> Mapping[str, Any]:
    """A read-only copy of a mapping."""
    return MappingProxyType(dict(mapping or {}))


@dataclass(frozen=True)
class Value:
    """One tensor: per-sample `shape`, `dtype` (float32, int8, …) and its `grid` (None = real numbers).

    `batched` is False only for weights expanded at run time, which all samples share.
    """

    shape: tuple[int, ...]
    dtype: str = "float32"
    grid: Grid | None = None
    batched: bool = True

    @property
    def size(self) -> int:
        n = 1
        for dim in self.shape:
            n *= dim
        return n

    @property
    def nbytes(self) -> int:
        """Bytes of one sample."""
        return self.size * {"int8": 1, "int16": 2}.get(self.dtype, 4)


@dataclass(frozen=True)
class Node:
    """One operator. `params` maps a role (`weight`, `bias`) to the name of a weight of the graph."""

    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    params: Mapping[str, str] = field(default_factory=frozen)
    attrs: Attrs = field(default_factory=frozen)

    def __post_init__(self) -> None:
        object.__setattr__(self, "params", frozen(self.params))
        object.__setattr__(self, "attrs", frozen(self.attrs))

    @property
    def output(self) -> str:
        """The only output (all operators but islands have one)."""
        return self.outputs[0]


@dataclass(frozen=True)
class Graph:
    """Nodes in topological order, values and weights by name. Edits return a new graph.

    `pending` holds declarations (steps) that take effect in the next training: gradual pruning schedules,
    distillation objectives. `tune.fit` consumes them. `states`: (input, output) of what a streaming network
    returns to be given with the next chunk (see graph/states.py).
    """

    name: str
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    weights: Mapping[str, Format]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    pending: tuple[Any, ...] = ()
    states: tuple[tuple[str, str], ...] = ()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", frozen(self.values))
        object.__setattr__(self, "weights", frozen(self.weights))

    # Reading

    def node(self, name: str) -> Node:
        for node in self.nodes:
            if node.name == name:
                return node
        raise IllegalGraph(name, "no such node", f"{self.name} has {', '.join(n.name for n in self.nodes)}")

    def producer(self, value: str) -> Node | None:
        """The node that makes `value`, None for a graph input."""
        return next((node for node in self.nodes if value in node.outputs), None)

    def consumers(self, value: str) -> tuple[Node, ...]:
        return tuple(node for node in self.nodes if value in node.inputs)

    def users(self, weight: str) -> tuple[Node, ...]:
        """Nodes that use a weight; more than one where weights are tied."""
        return tuple(node for node in self.nodes if weight in node.params.values())

    def walk(self) -> Iterator[Node]:
        """All nodes in order, those of scan bodies included; every weight is read by one of them."""
        return walk(self.nodes)

    @property
    def is_integer(self) -> bool:
        """True when no value is a real number, inputs and outputs included."""
        return all(value.dtype != "float32" for value in self.values.values())

    # Editing

    def replace(self, name: str, *nodes: Node) -> Graph:
        """Put `nodes` in the place of the node `name` (none: remove it). New values must be set before."""
        self.node(name)
        new: list[Node] = []
        for node in self.nodes:
            new.extend(nodes if node.name == name else (node,))
        return replace(self, nodes=tuple(new))

    def with_weights(self, changed: Mapping[str, Format]) -> Graph:
        return replace(self, weights={**self.weights, **changed})

    def with_values(self, changed: Mapping[str, Value]) -> Graph:
        return replace(self, values={**self.values, **changed})

    def rename_value(self, old: str, new: str) -> Graph:
        """Make every reader of `old` (outputs of the graph included) read `new`."""

        def swap(names: Iterable[str]) -> tuple[str, ...]:
            return tuple(new if n == old else n for n in names)

        nodes = tuple(replace(node, inputs=swap(node.inputs)) for node in self.nodes)
        states = tuple((given, new if made == old else made) for given, made in self.states)
        return replace(self, nodes=nodes, outputs=swap(self.outputs), states=states)

    def pruned(self) -> Graph:
        """Without nodes, values and weights that no output needs."""
        needed, keep = set(self.outputs), []
        for node in reversed(self.nodes):
            if needed & set(node.outputs):
                keep.append(node)
                needed |= set(node.inputs)
        nodes = tuple(reversed(keep))
        used_weights = {w for node in nodes for w in node.params.values()}
        live = {*self.inputs, *needed, *(v for node in nodes for v in node.outputs)}
        return replace(
            self,
            nodes=nodes,
            values={k: v for k, v in self.values.items() if k in live},
            weights={k: w for k, w in self.weights.items() if k in used_weights},
        )

    def inferred(self) -> Graph:
        """With every value's shape recomputed from the inputs and weights (after channels were removed)."""
        values, nodes = dict(self.values), []
        for node in self.nodes:
            if node.op in SCANS:
                node = fitted(node, values)
                node = with_body(node, body_of(node, self.weights).inferred())
            for name, shape in zip(node.outputs, _infer(node, values, self.weights), strict=True):
                values[name] = replace(values[name], shape=shape) if name in values else Value(shape)
            nodes.append(node)
        return replace(self, values=values, nodes=tuple(nodes))

    def check(self) -> None:
        """Raise IllegalGraph naming the node, what was found, what was expected and the remedy."""
        _check_names(self)
        known = set(self.inputs)
        for node in self.nodes:
            for name in node.inputs:
                if name not in known:
                    raise IllegalGraph(
                        node.name,
                        f"reads {name!r} before anything makes it",
                        "nodes come in topological order",
                        "Reorder the nodes or name an existing value",
                    )
            for name, shape in zip(node.outputs, _infer(node, self.values, self.weights), strict=True):
                if self.values[name].shape != shape:
                    raise IllegalGraph(
                        node.name,
                        f"output {name!r} is declared as {list(self.values[name].shape)}",
                        f"{node.op} makes {list(shape)} here",
                        "Call inferred() after an edit that changes shapes",
                    )
                known.add(name)
        _check_sizes(self)
        for name in self.outputs:
            if name not in known:
                raise IllegalGraph(
                    self.name, f"output {name!r} is made by no node", "every output has a producer"
                )


def _infer(
    node: Node, values: Mapping[str, Value], weights: Mapping[str, Format]
) -> tuple[tuple[int, ...], ...]:
    """Output shapes of a node; checks roles and attributes against the op table."""
    op = OPS.get(node.op)
    if op is None:
        raise IllegalGraph(node.name, f"unknown operator {node.op!r}", f"one of {', '.join(sorted(OPS))}")
    for role in op.params:
        if role not in node.params:
            raise IllegalGraph(node.name, f"{node.op} has no {role!r}", f"it needs {', '.join(op.params)}")
    for role, weight in node.params.items():
        if role not in (*op.params, *op.optional) and node.op not in SCANS:
            raise IllegalGraph(
                node.name, f"{node.op} takes no {role!r}", f"roles: {(*op.params, *op.optional)}"
            )
        if weight not in weights:
            raise IllegalGraph(
                node.name, f"weight {weight!r} does not exist", "params name weights of the graph"
            )
    if missing := [key for key in op.attrs if key not in node.attrs]:
        raise IllegalGraph(node.name, f"{node.op} lacks the attribute {missing[0]!r}", f"it needs {op.attrs}")
    inputs = [values[name].shape for name in node.inputs]
    params = {role: weights[name].shape for role, name in node.params.items()}
    try:
        if op.infer is None:
            return scan_shapes(node, values, weights)
        return op.infer(node.attrs, inputs, params)
    except (ValueError, IndexError) as problem:
        shapes = ", ".join(str(list(s)) for s in inputs)
        raise IllegalGraph(node.name, f"{node.op} on {shapes}", str(problem)) from problem


def _check_sizes(graph: Graph) -> None:
    for name, value in graph.values.items():
        if not 0 <= value.size < MOST_ELEMENTS:
            raise IllegalGraph(
                name,
                f"a value of shape {list(value.shape)}",
                f"values have fewer than {MOST_ELEMENTS:,} elements",
            )


def _check_names(graph: Graph) -> None:
    seen: set[str] = set()
    for name in [n.name for n in graph.walk()]:
        if name in seen:
            raise IllegalGraph(name, "two nodes have this name", "names are unique", "Rename one of them")
        seen.add(name)
    made = [*graph.inputs, *(v for node in graph.nodes for v in node.outputs)]
    if len(made) != len(set(made)):
        twice = next(name for name in made if made.count(name) > 1)
        raise IllegalGraph(graph.name, f"value {twice!r} is made twice", "each value has one producer")
    read = {v for node in graph.nodes for v in node.inputs}
    for name in {*made, *read, *graph.outputs}:
        if name not in graph.values:
            raise IllegalGraph(
                graph.name, f"value {name!r} is not declared", "graph.values lists every value"
            )
