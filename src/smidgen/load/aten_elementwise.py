"""ATen operators that work on single elements: functions, comparisons, choices, arithmetic."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from smidgen.graph.activations import SMOOTH, STEEP
from smidgen.load import compose
from smidgen.load.activations import activation, clamp, elu, shrunk, softplus
from smidgen.load.aten_call import Call, Handler
from smidgen.load.source import Constant, NotCaptured, Operand, Source

Binary = Callable[[Source, Operand, Operand, str], str]


def _function(op: str) -> Handler:
    return lambda call: activation(call.source, op, call.x, call.name)


def _gelu(call: Call) -> str:
    op = "gelu_tanh" if call.text.get("approximate") == "tanh" else "gelu"
    return call.source.op(op, [call.x], call.name)


def _softplus(call: Call) -> str:
    return softplus(call.source, call.x, float(call.args["beta"]), call.name)


def _elu(call: Call) -> str:
    alpha, scale, inner = (float(call.args.get(key, 1)) for key in ("alpha", "scale", "input_scale"))
    return elu(call.source, call.x, alpha, scale, inner, call.name)


def _celu(call: Call) -> str:
    alpha = float(call.args["alpha"])
    return elu(call.source, call.x, alpha, 1.0, 1 / alpha, call.name)


def _log_sigmoid(call: Call) -> str:
    mirrored = call.source.scale(call.x, -1.0, f"{call.name}.mirror")
    return call.source.scale(call.source.op("softplus", [mirrored], f"{call.name}.softplus"), -1.0, call.name)


def _threshold(call: Call) -> str:
    kept = compose.greater(call.source, call.x, call.operand("threshold"), f"{call.name}.above")
    return compose.where(call.source, kept, call.x, call.operand("value"), call.name)


def _hardshrink(call: Call) -> str:
    size = call.source.op("abs", [call.x], f"{call.name}.size")
    kept = compose.greater(call.source, size, call.operand("lambd"), f"{call.name}.above")
    return call.source.mul(call.x, kept, call.name)


def _softshrink(call: Call) -> str:
    return shrunk(call.source, call.x, float(call.args["lambd"]), float(call.args["lambd"]), call.name)


def _scaled(op: str, factor: float) -> Handler:
    """factor * op(x)."""
    return lambda call: call.source.scale(
        call.source.op(op, [call.x], f"{call.name}.{op}"), factor, call.name
    )


def _round(call: Call) -> str:
    if call.args.get("decimals"):
        raise NotCaptured("rounding to decimals", "Scale before and after round()")
    return call.source.op("round", [call.x], call.name)


def _fraction(call: Call) -> str:
    whole = compose.truncated(call.source, call.x, f"{call.name}.whole")
    return call.source.subtract(call.x, whole, call.name)


def _binary(function: Binary, swapped: bool = False) -> Handler:
    def handle(call: Call) -> str:
        pair = call.operand("self"), call.operand("other")
        a, b = reversed(pair) if swapped else pair
        return function(call.source, a, b, call.name)

    return handle


def _not(call: Call) -> str:
    return compose.negation(call.source, call.x, call.name)


def _where(call: Call) -> str:
    condition, a, b = (call.operand(key) for key in ("condition", "self", "other"))
    return compose.where(call.source, condition, a, b, call.name)


def _masked_fill(call: Call) -> str:
    return compose.where(
        call.source, call.operand("mask"), call.operand("value"), call.operand("self"), call.name
    )


def _divide(call: Call) -> str:
    quotient = compose.divide(call.source, call.operand("self"), call.operand("other"), call.name)
    rounding = call.text.get("rounding_mode")
    if rounding == "trunc":
        return compose.truncated(call.source, quotient, f"{call.name}.trunc")
    return call.source.op("floor", [quotient], f"{call.name}.floor") if rounding == "floor" else quotient


def _floor_divide(call: Call) -> str:
    pair = call.operand("self"), call.operand("other")
    quotient = compose.divide(call.source, *pair, f"{call.name}.quotient")
    return call.source.op("floor", [quotient], call.name)


def _fmod(call: Call) -> str:
    return compose.remainder(call.source, call.operand("self"), call.operand("other"), call.name, "trunc")


def _power(call: Call) -> str:
    return compose.power(call.source, call.operand("self"), call.operand("exponent"), call.name)


def _square(call: Call) -> str:
    return call.source.mul(call.x, call.x, call.name)


def _with_product(call: Call) -> str:
    """self + value * tensor1 * tensor2."""
    product = call.source.mul(call.operand("tensor1"), call.operand("tensor2"), f"{call.name}.product")
    scaled = call.source.scale(product, float(call.args["value"]), f"{call.name}.scaled")
    return call.source.add(call.operand("self"), scaled, call.name)


def _with_quotient(call: Call) -> str:
    """self + value * tensor1 / tensor2."""
    pair = call.operand("tensor1"), call.operand("tensor2")
    quotient = compose.divide(call.source, *pair, f"{call.name}.quotient")
    scaled = call.source.scale(quotient, float(call.args["value"]), f"{call.name}.scaled")
    return call.source.add(call.operand("self"), scaled, call.name)


def _gated(call: Call) -> str:
    """glu: the first half of an axis times the sigmoid of the second."""
    axis = call.axis(call.args["dim"])
    half = call.source.shape(call.x)[axis] // 2
    value, gate = call.source.split(call.x, axis, (half, half), f"{call.name}.half")
    return call.source.mul(value, call.source.op("sigmoid", [gate], f"{call.name}.gate"), call.name)


def _lerp(call: Call) -> str:
    """self + weight * (end - self)."""
    start, weight = call.operand("self"), call.operand("weight")
    gap = call.source.subtract(call.operand("end"), start, f"{call.name}.gap")
    return call.source.add(start, call.source.mul(gap, weight, f"{call.name}.part"), call.name)


def _clamp(low: str, high: str) -> Handler:
    def handle(call: Call) -> str:
        bounds = [call.operand(key) if call.args.get(key) is not None else None for key in (low, high)]
        if all(b is None or (isinstance(b, Constant) and b.array.size == 1) for b in bounds):
            lo, hi = (None if b is None else float(b.array.item()) for b in bounds)  # type: ignore[union-attr]
            return clamp(call.source, call.x, lo, hi, call.name)
        made = call.x
        if bounds[0] is not None:
            made = compose.maximum(call.source, made, bounds[0], f"{call.name}.least")
        return made if bounds[1] is None else compose.minimum(call.source, made, bounds[1], call.name)

    return handle


COMPARISONS = ("gt", "ge", "lt", "le", "eq", "ne")
_OTHERWISE = {"gelu", "gelu_tanh", "gelu_polynomial", "softplus", "elu", "round", "step", "binarize"}
_SAME_NAME = {*SMOOTH, *STEEP} - _OTHERWISE

LOGIC_HANDLERS: Mapping[str, Handler] = {
    "gt": _binary(compose.greater),
    "ge": _binary(compose.greater_equal),
    "lt": _binary(compose.greater, swapped=True),
    "le": _binary(compose.greater_equal, swapped=True),
    "eq": _binary(compose.equal),
    "ne": _binary(compose.differs),
    **dict.fromkeys(("logical_and", "bitwise_and", "__and__"), _binary(Source.mul)),
    **dict.fromkeys(("logical_or", "bitwise_or", "__or__"), _binary(compose.either)),
    **dict.fromkeys(("logical_xor", "bitwise_xor", "__xor__"), _binary(compose.differs)),
    **dict.fromkeys(("logical_not", "bitwise_not"), _not),
}
"""Those whose result is true or false; between tensors of such, where they work bit by bit."""

ELEMENTWISE_HANDLERS: Mapping[str, Handler] = {
    **{name: _function(name) for name in ("relu", "relu6", *_SAME_NAME)},
    **{f"arc{name[1:]}": _function(name) for name in ("asin", "acos", "atan", "asinh", "acosh", "atanh")},
    "gelu": _gelu,
    "softplus": _softplus,
    "elu": _elu,
    "celu": _celu,
    **dict.fromkeys(("log_sigmoid", "log_sigmoid_forward"), _log_sigmoid),
    "threshold": _threshold,
    "hardshrink": _hardshrink,
    "softshrink": _softshrink,
    "log2": _scaled("log", 1 / math.log(2)),
    "log10": _scaled("log", 1 / math.log(10)),
    "log1p": lambda call: call.source.op(
        "log", [call.source.shift(call.x, 1.0, f"{call.name}.in")], call.name
    ),
    "expm1": lambda call: call.source.shift(
        call.source.op("exp", [call.x], f"{call.name}.exp"), -1.0, call.name
    ),
    "exp2": lambda call: compose.power(call.source, Constant(np.array(2.0)), call.x, call.name),
    "round": _round,
    "sgn": _function("sign"),
    **dict.fromkeys(("trunc", "fix"), lambda call: compose.truncated(call.source, call.x, call.name)),
    "frac": _fraction,
    **LOGIC_HANDLERS,
    "where": _where,
    "masked_fill": _masked_fill,
    **dict.fromkeys(("maximum", "fmax"), _binary(compose.maximum)),
    **dict.fromkeys(("minimum", "fmin"), _binary(compose.minimum)),
    **dict.fromkeys(("clamp", "clamp_min", "clamp_max", "clip"), _clamp("min", "max")),
    "hardtanh": _clamp("min_val", "max_val"),
    **dict.fromkeys(("div", "true_divide"), _divide),
    "floor_divide": _floor_divide,
    "remainder": _binary(compose.remainder),
    "fmod": _fmod,
    "pow": _power,
    "square": _square,
    "addcmul": _with_product,
    "addcdiv": _with_quotient,
    "lerp": _lerp,
    "glu": _gated,
}
