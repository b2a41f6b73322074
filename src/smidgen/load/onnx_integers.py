"""Operators on integers (QLinearConv, MatMulInteger, …) spelled out: the float one between Q/DQ nodes.

Quantization that is decided while the network runs (DynamicQuantizeLinear) has no grid to keep: its values
stay real numbers, as if rounded to infinitely fine steps. The integers of weights are kept everywhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

DOMAINS = ("", "ai.onnx", "com.microsoft")


@dataclass(frozen=True)
class Spelling:
    """What an operator on integers means: `op` on operands (value, scale, zero) that start at these inputs.

    `result`: where the output's scale and zero are. `weight_axis`: of the second operand's scales.
    """

    op: str
    operands: tuple[int, ...]
    result: int
    weight_axis: int = 1
    bias: int | None = None


_UNARY = {
    "QLinearSigmoid": "Sigmoid",
    "QLinearLeakyRelu": "LeakyRelu",
    "QLinearAveragePool": "AveragePool",
    "QLinearGlobalAveragePool": "GlobalAveragePool",
    "QLinearSoftmax": "Softmax",
    "QLinearReduceMean": "ReduceMean",
}
_SPELLINGS: Mapping[str, Spelling] = {
    "QLinearConv": Spelling("Conv", (0, 3), 6, weight_axis=0, bias=8),
    "QLinearMatMul": Spelling("MatMul", (0, 3), 6),
    "QLinearAdd": Spelling("Add", (0, 3), 6),
    "QLinearMul": Spelling("Mul", (0, 3), 6),
    "QGemm": Spelling("Gemm", (0, 3), 7, bias=6),
    **{name: Spelling(op, (0,), 3) for name, op in _UNARY.items()},
}


def spelled_out(model: Any) -> Any:
    """`model` without operators on integers that have another spelling; the same one if there are none."""
    rewrite = _Rewrite(model)
    nodes = [made for node in model.graph.node for made in rewrite(node)]
    if not rewrite.changed:
        return model
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.graph.node[:]
    copy.graph.node.extend(nodes)
    return copy


_ON_DYNAMIC = ("MatMulInteger", "ConvInteger")


class _Rewrite:
    def __init__(self, model: Any) -> None:
        graph = model.graph
        self.changed = False
        self.dynamic: set[str] = set()
        self._outputs = {port.name for port in graph.output}
        self._others = {n for node in graph.node if node.op_type not in _ON_DYNAMIC for n in node.input}
        self._taken = {name for node in graph.node for name in (*node.input, *node.output)}
        self._rules: dict[str, Callable[[Any], list[Any] | None]] = {
            **dict.fromkeys(_SPELLINGS, self._spell),
            "QLinearConcat": self._concat,
            "DynamicQuantizeLinear": self._dynamic,
            "MatMulInteger": lambda node: self._integer(node, "MatMul", 1),
            "ConvInteger": lambda node: self._integer(node, "Conv", 0),
        }

    def __call__(self, node: Any) -> list[Any]:
        if node.domain not in DOMAINS:
            return [node]
        if node.op_type in ("QuantizeLinear", "DequantizeLinear") and node.domain == "com.microsoft":
            self.changed = True
            standard = onnx.NodeProto()
            standard.CopyFrom(node)
            standard.domain = ""
            return [standard]
        made = self._rules[node.op_type](node) if node.op_type in self._rules else None
        self.changed |= made is not None
        return [node] if made is None else made

    def _spell(self, node: Any) -> list[Any]:
        spelling, made = _SPELLINGS[node.op_type], list[Any]()
        axis = spelling.weight_axis
        if node.op_type == "QGemm" and any(a.name == "transB" and a.i for a in node.attribute):
            axis = 0
        reals = [self._real(node, start, made, axis if start else None) for start in spelling.operands]
        if spelling.bias is not None and _given(node, spelling.bias):
            reals.append(self._bias(node, spelling.bias, made))
        result = spelling.result
        has_grid = bool(_given(node, result))  # QGemm may give real numbers
        out = self._name(f"{node.output[0]}_real") if has_grid else node.output[0]
        kept = [a for a in node.attribute if a.name not in ("channels_last", "opset")]
        made.append(_node(spelling.op, reals, [out], node.name, kept))
        if has_grid:
            made.append(_node("QuantizeLinear", [out, *node.input[result : result + 2]], node.output))
        return made

    def _concat(self, node: Any) -> list[Any]:
        made: list[Any] = []
        reals = [self._real(node, start, made, None) for start in range(2, len(node.input), 3)]
        out = self._name(f"{node.output[0]}_real")
        made.append(_node("Concat", reals, [out], node.name, node.attribute))
        return [*made, _node("QuantizeLinear", [out, *node.input[:2]], node.output)]

    def _dynamic(self, node: Any) -> list[Any] | None:
        """The value itself, as integers of scale 1 and zero point 0, if only products read them."""
        if node.output[0] in self._others or not self._outputs.isdisjoint(node.output):
            return None
        self.dynamic.add(node.output[0])
        made = [_node("Identity", [node.input[0]], [node.output[0]], node.name)]
        for name, number in zip(node.output[1:], (np.float32(1), np.uint8(0))):
            value = numpy_helper.from_array(np.asarray(number))
            made += [helper.make_node("Constant", [], [name], value=value)] if name else []
        return made

    def _integer(self, node: Any, op: str, axis: int) -> list[Any]:
        """A product with the weight's integers, whose scale 1 a later multiplication replaces."""
        if node.input[0] not in self.dynamic:
            return [node]
        made = [_constant(one := self._name(f"{node.output[0]}_one"), 1.0)]
        zero = _given(node, 3)
        if zero:  # as many scales as zero points
            shape, scale = self._name(f"{zero}_shape"), self._name(f"{zero}_ones")
            made += [_node("Shape", [zero], [shape]), _node("Expand", [one, shape], [scale])]
        else:
            scale = one
        real = self._name(f"{node.input[1]}_real")
        given = [node.input[1], scale, *([zero] if zero else [])]
        made.append(
            _node("DequantizeLinear", given, [real], attributes=[helper.make_attribute("axis", axis)])
        )
        return [*made, _node(op, [node.input[0], real], node.output, node.name, node.attribute)]

    def _real(self, node: Any, start: int, made: list[Any], axis: int | None) -> str:
        """The operand whose value, scale and zero point are the inputs from `start` on."""
        out = self._name(f"{node.input[start]}_real")
        attributes = [] if axis is None else [helper.make_attribute("axis", axis)]
        given = node.input[start : start + 3]
        made.append(_node("DequantizeLinear", given, [out], attributes=attributes))
        return out

    def _bias(self, node: Any, index: int, made: list[Any]) -> str:
        """int32, counted in products of the two operands' steps."""
        scale, out = (self._name(f"{node.input[index]}_{role}") for role in ("scale", "real"))
        made.append(_node("Mul", [node.input[1], node.input[4]], [scale]))
        axis = [helper.make_attribute("axis", 0)]
        made.append(_node("DequantizeLinear", [node.input[index], scale], [out], attributes=axis))
        return out

    def _name(self, stem: str) -> str:
        name, number = stem, 2
        while name in self._taken:
            name, number = f"{stem}_{number}", number + 1
        self._taken.add(name)
        return name


def _given(node: Any, index: int) -> str:
    return str(node.input[index]) if index < len(node.input) else ""


def _constant(name: str, number: float) -> Any:
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.float32(number)))


def _node(
    op: str, inputs: Sequence[str], outputs: Sequence[str], name: str = "", attributes: Sequence[Any] = ()
) -> Any:
    made = helper.make_node(op, list(inputs), list(outputs), name=name)
    made.attribute.extend(attributes)
    return made
