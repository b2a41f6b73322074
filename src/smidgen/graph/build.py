"""A small builder: append operators, names and shapes follow. Loaders, models and tests use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.formats import Dense, Format
from smidgen.graph.core import Graph, Node, Value
from smidgen.graph.scan import states_of, with_body

Pairs = Sequence[tuple[int, int]]


class GraphBuilder:
    """Mutable while building; `graph(outputs)` returns the checked, immutable Graph.

    Methods take and return value names. Weights are given as arrays or formats.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self._nodes: list[Node] = []
        self._values: dict[str, Value] = {}
        self._weights: dict[str, Format] = {}
        self._inputs: list[str] = []

    def input(self, name: str, shape: Sequence[int]) -> str:
        """Declare a graph input of per-sample `shape`."""
        self._values[name] = Value(tuple(shape))
        self._inputs.append(name)
        return name

    def shape(self, value: str) -> tuple[int, ...]:
        return self._values[value].shape

    def weight(self, name: str, array: npt.ArrayLike | Format) -> str:
        """Store a weight under `name` (once: tied weights reuse the name)."""
        self._weights[name] = array if isinstance(array, Format) else Dense(np.asarray(array, np.float32))
        return name

    def op(
        self,
        op: str,
        inputs: Sequence[str],
        params: Mapping[str, npt.ArrayLike | Format | str] | None = None,
        name: str | None = None,
        **attrs: Any,
    ) -> str:
        """Append an operator, return its output. A param is an array, a Format, or a stored weight's name."""
        name = name or self._unique(op.replace(".", "_"))
        stored = {
            role: given if isinstance(given, str) else self.weight(f"{name}.{role}", given)
            for role, given in (params or {}).items()
        }
        return self.append(Node(name, op, tuple(inputs), (name,), stored, attrs))[0]

    def append(self, node: Node) -> tuple[str, ...]:
        """Append a ready-made node (which may have several outputs) and return its outputs."""
        grown = Graph(self.name, (node,), self._values, self._weights, (), ()).inferred()
        self._nodes.append(grown.nodes[0])
        self._values.update({name: grown.values[name] for name in node.outputs})
        return node.outputs

    def conv(
        self,
        x: str,
        weight: npt.ArrayLike | Format | str,
        bias: npt.ArrayLike | str | None = None,
        *,
        stride: Sequence[int] | int = 1,
        padding: Pairs | int = 0,
        dilation: Sequence[int] | int = 1,
        groups: int = 1,
        name: str | None = None,
    ) -> str:
        """Convolution with weight [O, *k, I/groups]; ints mean the same on every spatial axis."""
        rank = len(self.shape(x)) - 1
        return self.op(
            "conv",
            [x],
            {"weight": weight} | ({} if bias is None else {"bias": bias}),
            name,
            stride=each(stride, rank),
            padding=pairs(padding, rank),
            dilation=each(dilation, rank),
            groups=groups,
        )

    def linear(
        self,
        x: str,
        weight: npt.ArrayLike | Format | str,
        bias: npt.ArrayLike | str | None = None,
        name: str | None = None,
    ) -> str:
        """x @ weight.T + bias on the last axis; weight [O, I]."""
        return self.op("linear", [x], {"weight": weight} | ({} if bias is None else {"bias": bias}), name)

    def pool(
        self,
        kind: str,
        x: str,
        kernel: Sequence[int] | int,
        stride: Sequence[int] | int | None = None,
        padding: Pairs | int = 0,
        name: str | None = None,
    ) -> str:
        """`kind` is max or avg; stride defaults to the kernel; averages leave padding out of the count."""
        rank = len(self.shape(x)) - 1
        extra: dict[str, Any] = {"count_padding": False} if kind == "avg" else {}
        return self.op(
            f"{kind}_pool",
            [x],
            name=name,
            kernel=each(kernel, rank),
            stride=each(kernel if stride is None else stride, rank),
            padding=pairs(padding, rank),
            **extra,
        )

    def scan(
        self,
        x: str,
        cell: Graph,
        *,
        kind: str = "custom",
        initial: Sequence[str] = (),
        reverse: bool = False,
        name: str | None = None,
    ) -> tuple[str, ...]:
        """Run `cell` (see graph/scan.py and graph/cells.py) over the steps of x [T, ..].

        Returns the cell's sequence outputs, [T, ..] each, then its final states. The cell's weights become
        this graph's; its node and value names must not occur here.
        """
        name = name or self._unique("scan")
        self._weights.update(cell.weights)
        attrs = {"body": cell, "kind": kind, "reverse": reverse}
        bare = Node(name, "scan", (x, *initial), (), {}, attrs)
        states = len(states_of(bare))
        kept = [f"{name}.steps{i}" if i else name for i in range(len(cell.outputs) - states)]
        finals = [f"{name}.final_{state.rpartition('.')[2]}" for state in states_of(bare)]
        return self.append(with_body(replace(bare, outputs=(*kept, *finals)), cell))

    def flatten(self, x: str, name: str | None = None) -> str:
        return self.op("reshape", [x], name=name, shape=(-1,))

    def graph(self, outputs: Sequence[str] | str) -> Graph:
        """The finished graph, checked. Raises IllegalGraph."""
        chosen = (outputs,) if isinstance(outputs, str) else tuple(outputs)
        built = Graph(
            self.name, tuple(self._nodes), self._values, self._weights, tuple(self._inputs), chosen
        ).pruned()
        built.check()
        return built

    def _unique(self, stem: str) -> str:
        number, taken = 1, {*self._values, *(node.name for node in self._nodes)}
        while f"{stem}{number}" in taken:
            number += 1
        return f"{stem}{number}"


def each(value: Sequence[int] | int, rank: int) -> tuple[int, ...]:
    return (value,) * rank if isinstance(value, int) else tuple(value)


def pairs(value: Pairs | int, rank: int) -> tuple[tuple[int, int], ...]:
    return ((value, value),) * rank if isinstance(value, int) else tuple((a, b) for a, b in value)
