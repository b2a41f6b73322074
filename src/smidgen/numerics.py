"""The one requantization rule: half up, in integers, the same in Python, C, ONNX and on the device.

    requantize(acc, M, s) = (acc * M + 2^(s-1)) >> s        (arithmetic shift, then saturate)

with a 16-bit multiplier M in [2^15, 2^16) and a shift s in [1, 47]: |acc| < 2^31 keeps the product
inside int64. A 16-bit multiplier is within 2^-17 of the real ratio, far below half a step of an 8-bit
output, and costs 2 bytes a channel in the file instead of 4.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

NUMERICS_VERSION = 1
MULTIPLIER_BITS = 16
MAX_SHIFT = 47

Array = npt.NDArray[Any]
IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


def round_half_up(x: npt.ArrayLike) -> FloatArray:
    """floor(x + 1/2) in float64: the only rounding of the project."""
    return np.floor(np.asarray(x, dtype=np.float64) + 0.5)


def saturate(x: npt.ArrayLike, lo: int, hi: int) -> IntArray:
    """Clip integers to [lo, hi]."""
    return np.clip(np.asarray(x, dtype=np.int64), lo, hi)


def quantize_multiplier(real: float) -> tuple[int, int]:
    """The (M, s) with M / 2^s nearest to `real`, for 0 < real < 2^15.

    M is in [2^15, 2^16) except where that would need a shift above 47: then M is smaller and s = 47.

    Raises:
        ValueError: `real` is not finite, not positive, or too large.
    """
    if not (math.isfinite(real) and 0 < real < 2 ** (MULTIPLIER_BITS - 1)):
        raise ValueError(f"a requantization multiplier must be in (0, 2^15), not {real}")
    _, exponent = math.frexp(real)  # real = mantissa * 2^exponent, mantissa in [1/2, 1)
    shift = min(MULTIPLIER_BITS - exponent, MAX_SHIFT)
    multiplier = math.floor(math.ldexp(real, shift) + 0.5)
    if multiplier == 1 << MULTIPLIER_BITS:
        multiplier, shift = multiplier >> 1, shift - 1
    return multiplier, shift


def quantize_multipliers(reals: npt.ArrayLike) -> tuple[IntArray, IntArray]:
    """`quantize_multiplier` for a vector: (M, s), both int64 of the same shape."""
    pairs = [quantize_multiplier(float(r)) for r in np.ravel(np.asarray(reals, dtype=np.float64))]
    m, s = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    return m, s


def requantize(acc: npt.ArrayLike, multiplier: npt.ArrayLike, shift: npt.ArrayLike) -> IntArray:
    """(acc * M + 2^(s-1)) >> s elementwise in int64, broadcasting; half rounds up, also for negatives."""
    a, m, s = (np.asarray(v, dtype=np.int64) for v in (acc, multiplier, shift))
    y: IntArray = np.right_shift(a * m + np.left_shift(np.int64(1), s - 1), s)
    return y


def power_of_two(x: npt.ArrayLike) -> FloatArray:
    """AP2(x) = 2^round(log2 x), half up, for x > 0: the power of two nearest on a logarithmic scale."""
    return np.exp2(round_half_up(np.log2(np.asarray(x, dtype=np.float64))))


def bfloat16_up(x: npt.ArrayLike) -> npt.NDArray[np.float32]:
    """The smallest bfloat16 values >= x, held in float32, for x >= 0.

    Scales are rounded up to 8 significant bits: a grid's spacing is free to choose, rounding up never
    clips, and a scale then costs 2 bytes in the file.
    """
    bits = np.asarray(x, dtype=np.float32).view(np.uint32)
    up = ((bits.astype(np.uint64) + 0xFFFF) >> np.uint64(16)) << np.uint64(16)
    return up.astype(np.uint32).view(np.float32)
