"""Cuts operators out of an ONNX model as models of their own: to fold constants, and as islands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

from smidgen.load.onnx_limits import check_growth
from smidgen.numerics import Array
from smidgen.run.onnx_reference import evaluator

OLDEST_WITH_GRIDS = 19


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
        return _runnable(helper.make_model(graph, opset_imports=opsets))


def _runnable(model: Any) -> Any:
    """The evaluator knows QuantizeLinear and DequantizeLinear from operator set 19 on."""
    version = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=0)
    quantizes = any(node.op_type in ("QuantizeLinear", "DequantizeLinear") for node in model.graph.node)
    if not quantizes or version >= OLDEST_WITH_GRIDS:
        return model
    for port in model.graph.output:
        port.type.tensor_type.SetInParent()  # the converter wants a type, if an unknown one
    return onnx.version_converter.convert_version(model, OLDEST_WITH_GRIDS)


def fold(node: Any, constants: Mapping[str, Array], opsets: Sequence[Any]) -> list[Array]:
    """The outputs of a node of constants. Raises ValueError if they are far larger than those."""
    cutting = Cutting(lambda name: False, constants, {})
    cutting.add(node)
    model = cutting.model([name for name in node.output if name], opsets, {})
    check_growth(model, sum(constants[name].nbytes for name in needs(node)))
    with np.errstate(all="ignore"):  # overflow to infinity is what the operator says
        return [np.asarray(array) for array in evaluator(model).run(None, {})]
