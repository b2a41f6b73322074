"""The float32 twin of an integer network: the same operators on real numbers, with nothing in between.

What the network would cost unquantized, as the alternative that it is timed against; and what other tools can
quantize again. Weights and biases are what the integers stand for; ReLUs that saturation did are operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from smidgen.emit.emitter import Emitter, Problem
from smidgen.emit.onnx_artifact import OnnxArtifact, save
from smidgen.emit.onnx_functions import clipped
from smidgen.emit.onnx_model import count_samples, finished, port, require_onnx
from smidgen.emit.onnx_qdq import INT8, QdqOnnxEmitter, QdqWriter, known_function
from smidgen.emit.onnx_site import grid_of
from smidgen.emit.onnx_tables import embedding_rows
from smidgen.formats import Grid
from smidgen.graph import Graph, Node, Value
from smidgen.graph.scan import body_of
from smidgen.numerics import Array
from smidgen.run.reference import executable
from smidgen.targets.target import Target

RECTIFIED = ("q.conv", "q.linear", "q.add")  # zero as the lowest byte means that a ReLU was fused into these


@dataclass(frozen=True)
class TwinOnnxEmitter(Emitter):
    """Writes `model.onnx`, float32 in and out, from an integer graph."""

    exact: ClassVar[bool] = False

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        return QdqOnnxEmitter(float_boundary=True).check(graph, target) + _table_problems(graph)

    def emit(self, graph: Graph, target: Target, folder: Path) -> OnnxArtifact:
        """Write `folder/model.onnx`, whole or not at all.

        Raises:
            Unsupported: naming every node that can't be expressed.
            MissingExtra: the package onnx is not installed.
        """
        self.require(graph, target)
        return save(twin_model(graph), folder)


def twin_model(graph: Graph) -> Any:
    """The twin as an `onnx.ModelProto`, without checking that it can be expressed."""
    require_onnx()
    writer = _Twin(graph, float_boundary=True)
    inputs = [writer.input(name) for name in graph.inputs]
    count_samples(writer.w, graph, inputs)
    for node in graph.nodes:
        if node.op != "q.decode":
            writer.node(node)
    outputs = [writer.output(name) for name in graph.outputs]
    return finished(writer.w, graph, inputs, outputs, "twin")


class _Twin(QdqWriter):
    """Real numbers are carried from operator to operator."""

    def input(self, name: str) -> Any:
        given = self.w.unique(name)
        self.carried.put(name, given)
        return port(given, self.graph.values[name], "float32")

    def carrier(self, value: Value) -> type[np.float32]:
        return np.float32

    def quantized(self, x: str, grid: Grid, out: str) -> str:
        return x

    def real(self, value: str, first: bool) -> str:
        return self.carried.get(value, len(self.graph.values[value].shape), first)

    def activated(self, node: Node, y: str) -> str:
        grid = grid_of(self.graph.values[node.output])
        if node.op in RECTIFIED and (grid.zero, node.attrs.get("lo"), node.attrs.get("hi")) == (
            INT8[0],
            *INT8,
        ):
            return self.w.op("Relu", [y], f"{node.output}.bounded")
        return super().activated(node, y)

    def _constant(self, whole: Array, scale: Array, name: str) -> str:
        real = whole * scale.reshape(-1, *[1] * (whole.ndim - 1))
        return self.w.constant(real, np.float32, name)

    def _embedding(self, node: Node) -> None:
        value, made = (self.graph.values[name] for name in (node.inputs[0], node.output))
        grid, x = grid_of(value), self.real(node.inputs[0], False)
        rows = embedding_rows(self.graph, node)
        scale = self.w.constant(grid.scale, np.float32, "scale")
        index = self.w.op(
            "Round", [self.w.op("Div", [x, scale], f"{node.output}.steps")], f"{node.output}.whole"
        )
        inside = clipped(self.w, index, 0.0, len(rows) - 1.0, f"{node.output}.inside")
        row = self.w.cast(inside, np.int64, f"{node.output}.row")
        stored = self.w.constant(grid_of(made).dequantize(rows), np.float32, f"{node.name}.rows")
        self.carried.put(node.output, self.w.op("Gather", [stored, row], f"{node.output}.value"))

    def _constant_value(self, node: Node) -> None:
        grid = grid_of(self.graph.values[node.output])
        real = grid.dequantize(executable(self.graph.weights[node.params["value"]]))
        self.carried.put(node.output, self.w.per_sample(real, np.float32, f"{node.output}.value"))


def _table_problems(graph: Graph) -> list[Problem]:
    """Tables without a known function have no meaning in real numbers. Bodies of scans included."""
    problems = []
    for owner, node in _owned(graph):
        if node.op == "q.table":
            x, y = (grid_of(owner.values[name]) for name in (node.inputs[0], node.output))
            if known_function(executable(owner.weights[node.params["table"]]), x, y) is None:
                problems.append(Problem(node.name, "its table is no known function", "Use the QDQ flavour"))
    return problems


def _owned(graph: Graph) -> list[tuple[Graph, Node]]:
    found = []
    for node in graph.nodes:
        found.append((graph, node))
        if node.op == "q.scan":
            found += _owned(body_of(node, graph.weights))
    return found
