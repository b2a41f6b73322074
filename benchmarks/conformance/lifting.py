"""Puts a batch axis in front of a test's tensors, so that what the test calls a tensor is one sample.

Axes that the operator's settings count from the front move up by one, and so do the sizes it is given. That
is how an exporter would have written the same computation for a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from onnx import defs, helper, numpy_helper

Array = np.ndarray


class CannotLift(Exception):
    """The operator has a batch axis of its own, or no meaning for a batch."""


@dataclass
class Lift:
    """A node whose settings and inputs move behind a batch axis. `data`: the inputs that get it."""

    node: Any
    attrs: dict[str, Any]
    inputs: list[Array | None]
    data: frozenset[int]
    opset: int

    @property
    def rank(self) -> int:
        """Axes of the first input's sample."""
        first = self.inputs[0]
        assert first is not None
        return first.ndim

    def default(self, attribute: str) -> Any:
        known = defs.get_schema(self.node.op_type, self.opset, self.node.domain).attributes
        has = attribute in known and known[attribute].default_value.type
        return helper.get_attribute_value(known[attribute].default_value) if has else None

    def constant(self, index: int) -> Array | None:
        return self.inputs[index] if index < len(self.inputs) else None

    def set_constant(self, index: int, array: Array) -> None:
        self.inputs += [None] * (index + 1 - len(self.inputs))
        self.inputs[index] = array


def lifted(node: Any, inputs: list[Array | None], data: frozenset[int], opset: int) -> Lift:
    """The node for samples. Raises CannotLift."""
    attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    lift = Lift(node, attrs, list(inputs), data, opset)
    if not lift.inputs or lift.inputs[0] is None or 0 not in data:
        raise CannotLift
    if node.op_type in RULES:
        RULES[node.op_type](lift)
    elif node.op_type in ELEMENTWISE:
        _broadcast(lift)
    else:
        raise CannotLift
    return lift


def _broadcast(lift: Lift) -> None:
    """Samples of one rank, so that they still meet from behind."""
    rank = max(a.ndim for a in lift.inputs if a is not None)
    for index in lift.data:
        array = lift.inputs[index]
        if array is not None:
            lift.inputs[index] = array.reshape((1,) * (rank - array.ndim) + array.shape)


def _axis(lift: Lift) -> None:
    axis = lift.attrs.get("axis", lift.default("axis"))
    if axis is None:
        raise CannotLift
    lift.attrs["axis"] = axis + 1 if axis >= 0 else axis


def _axes(*sized: int, at: int | None = None, all_when_absent: bool = True) -> Callable[[Lift], None]:
    """A rule for axes in an attribute or input `at`; absent ones become those of the sample."""

    def rule(lift: Lift) -> None:
        given, place = lift.attrs.get("axes"), None
        if given is None and at is not None and lift.constant(at) is not None:
            given, place = lift.constant(at).tolist(), at  # type: ignore[union-attr]
        if not given and lift.attrs.get("noop_with_empty_axes"):
            return
        if given is None or not len(given):
            if not all_when_absent:
                raise CannotLift
            given = range(lift.rank)
        moved = [axis + 1 if axis >= 0 else axis for axis in given]
        schema = defs.get_schema(lift.node.op_type, lift.opset, lift.node.domain)
        if place is None and "axes" in schema.attributes:
            lift.attrs["axes"] = moved
        elif at is not None:
            lift.set_constant(at, np.array(moved, dtype=np.int64))

    return rule


def _slice(lift: Lift) -> None:
    starts = lift.constant(1)
    if lift.constant(3) is None and starts is not None:
        lift.set_constant(3, np.arange(len(starts)))
    _axes(at=3)(lift)


def _squeeze(lift: Lift) -> None:
    if "axes" not in lift.attrs and lift.constant(1) is None:
        first = lift.inputs[0]
        assert first is not None
        lift.set_constant(1, np.array([i for i, n in enumerate(first.shape) if n == 1], dtype=np.int64))
    _axes(at=1)(lift)


def _prefixed(at: int, first: int) -> Callable[[Lift], None]:
    def rule(lift: Lift) -> None:
        sizes = lift.constant(at)
        if sizes is None or lift.attrs.get("allowzero"):
            raise CannotLift
        lift.set_constant(at, np.concatenate([np.array([first], dtype=sizes.dtype), sizes]))

    return rule


def _expand(lift: Lift) -> None:
    x, sizes = lift.inputs[0], lift.constant(1)
    if sizes is None or x is None:
        raise CannotLift
    rank = max(x.ndim, len(sizes))
    lift.inputs[0] = x.reshape((1,) * (rank - x.ndim) + x.shape)
    lift.set_constant(1, np.array([1] * (1 + rank - len(sizes)) + sizes.tolist(), dtype=np.int64))


def _pad(lift: Lift) -> None:
    given = lift.constant(1)
    if given is None or "pads" in lift.attrs:
        raise CannotLift
    if lift.constant(3) is not None:
        return _axes(at=3)(lift)
    before, after = np.split(np.asarray(given), 2)
    return lift.set_constant(1, np.concatenate([[0], before, [0], after]).astype(np.int64))


def _transpose(lift: Lift) -> None:
    perm = lift.attrs.get("perm", list(range(lift.rank))[::-1])
    lift.attrs["perm"] = [0, *(axis + 1 for axis in perm)]


def _matmul(lift: Lift) -> None:
    if any(a is None or a.ndim < 2 for a in lift.inputs):
        raise CannotLift
    _broadcast(lift)


def _quantize(lift: Lift) -> None:
    scale = lift.constant(1)
    if scale is None or scale.ndim > 1:
        raise CannotLift
    _axis(lift)


def _einsum(lift: Lift) -> None:
    equation = lift.attrs["equation"].decode()
    if "->" not in equation or len(lift.data) != len(lift.inputs):
        raise CannotLift
    if "." in equation:
        return
    free = next(c for c in "ZYXWV" if c not in equation)
    left, right = equation.split("->")
    lift.attrs["equation"] = ",".join(free + t.strip() for t in left.split(",")) + f"->{free}{right.strip()}"


def _cumulative(lift: Lift) -> None:
    axis = lift.constant(1)
    if axis is None or axis.size != 1:
        raise CannotLift
    lift.set_constant(1, np.where(axis >= 0, axis + 1, axis).astype(axis.dtype))


_AXIS = (
    "Softmax LogSoftmax Hardmax Concat Split Gather GatherElements ArgMax ArgMin TopK "
    "LayerNormalization RMSNormalization LpNormalization OneHot SwiGLU"
)
_REDUCTIONS = "Max Min Mean Sum Prod L1 L2 LogSum LogSumExp SumSquare"
RULES: Mapping[str, Callable[[Lift], None]] = {
    **dict.fromkeys(_AXIS.split(), _axis),
    **{f"Reduce{name}": _axes(at=1) for name in _REDUCTIONS.split()},
    "Squeeze": _squeeze,
    "Unsqueeze": _axes(at=1, all_when_absent=False),
    "Slice": _slice,
    "CenterCropPad": _axes(),
    "Pad": _pad,
    "Reshape": _prefixed(1, 0),
    "Tile": _prefixed(1, 1),
    "Expand": _expand,
    "Transpose": _transpose,
    "QuantizeLinear": _quantize,
    "DequantizeLinear": _quantize,
    "MatMul": _matmul,
    "Einsum": _einsum,
    "CumSum": _cumulative,
    "CumProd": _cumulative,
}
_ELEMENTWISE = (
    "Abs Acos Acosh Add And Asin Asinh Atan Atanh Cast CastLike Ceil Celu Clip Cos Cosh Div Dropout Elu "
    "Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf IsNaN LeakyRelu "
    "Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow Reciprocal Relu Round Selu Shrink "
    "Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan Tanh ThresholdedRelu Trilu Where Xor "
    "BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor"
)
ELEMENTWISE = frozenset(_ELEMENTWISE.split())


def rebuilt(lift: Lift, names: list[str]) -> Any:
    """The node with its new settings; `names`: of all inputs, "" where left out."""
    node = helper.make_node(
        lift.node.op_type, names, list(lift.node.output), domain=lift.node.domain, **lift.attrs
    )
    return node


def initializer(array: Array, name: str) -> Any:
    return numpy_helper.from_array(np.ascontiguousarray(array).reshape(array.shape), name)
