"""Cuts operators out of an ONNX model as models of their own: to fold constants, and as islands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from smidgen.limits import decoded_bytes_limit
from smidgen.load.onnx_limits import FOLDED_TIMES, check_growth
from smidgen.numerics import Array


def needs(node: Any) -> list[str]:
    """The names that a node reads, those that its subgraphs take from outside included."""
    names = [name for name in node.input if name]
    for attribute in node.attribute:
        for graph in (attribute.g, *attribute.graphs):
            own = {port.name for port in graph.input} | {tensor.name for tensor in graph.initializer}
            for inner in graph.node:
                names += [name for name in needs(inner) if name not in own]
                own |= set(inner.output)
    return list(dict.fromkeys(names))


class Cutting:
    """A node with the uncaptured ones it depends on. `inputs`: the values that it reads from the graph."""

    def __init__(
        self, is_value: Callable[[str], bool], constants: Mapping[str, Array], producers: Mapping[str, Any]
    ) -> None:
        self.inputs: list[str] = []
        self.nodes: list[Any] = []
        self._initializers: dict[str, Array] = {}
        self._is_value, self._constants, self._producers = is_value, constants, producers

    def add(self, node: Any) -> None:
        """Append `node` after everything it needs."""
        if node in self.nodes:
            return
        for name in needs(node):
            if self._is_value(name):
                self.inputs += [] if name in self.inputs else [name]
            elif name in self._constants:
                self._initializers[name] = self._constants[name]
            else:
                self.add(self._producers[name])
        self.nodes.append(node)

    def model(
        self, outputs: Sequence[str], opsets: Sequence[Any], ports: Mapping[str, tuple[int, Sequence[Any]]]
    ) -> Any:
        """The cutting as a model; `ports`: element type and shape of each input."""
        graph = helper.make_graph(
            self.nodes,
            "island",
            [helper.make_tensor_value_info(name, *ports[name]) for name in self.inputs],
            [onnx.ValueInfoProto(name=name) for name in outputs],
            [numpy_helper.from_array(np.asarray(a), name) for name, a in self._initializers.items()],
        )
        return helper.make_model(graph, opset_imports=opsets)


def fold(node: Any, constants: Mapping[str, Array], opsets: Sequence[Any]) -> list[Array]:
    """The outputs of a node of constants. Raises ValueError if they are far larger than those."""
    cutting = Cutting(lambda name: False, constants, {})
    cutting.add(node)
    model = cutting.model([name for name in node.output if name], opsets, {})
    check_growth(model, sum(constants[name].nbytes for name in needs(node)))
    return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, {})]


def infer(model: Any, ports: Mapping[str, tuple[int, Sequence[int]]]) -> list[tuple[int, tuple[int, ...]]]:
    """(element type, shape) of each output: by shape inference, else by running the model on zeros."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    found = [_known(output.type.tensor_type) for output in inferred.graph.output]
    known = [pair for pair in found if pair is not None]
    if len(known) == len(found):
        return known
    check_growth(inferred, decoded_bytes_limit() // FOLDED_TIMES)
    feed = {
        name: np.zeros(shape, helper.tensor_dtype_to_np_dtype(kind)) for name, (kind, shape) in ports.items()
    }
    arrays = [np.asarray(array) for array in ReferenceEvaluator(model).run(None, feed)]
    return [(helper.np_dtype_to_tensor_dtype(array.dtype), array.shape) for array in arrays]


def _known(tensor_type: Any) -> tuple[int, tuple[int, ...]] | None:
    if not tensor_type.elem_type or not tensor_type.HasField("shape"):
        return None
    if not all(dim.HasField("dim_value") for dim in tensor_type.shape.dim):
        return None
    return tensor_type.elem_type, tuple(dim.dim_value for dim in tensor_type.shape.dim)
