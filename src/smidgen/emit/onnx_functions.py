"""Functions of one value in float32 ONNX, as graph/activations.py defines them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from smidgen.emit.onnx_writer import OnnxWriter
from smidgen.graph.activations import UNIPOLAR

Write = Callable[[OnnxWriter, str, str], str]
"""(writer, ONNX name of x, name wanted for the result) -> ONNX name of the result."""


def clipped(w: OnnxWriter, x: str, lo: float, hi: float, out: str) -> str:
    """`x` limited to [lo, hi]."""
    limits = [w.constant(bound, np.float32, f"{out}.bound") for bound in (lo, hi)]
    return w.op("Clip", [x, *limits], out)


def _named(kind: str, **attrs: float) -> Write:
    return lambda w, x, out: w.op(kind, [x], out, **attrs)


def _number(w: OnnxWriter, value: float) -> str:
    return w.constant(value, np.float32, "number")


def _half_of(w: OnnxWriter, x: str, between: str, out: str) -> str:
    """x / 2 * (1 + between)."""
    raised = w.op("Add", [between, _number(w, 1.0)], f"{out}.raised")
    return w.op("Mul", [w.op("Mul", [x, _number(w, 0.5)], f"{out}.half"), raised], out)


def _gelu(w: OnnxWriter, x: str, out: str) -> str:
    scaled = w.op("Mul", [x, _number(w, 1 / math.sqrt(2))], f"{out}.scaled")
    return _half_of(w, x, w.op("Erf", [scaled], f"{out}.erf"), out)


def _gelu_tanh(w: OnnxWriter, x: str, out: str) -> str:
    square = w.op("Mul", [x, x], f"{out}.square")
    bent = w.op("Mul", [square, _number(w, 0.044715)], f"{out}.bent")
    slope = w.op("Add", [bent, _number(w, 1.0)], f"{out}.slope")
    inner = w.op(
        "Mul", [w.op("Mul", [x, slope], f"{out}.cubic"), _number(w, math.sqrt(2 / math.pi))], f"{out}.in"
    )
    return _half_of(w, x, w.op("Tanh", [inner], f"{out}.tanh"), out)


def _gelu_polynomial(w: OnnxWriter, x: str, out: str) -> str:
    scaled = w.op("Mul", [x, _number(w, 1 / math.sqrt(2))], f"{out}.scaled")
    size = clipped(w, w.op("Abs", [scaled], f"{out}.size"), 0.0, 1.769, f"{out}.inside")
    left = w.op("Sub", [size, _number(w, 1.769)], f"{out}.left")
    bent = w.op("Mul", [w.op("Mul", [left, left], f"{out}.square"), _number(w, 0.2888)], f"{out}.bent")
    parabola = w.op("Sub", [_number(w, 1.0), bent], f"{out}.parabola")
    return _half_of(w, x, w.op("Mul", [w.op("Sign", [x], f"{out}.sign"), parabola], f"{out}.erf"), out)


def _silu(w: OnnxWriter, x: str, out: str) -> str:
    return w.op("Mul", [x, w.op("Sigmoid", [x], f"{out}.gate")], out)


def _mish(w: OnnxWriter, x: str, out: str) -> str:
    gate = w.op("Tanh", [w.op("Softplus", [x], f"{out}.softplus")], f"{out}.gate")
    return w.op("Mul", [x, gate], out)


def _rsqrt(w: OnnxWriter, x: str, out: str) -> str:
    return w.op("Reciprocal", [w.op("Sqrt", [x], f"{out}.sqrt")], out)


def _step(w: OnnxWriter, x: str, out: str) -> str:
    return w.cast(w.op("Greater", [x, _number(w, 0.0)], f"{out}.above"), np.float32, out)


def _binarize(w: OnnxWriter, x: str, out: str) -> str:
    above = w.op("GreaterOrEqual", [x, _number(w, 0.0)], f"{out}.above")
    return w.op("Where", [above, _number(w, 1.0), _number(w, -1.0)], out)


def _unipolar(bits: int) -> Write:
    most = float(2**bits - 1)

    def write(w: OnnxWriter, x: str, out: str) -> str:
        inside = clipped(w, x, 0.0, 1.0, f"{out}.inside")
        steps = w.op("Mul", [inside, _number(w, most)], f"{out}.steps")
        whole = w.op("Floor", [w.op("Add", [steps, _number(w, 0.5)], f"{out}.half")], f"{out}.whole")
        return w.op("Div", [whole, _number(w, most)], out)

    return write


_SAME_NAME = (
    *(
        "Relu",
        "Sigmoid",
        "Tanh",
        "HardSwish",
        "Softplus",
        "Softsign",
        "Elu",
        "Selu",
        "Erf",
        "Exp",
        "Log",
        "Sqrt",
    ),
    *("Reciprocal", "Abs", "Sin", "Cos", "Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh"),
    *("Atanh", "Floor", "Ceil", "Round", "Sign"),
)

FUNCTIONS: Mapping[str, Write] = {
    **{kind.lower(): _named(kind) for kind in _SAME_NAME},
    "relu6": lambda w, x, out: clipped(w, x, 0.0, 6.0, out),
    "hardsigmoid": _named("HardSigmoid", alpha=1 / 6, beta=0.5),  # its defaults differ
    "gelu": _gelu,
    "gelu_tanh": _gelu_tanh,
    "gelu_polynomial": _gelu_polynomial,
    "silu": _silu,
    "mish": _mish,
    "rsqrt": _rsqrt,
    "binarize": _binarize,
    **{name: _unipolar(bits) for name, bits in UNIPOLAR.items()},
    "step": _step,
}
