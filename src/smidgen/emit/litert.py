"""An integer network as a LiteRT file (`.tflite`), to be timed against: int8 operators, fused activations.

Not exact, and not an export for users: LiteRT has scales of float32 and roundings of its own. Weights, zero
points and ranges are ours, so that its kernels do the same work. Recurrence has no int8 operators there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from smidgen.emit.onnx_site import grid_of
from smidgen.errors import MissingExtra, Unsupported
from smidgen.formats import Grid
from smidgen.graph import Graph
from smidgen.numerics import Array

VERSION = 3
IDENTIFIER = b"TFL3"
PLACEHOLDER = 127  # in the field for operators of old, which had one byte
# The version of an operator that knows int8, where it is not the second.
INT8_VERSIONS = {"CONV_2D": 3, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 4, "RESHAPE": 1, "HARD_SWISH": 1}
BATCH = 1  # what the file declares; an interpreter may be asked to resize it


def litert_model(graph: Graph) -> bytes:
    """The file. `graph` is an integer graph with int8 values.

    Raises:
        Unsupported: naming every node that LiteRT has no int8 operator for.
        MissingExtra: ai-edge-litert is not installed.
    """
    from smidgen.emit.litert_ops import problems_of, write_node

    if problems := problems_of(graph):
        raise Unsupported(graph.name, "; ".join(problems), "", "Compare with ONNX Runtime")
    w = LitertWriter(graph)
    for node in graph.nodes:
        write_node(w, node)
    return w.finished()


class LitertWriter:
    """One file being written. A value of the graph is a tensor [1, ...] with its grid."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.schema = _schema()
        self._buffers = [self.schema.BufferT()]  # number 0 is the empty one, by convention
        self._tensors: list[Any] = []
        self._operators: list[Any] = []
        self._kinds: list[str] = []
        self._values: dict[str, int] = {}

    def value(self, name: str) -> int:
        """The tensor of a value."""
        if name not in self._values:
            value = self.graph.values[name]
            self._values[name] = self.tensor(name, (BATCH, *value.shape), grid_of(value))
        return self._values[name]

    def tensor(self, name: str, shape: Sequence[int], grid: Grid) -> int:
        """An int8 tensor that an operator makes."""
        return self._add(name, shape, "INT8", 0, ([grid.scale], [grid.zero], 0))

    def constant(
        self, name: str, array: Array, scales: Array | None = None, axis: int = 0, zero: int = 0
    ) -> int:
        """A stored int8 or int32 tensor, with a scale for each slice along `axis`."""
        buffer = self.schema.BufferT()
        buffer.data = np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)
        self._buffers.append(buffer)
        grid = None if scales is None else (scales.tolist(), [zero] * len(scales), axis)
        return self._add(name, array.shape, array.dtype.name.upper(), len(self._buffers) - 1, grid)

    def _add(
        self,
        name: str,
        shape: Sequence[int],
        kind: str,
        buffer: int,
        grid: tuple[list[float], list[int], int] | None,
    ) -> int:
        made = self.schema.TensorT()
        made.name, made.shape, made.buffer = name.encode(), list(shape), buffer
        made.type = getattr(self.schema.TensorType, kind)
        if grid is not None:
            made.quantization = self.schema.QuantizationParametersT()
            made.quantization.scale, made.quantization.zeroPoint, axis = grid
            made.quantization.quantizedDimension = axis
        self._tensors.append(made)
        return len(self._tensors) - 1

    def op(self, kind: str, inputs: Sequence[int], output: int, options: str = "", **settings: Any) -> None:
        """Append the builtin operator `kind`, with its table of `options`, e.g. `Conv2DOptions`."""
        made = self.schema.OperatorT()
        if kind not in self._kinds:
            self._kinds.append(kind)
        made.opcodeIndex = self._kinds.index(kind)
        made.inputs, made.outputs = list(inputs), [output]
        if options:
            made.builtinOptionsType = getattr(self.schema.BuiltinOptions, options)
            made.builtinOptions = getattr(self.schema, f"{options}T")()
            for name, setting in settings.items():
                assert hasattr(made.builtinOptions, name), f"{options} has no {name}"
                setattr(made.builtinOptions, name, setting)
        self._operators.append(made)

    def finished(self) -> bytes:
        """The bytes of the file."""
        import flatbuffers

        schema = self.schema
        subgraph = schema.SubGraphT()
        subgraph.tensors, subgraph.operators = self._tensors, self._operators
        subgraph.inputs = [self.value(name) for name in self.graph.inputs]
        subgraph.outputs = [self.value(name) for name in self.graph.outputs]
        subgraph.name = b"main"
        model = schema.ModelT()
        model.version, model.subgraphs, model.buffers = VERSION, [subgraph], self._buffers
        model.operatorCodes = [_code(schema, kind) for kind in self._kinds]
        builder = flatbuffers.Builder(1 << 16)
        builder.Finish(model.Pack(builder), IDENTIFIER)
        return bytes(builder.Output())


def _code(schema: Any, kind: str) -> Any:
    made = schema.OperatorCodeT()
    made.builtinCode = getattr(schema.BuiltinOperator, kind)
    made.deprecatedBuiltinCode = min(made.builtinCode, PLACEHOLDER)
    made.version = INT8_VERSIONS.get(kind, 2)
    return made


def _schema() -> Any:
    try:
        from ai_edge_litert import schema_py_generated
    except ImportError as missing:
        raise MissingExtra("comparison with LiteRT", "ai-edge-litert", "bench") from missing
    return schema_py_generated
