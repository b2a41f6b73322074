"""What the functions of one value mean on real numbers, in NumPy, for any float dtype.

Where a function has no value (the logarithm of a negative number) the result is NaN or infinite, as in every
runtime; tables of integers saturate there instead (`tabulated`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from smidgen.numerics import Array

Real = Callable[[Array], Array]

SELU_ALPHA, SELU_SCALE = 1.6732632423543772, 1.0507009873554805  # Ref: Klambauer et al. 2017
KNOTS_PER_UNIT = 256
LAST_KNOT = 6  # erf(6) is 1 in float64
_KNOTS = np.arange(-LAST_KNOT * KNOTS_PER_UNIT, LAST_KNOT * KNOTS_PER_UNIT + 1) / KNOTS_PER_UNIT
_ERF = np.array([math.erf(knot) for knot in _KNOTS])


def _real(function: Real) -> Real:
    """`function` in float64 without warnings, its result in the dtype of its argument."""

    def evaluate(x: Array) -> Array:
        given = np.asarray(x)
        with np.errstate(all="ignore"):
            return np.asarray(function(given.astype(np.float64)).astype(given.dtype))

    return evaluate


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow."""
    half = 0.5 * np.tanh(0.5 * np.asarray(x, dtype=np.float64)) + 0.5
    return half.astype(np.asarray(x).dtype)


def _erf(x: Array) -> Array:
    """Taylor's polynomial of degree 3 around the nearest knot: within 1e-12 of erf."""
    inside = np.clip(x, -LAST_KNOT, LAST_KNOT)
    index = np.rint(np.nan_to_num(inside) * KNOTS_PER_UNIT).astype(np.int64) + LAST_KNOT * KNOTS_PER_UNIT
    knot = _KNOTS[index]
    d = inside - knot
    slope = 2 / math.sqrt(math.pi) * np.exp(-knot * knot)
    return np.asarray(_ERF[index] + slope * d * (1 - d * (knot - d * (2 * knot * knot - 1) / 3)))


def _softplus(x: Array) -> Array:
    return np.asarray(np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x))))


def _elu(x: Array) -> Array:
    return np.asarray(np.where(x > 0, x, np.expm1(np.minimum(x, 0))))


def _gelu_tanh(x: Array) -> Array:
    return np.asarray(0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3))))


def _gelu_polynomial(x: Array) -> Array:
    """x / 2 (1 + L(x / sqrt 2)), L a parabola for erf. Ref: Kim et al. 2021 (arXiv 2101.01321), eq. 8."""
    u = x / math.sqrt(2)
    parabola = 1 - 0.2888 * (np.minimum(np.abs(u), 1.769) - 1.769) ** 2
    return np.asarray(0.5 * x * (1 + np.sign(u) * parabola))


SMOOTH: Mapping[str, Real] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
    "gelu": _real(lambda x: 0.5 * x * (1 + _erf(x / math.sqrt(2)))),
    "gelu_tanh": _real(_gelu_tanh),  # the approximation that some networks were trained with
    "gelu_polynomial": _real(_gelu_polynomial),  # within 0.018 of gelu
    "silu": _real(lambda x: x * sigmoid(x)),
    "mish": _real(lambda x: x * np.tanh(_softplus(x))),
    "softplus": _real(_softplus),
    "softsign": _real(lambda x: x / (1 + np.abs(x))),
    "elu": _real(_elu),
    "selu": _real(lambda x: SELU_SCALE * np.where(x > 0, x, SELU_ALPHA * _elu(x))),
    "erf": _real(_erf),
    "exp": _real(np.exp),
    "abs": np.abs,
    "sin": _real(np.sin),
    "cos": _real(np.cos),
    "atan": _real(np.arctan),
    "sinh": _real(np.sinh),
    "cosh": _real(np.cosh),
    "asinh": _real(np.arcsinh),
}
"""Continuous and of moderate slope, so that straight lines between the knots of 16-bit values follow them."""

STEEP: Mapping[str, Real] = {
    "log": _real(np.log),
    "sqrt": _real(np.sqrt),
    "rsqrt": _real(lambda x: 1 / np.sqrt(x)),
    "reciprocal": _real(lambda x: 1 / x),
    "tan": _real(np.tan),
    "asin": _real(np.arcsin),
    "acos": _real(np.arccos),
    "acosh": _real(np.arccosh),
    "atanh": _real(np.arctanh),
    "floor": np.floor,
    "ceil": np.ceil,
    "round": np.rint,  # halves to even, as in ONNX and PyTorch
    "sign": np.sign,
    "binarize": lambda x: np.where(np.asarray(x) >= 0, 1, -1).astype(np.asarray(x).dtype),  # a sign without 0
    "step": lambda x: (np.asarray(x) > 0).astype(np.asarray(x).dtype),
}
"""With jumps, poles or vertical tangents: their tables have an entry for each of 8 bits."""

UNIPOLAR: Mapping[str, int] = {f"unipolar{bits}": bits for bits in (1, 2, 3, 4)}
"""The activation of so many bits: clipped to [0, 1] and rounded to one of 2^bits evenly spaced values.

Ref: Fromm et al. 2020 (Riptide, MLSys), section 3.
"""


def _unipolar(bits: int) -> Real:
    most = 2**bits - 1
    return _real(lambda x: np.floor(np.clip(x, 0, 1) * most + 0.5) / most)


ACTIVATION_FUNCTIONS: Mapping[str, Real] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    **{name: _unipolar(bits) for name, bits in UNIPOLAR.items()},
    **SMOOTH,
    **STEEP,
}

DOMAINS: Mapping[str, tuple[float, float]] = {
    "log": (0, math.inf),
    "sqrt": (0, math.inf),
    "rsqrt": (0, math.inf),
    "asin": (-1, 1),
    "acos": (-1, 1),
    "acosh": (1, math.inf),
    "atanh": (-1, 1),
}


def tabulated(op: str, points: Array, lo: float, hi: float) -> Array:
    """`op` at the float64 `points`, saturated to [lo, hi]; never NaN.

    A point outside the function's domain counts as the nearest one inside, so that the logarithm of a
    negative number is that of zero: the lowest value there is. The reciprocal of zero is the highest.
    """
    inside = np.clip(points, *DOMAINS.get(op, (-math.inf, math.inf))) + 0.0  # 1 / -0.0 would be the lowest
    return np.asarray(np.clip(ACTIVATION_FUNCTIONS[op](inside), lo, hi))
