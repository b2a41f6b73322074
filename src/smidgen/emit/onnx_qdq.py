"""The portable flavour of ONNX: QuantizeLinear and DequantizeLinear around float operators (QDQ).

What other tools expect of a quantized network: runtimes fuse a float operator between the pairs into an
integer kernel of their own, or simply run it in float. Weights are int8 with one scale a channel, biases
int32, values uint8 (q + 128), because ONNX Runtime fuses no int8 values on x86; the ports are int8.

It is NOT exact, and can't be: scales are float32 instead of 16-bit multipliers, QuantizeLinear rounds half to
even instead of half up, and a fused kernel may round elsewhere again. A first layer differs by a step in some
values of a million, and deep networks amplify that. `measure.agreement.mismatch_rate` counts the outputs that
differ from the exact integers; docs/NUMERICS.md says more. ONNX Runtime's int8 kernels may moreover saturate
on x86 processors without VNNI. The exact flavour is `emit.onnx`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from smidgen.emit.emitter import Emitter, Problem
from smidgen.emit.onnx import value_problems, weight_problems
from smidgen.emit.onnx_artifact import OnnxArtifact, save, target_problems
from smidgen.emit.onnx_float import pool_problems, write_float
from smidgen.emit.onnx_functions import clipped
from smidgen.emit.onnx_island import island_problems
from smidgen.emit.onnx_layout import Carried
from smidgen.emit.onnx_model import count_samples, finished, port, require_onnx, stored_weight
from smidgen.emit.onnx_real_ops import REAL_RULES, write_real
from smidgen.emit.onnx_scan import at_rest, write_scan
from smidgen.emit.onnx_site import grid_of
from smidgen.emit.onnx_tables import embedding_rows
from smidgen.emit.onnx_writer import BIAS_TO_UNSIGNED, OnnxWriter
from smidgen.formats import Grid
from smidgen.graph import Graph, Node, Value
from smidgen.graph.activations import DOMAINS, SMOOTH, STEEP
from smidgen.graph.scan import body_of, states_of
from smidgen.lower.nonlinear import with_real_numbers
from smidgen.lower.rules import table_entries
from smidgen.numerics import Array
from smidgen.run.reference import executable
from smidgen.targets.target import Target

MULTIPLIER_ERROR = 2.0**-16  # a multiplier of 16 bits is within it
INT8, INT16 = (-128, 127), (-32768, 32767)


@dataclass(frozen=True)
class QdqOnnxEmitter(Emitter):
    """Writes `model.onnx`. `float_boundary`: inputs and outputs are float32 instead of int8."""

    exact: ClassVar[bool] = False

    float_boundary: bool = False

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        if any(value.grid and value.dtype != "float32" for value in graph.values.values()):
            problems = [problem for node in graph.nodes for problem in _node_problems(graph, node)]
        else:
            problems = [
                Problem(graph.name, "nothing in it is quantized", "Quantize it, or export float ONNX")
            ]
        if not self.float_boundary:
            problems += _port_problems(graph)
        return problems + value_problems(graph) + target_problems(target)

    def emit(self, graph: Graph, target: Target, folder: Path) -> OnnxArtifact:
        """Write `folder/model.onnx`, whole or not at all.

        Raises:
            Unsupported: naming every node that can't be expressed.
            MissingExtra: the package onnx is not installed.
        """
        self.require(graph, target)
        return save(qdq_model(graph, self.float_boundary), folder)


def qdq_model(graph: Graph, float_boundary: bool = False) -> Any:
    """The graph as an `onnx.ModelProto`, without checking that it can be expressed."""
    require_onnx()
    writer = QdqWriter(graph, float_boundary)
    inputs = [writer.input(name) for name in graph.inputs]
    count_samples(writer.w, graph, inputs)
    for node in graph.nodes:
        if node.op != "q.decode":  # its consumers hold the integers
            writer.node(node)
    outputs = [writer.output(name) for name in graph.outputs]
    return finished(writer.w, graph, inputs, outputs, "qdq")


class QdqWriter:
    """One file being written. Integers are carried as bytes q + 128, dequantized once a layout."""

    def __init__(self, graph: Graph, float_boundary: bool, w: OnnxWriter | None = None) -> None:
        self.graph, self.float_boundary = graph, float_boundary
        self.w = w or OnnxWriter()
        self.carried = Carried(self.w)
        self._reals: dict[str, str] = {}

    def input(self, name: str) -> Any:
        value, given = self.graph.values[name], self.w.unique(name)
        if value.dtype == "float32":
            self.carried.put(name, given)
            return port(given, value, "float32")
        real = given
        if not self.float_boundary:
            real = self._signed("DequantizeLinear", given, value, f"{name}.real")
        self.carried.put(name, self.quantized(real, grid_of(value), f"{name}.bytes"))
        return port(given, value, "float32" if self.float_boundary else "int8")

    def output(self, name: str) -> Any:
        value = self.graph.values[name]
        if value.dtype == "float32":
            made = self.w.op("Identity", [self.carried.get(name, len(value.shape), False)], name)
            return port(made, value, "float32")
        if self.float_boundary:
            return port(self.w.op("Identity", [self.real(name, False)], name), value, "float32")
        return port(self._signed("QuantizeLinear", self.real(name, False), value, name), value, "int8")

    def node(self, node: Node) -> None:
        if node.op == "dequantize":
            self.carried.put(node.output, self.real(node.inputs[0], False))
        elif node.op == "quantize":
            rank = len(self.graph.values[node.output].shape)
            x = self.carried.get(node.inputs[0], rank, False)
            grid = grid_of(self.graph.values[node.output])
            x = self.bounded(x, grid, grid.qmin, grid.qmax, node.output)
            self.carried.put(node.output, self.quantized(x, grid, f"{node.output}.bytes"))
        elif not node.op.startswith("q."):
            write_float(self.w, self.graph, node, self.carried)
        elif node.op == "q.table":
            self._table(node)
        elif node.op == "q.scan":
            self._scan(node)
        elif node.op == "q.embedding":
            self._embedding(node)
        elif node.op == "q.constant":
            self._constant_value(node)
        else:
            self._rule(node)

    # Between int8 and real numbers

    def quantized(self, x: str, grid: Grid, out: str) -> str:
        """Bytes; 16-bit values, which other tools have no operators for, stay real numbers."""
        if grid.dtype != "int8":
            return x
        return self.w.op("QuantizeLinear", [x, *self._grid(grid, np.uint8)], out)

    def real(self, value: str, first: bool) -> str:
        """The value in float32, in a layout."""
        declared = self.graph.values[value]
        x, grid = self.carried.get(value, len(declared.shape), first), grid_of(declared)
        if grid.dtype != "int8":
            return x
        if x not in self._reals:
            self._reals[x] = self.w.op("DequantizeLinear", [x, *self._grid(grid, np.uint8)], f"{x}.real")
        return self._reals[x]

    def carrier(self, value: Value) -> type[np.uint8] | type[np.float32]:
        """The type that a value has between operators."""
        return np.uint8 if value.dtype == "int8" else np.float32

    def bounded(self, x: str, grid: Grid, lo: int, hi: int, out: str) -> str:
        """`x` within [lo, hi] steps. QuantizeLinear saturates at the bytes by itself; zero is a ReLU."""
        if (lo, hi) in (INT8, INT16):
            return x
        if (lo, hi) == (grid.zero, INT8[1]):
            return self.w.op("Relu", [x], f"{out}.bounded")
        least, most = ((q - grid.zero) * grid.scale for q in (lo, hi))
        return clipped(self.w, x, least, most, f"{out}.bounded")

    def _signed(self, kind: str, x: str, value: Value, out: str) -> str:
        """Between an int8 port and real numbers."""
        return self.w.op(kind, [x, *self._grid(grid_of(value), np.int8)], out)

    def _grid(self, grid: Grid, dtype: type[np.int8] | type[np.uint8]) -> list[str]:
        zero = grid.zero + (BIAS_TO_UNSIGNED if dtype is np.uint8 else 0)
        return [self.w.constant(grid.scale, np.float32, "scale"), self.w.constant(zero, dtype, "zero")]

    # Operators

    def _rule(self, node: Node) -> None:
        """The float operator and its rounding."""
        grid = grid_of(self.graph.values[node.output])
        params = self._weights(node) if node.op in ("q.linear", "q.conv") else {}
        if node.op == "q.softmax" and "mask" in node.params:
            name = node.params["mask"]
            params = {"mask": self.w.constant(executable(self.graph.weights[name]), np.float32, name)}
        if node.op == "q.normalize":
            node, vectors = with_real_numbers(self.graph, node)
            params = {
                role: self.w.constant(v, np.float32, f"{node.name}.{role}") for role, v in vectors.items()
            }
        lowest = (INT8[0] - grid.zero) * grid.scale
        y, first = write_real(
            self.w, self.graph, self._as_written(node), self.carried, self.real, params, lowest
        )
        y = self.activated(node, y)
        self.carried.put(node.output, self.quantized(y, grid, f"{node.output}.bytes"), first)

    def activated(self, node: Node, y: str) -> str:
        """The result of a node within its bounds."""
        lo, hi = (node.attrs.get(end, limit) for end, limit in zip(("lo", "hi"), INT8, strict=True))
        return self.bounded(y, grid_of(self.graph.values[node.output]), lo, hi, node.output)

    def _as_written(self, node: Node) -> Node:
        """Differences are sums with a negative second multiplier; a product's factor is in its multiplier."""
        if node.op == "q.matmul":
            return replace(node, attrs={**node.attrs, "scale": self._factor(node)})
        if node.op == "q.add" and executable(self.graph.weights[node.params["multiplier"]])[1] < 0:
            return replace(node, op="q.sub")
        return node

    def _factor(self, node: Node) -> float:
        multiplier, shift = (
            int(executable(self.graph.weights[node.params[role]]).item()) for role in ("multiplier", "shift")
        )
        a, b, y = (grid_of(self.graph.values[name]).scale for name in (*node.inputs, node.output))
        found = math.ldexp(multiplier, -shift) * y / (a * b)
        return 1.0 if abs(found - 1.0) <= MULTIPLIER_ERROR else found

    def _scan(self, node: Node) -> None:
        body = body_of(node, self.graph.weights)

        def write_body(inner: OnnxWriter, given: Mapping[str, str]) -> Mapping[str, str]:
            writer = type(self)(body, self.float_boundary, inner)
            for value, name in given.items():
                writer.carried.put(value, name)
            for step in body.nodes:
                writer.node(step)
            return {
                name: writer.carried.get(name, len(body.values[name].shape), False) for name in body.outputs
            }

        ranks = {name: len(self.graph.values[name].shape) for name in node.inputs}
        x, *starts = (self.carried.get(name, ranks[name], False) for name in node.inputs)
        for state in states_of(node)[len(starts) :]:
            value = body.values[state]
            zero = grid_of(value).zero + BIAS_TO_UNSIGNED if self.carrier(value) is np.uint8 else 0
            rest = self.carrier(value)(zero)
            starts.append(at_rest(self.w, x, value.shape, rest, f"{state}.rest"))
        made = write_scan(self.w, node, x, starts, write_body, self.carrier)
        for out, name in zip(node.outputs, made, strict=True):
            self.carried.put(out, name)

    def _embedding(self, node: Node) -> None:
        """Rows in bytes, as the exact rule makes them; the index is the whole number it stands for."""
        value = self.graph.values[node.inputs[0]]
        grid, x = grid_of(value), self.carried.get(node.inputs[0], len(value.shape), False)
        index = self.w.cast(x, np.int64, f"{node.output}.index")
        if grid.dtype == "int8":
            zero = self.w.constant(grid.zero + BIAS_TO_UNSIGNED, np.int64, "zero64")
            index = self.w.op("Sub", [index, zero], f"{node.output}.row")
        rows = embedding_rows(self.graph, node)
        stored = self.w.constant(rows + BIAS_TO_UNSIGNED, np.uint8, f"{node.name}.rows")
        ends = [self.w.constant(end, np.int64, "end") for end in (0, len(rows) - 1)]
        row = self.w.op("Clip", [index, *ends], f"{node.output}.inside")
        self.carried.put(node.output, self.w.op("Gather", [stored, row], f"{node.output}.bytes"))

    def _constant_value(self, node: Node) -> None:
        grid = grid_of(self.graph.values[node.output])
        stored, name = executable(self.graph.weights[node.params["value"]]), f"{node.output}.bytes"
        if grid.dtype == "int8":
            bytes_ = stored.astype(np.int64) + BIAS_TO_UNSIGNED
            self.carried.put(node.output, self.w.per_sample(bytes_, np.uint8, name))
        else:
            self.carried.put(node.output, self.w.per_sample(grid.dequantize(stored), np.float32, name))

    def _weights(self, node: Node) -> Mapping[str, str]:
        """int8 weights and int32 biases behind DequantizeLinear.

        A channel's weight scale follows from its multiplier, (M / 2^s) * s_y / s_x, so that the real ratio is
        the one that the integers use, whatever the weight's format.
        """
        name = stored_weight(self.graph, node)
        assert name is not None, "check() lists products without a stored weight"
        whole, bias, multiplier, shift = (
            executable(self.graph.weights[weight])
            for weight in (name, *(node.params[role] for role in ("bias", "multiplier", "shift")))
        )
        if node.op == "q.conv":
            whole = np.moveaxis(whole, -1, 1)
        s_x = grid_of(self.graph.values[node.inputs[0]]).scale
        s_y = grid_of(self.graph.values[node.output]).scale
        ratio = np.ldexp(multiplier.astype(np.float64), -shift.astype(np.int64)) * s_y / s_x
        # ONNX wants positive scales; a ratio of 0 makes every product vanish, as does the smallest number.
        scale = np.maximum(ratio, np.finfo(np.float32).tiny).astype(np.float32)
        scale = np.broadcast_to(scale, (len(whole),))
        return {
            "weight": self._constant(whole.astype(np.int8), scale, name),
            "bias": self._constant(
                np.broadcast_to(bias, scale.shape).astype(np.int32),
                scale * np.float32(s_x),
                node.params["bias"],
            ),
        }

    def _constant(self, whole: Array, scale: Array, name: str) -> str:
        operands = [
            self.w.constant(whole, whole.dtype, name),
            self.w.constant(scale, np.float32, f"{name}.scale"),
            self.w.constant(np.zeros(scale.shape), whole.dtype, f"{name}.zero"),
        ]
        return self.w.op("DequantizeLinear", operands, f"{name}.real", axis=0)

    def _table(self, node: Node) -> None:
        """The function that the table was made from, where one is found; else the table itself."""
        values, w = self.graph.values, self.w
        x, y = grid_of(values[node.inputs[0]]), grid_of(values[node.output])
        table = executable(self.graph.weights[node.params["table"]])
        function = known_function(table, x, y)
        if function:
            bounds = {"lo": y.qmin, "hi": y.qmax}
            self._rule(Node(node.name, function, node.inputs, node.outputs, attrs=bounds))
            return
        stored = w.constant(table.astype(np.int64) + BIAS_TO_UNSIGNED, np.uint8, f"{node.name}.table")
        given = self.carried.get(node.inputs[0], len(values[node.output].shape), False)
        index = w.cast(given, np.int32, f"{node.output}.index")
        self.carried.put(node.output, w.op("Gather", [stored, index], f"{node.output}.bytes"))


def known_function(table: Array, x: Grid, y: Grid) -> str | None:
    """The function whose table from grid `x` to grid `y` this is: one that is defined everywhere."""
    defined = (op for op in (*SMOOTH, *STEEP) if op not in DOMAINS)
    matching = (op for op in defined if np.array_equal(table_entries(op, x, y), table))
    return next(matching, None)


def _expressible(graph: Graph, node: Node) -> bool:
    """Bytes are looked up where no function is found; 16-bit values can't be."""
    x, y = (grid_of(graph.values[name]) for name in (node.inputs[0], node.output))
    table = executable(graph.weights[node.params["table"]])
    return x.dtype == "int8" or known_function(table, x, y) is not None


def _port_problems(graph: Graph) -> list[Problem]:
    ports = (name for name in (*graph.inputs, *graph.outputs) if graph.values[name].dtype == "int16")
    return [
        Problem(name, "a port of 16 bits", "Export with float ports, or the exact flavour") for name in ports
    ]


def _node_problems(graph: Graph, node: Node) -> list[Problem]:
    if node.op == "island":
        return island_problems(node)
    if node.op in ("quantize", "dequantize", "q.decode"):
        return []
    if node.op == "q.scan":
        body = body_of(node, graph.weights)
        return [problem for inner in body.nodes for problem in _node_problems(body, inner)]
    if node.op == "q.table" and not _expressible(graph, node):
        return [Problem(node.name, "its table is no known function", "Export the exact ONNX flavour")]
    known = node.op in ("q.table", "q.constant") or node.op.removeprefix("q.") in REAL_RULES
    if not known or node.op == "q.overwrite":  # real numbers know nothing of lanes
        return [Problem(node.name, f"no rule for {node.op}", "Use the .smg file or the C project")]
    return [*(weight_problems(graph, node) if node.op.startswith("q.") else []), *pool_problems(node)]
