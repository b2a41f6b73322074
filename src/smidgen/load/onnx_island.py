"""Cuts operators out of an ONNX model as models of their own: to fold constants, and as islands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

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
    """The outputs of a node that reads only constants."""
    cutting = Cutting(lambda name: False, constants, {})
    cutting.add(node)
    model = cutting.model([name for name in node.output if name], opsets, {})
    with np.errstate(all="ignore"):  # overflow to infinity is what the operator says
        return [np.asarray(array) for array in ReferenceEvaluator(model).run(None, {})]
