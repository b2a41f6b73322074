"""How a number is represented: a grid maps small integers to real values."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.numerics import IntArray, round_half_up, saturate


@dataclass(frozen=True)
class Grid:
    """An affine grid for activations: real = (q - zero) * scale, q in [qmin, qmax] = `bits`-bit signed.

    `scale` > 0 is a float32 value; `zero` lies in [qmin, qmax], so real 0 is always on the grid
    (padding relies on it).
    """

    scale: float
    zero: int
    bits: int = 8

    @property
    def qmin(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def qmax(self) -> int:
        return (1 << (self.bits - 1)) - 1

    @property
    def dtype(self) -> str:
        """The narrowest storage type of the integers."""
        return "int8" if self.bits <= 8 else "int16"

    @staticmethod
    def from_range(lo: float, hi: float, bits: int = 8) -> Grid:
        """The asymmetric grid that covers [min(lo, 0), max(hi, 0)]. Ref: Jacob et al. 2018, eq. 1."""
        lo, hi = min(float(lo), 0.0), max(float(hi), 0.0)
        levels = (1 << bits) - 1
        scale = float(np.float32(max((hi - lo) / levels, 1e-9)))
        qmin, qmax = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
        zero = int(saturate(round_half_up(qmin - lo / scale), qmin, qmax))
        return Grid(scale, zero, bits)

    @staticmethod
    def wide(reach: float) -> Grid:
        """16 bits around zero with the finest power-of-two scale that covers +-`reach`, at least 2^-21.

        What was never seen to move would else get a scale that no multiplier reaches.
        """
        exponent = math.frexp(float(reach) / 32767)[1] if reach else -21  # frexp gives zero the exponent 0
        return Grid(2.0 ** max(exponent, -21), 0, 16)

    def widened(self) -> Grid:
        """The grid of 16 bits that covers what this one does."""
        return Grid.wide(max(abs(q - self.zero) for q in (self.qmin, self.qmax)) * self.scale)

    def quantize(self, x: npt.ArrayLike) -> IntArray:
        """Real values -> integers of the grid, half up, saturating. NaN is the caller's error."""
        q = round_half_up(np.asarray(x, dtype=np.float64) / self.scale) + self.zero
        return np.clip(q, self.qmin, self.qmax).astype(np.int64)

    def dequantize(self, q: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Integers -> the real values they stand for, float32."""
        return ((np.asarray(q, dtype=np.float64) - self.zero) * self.scale).astype(np.float32)
