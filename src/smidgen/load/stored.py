"""The grids of constants that arrive quantized, and their integers again after loaders moved them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Format, Imported
from smidgen.formats.imported import MAX_BITS, expanded
from smidgen.numerics import Array, IntArray

INT8_MIN, INT8_MAX = -128, 127


@dataclass(frozen=True, eq=False)
class StoredGrid:
    """real = (q - zero) * scale, as a file declares it for one constant.

    Attributes:
        scale: positive float32: one, one a channel of some axis, or one a block (of the constant's rank).
        zero: int64 of the same shape.
        bits: 2..16.
        signed: whether q runs from -2^(bits-1) or from 0; formats hold the former.
    """

    scale: npt.NDArray[np.float32]
    zero: IntArray
    bits: int
    signed: bool

    def format(self, real: npt.NDArray[np.float32]) -> Format | None:
        """The format of the constant `real`, its axes in any order; None if it is not on the grid (any more).

        Integers are found again from the real numbers, (q - zero) * scale in float32, and checked by them:
        so no step between the file and the graph needs to know of grids.
        """
        low = -(1 << (self.bits - 1))
        shift = 0 if self.signed else low
        if self.bits > MAX_BITS or not np.all(np.isfinite(self.scale) & (self.scale > 0)):
            return None
        for scale, zero in self._placements(real.shape):
            step, origin = expanded(scale, real.shape), expanded(zero + shift, real.shape)
            q = np.rint(real.astype(np.float64) / step).astype(np.int64) + origin
            inside = q.size and q.min() >= low and q.max() <= -low - 1
            if inside and np.array_equal((q - origin).astype(np.float32) * step, real):
                return _format(q, scale, zero + shift, self.bits)
        return None

    def _placements(self, shape: tuple[int, ...]) -> Iterator[tuple[npt.NDArray[np.float32], IntArray]]:
        """(scale, zero) of the constant's rank, for each axis that they could belong to."""
        rank = len(shape)
        if _uniform(self.scale) and _uniform(self.zero):
            yield self.scale.ravel()[:1].reshape((1,) * rank), self.zero.ravel()[:1].reshape((1,) * rank)
        elif self.scale.ndim == 1:
            for axis in (axis for axis, size in enumerate(shape) if size == self.scale.size):
                placed = [self.scale.size if i == axis else 1 for i in range(rank)]
                yield self.scale.reshape(placed), self.zero.reshape(placed)
        elif self.scale.ndim == rank:
            moves = [tuple(range(rank)), tuple(range(rank))[::-1], (0, *range(2, rank), 1)]
            for move in dict.fromkeys(moves):
                scale, zero = self.scale.transpose(move), self.zero.transpose(move)
                if all(size % count == 0 for count, size in zip(scale.shape, shape, strict=True)):
                    yield np.ascontiguousarray(scale), np.ascontiguousarray(zero)


def _uniform(a: Array) -> bool:
    return bool(np.all(a == a.ravel()[0]))


def _format(q: IntArray, scale: npt.NDArray[np.float32], zero: IntArray, bits: int) -> Format:
    """An `Affine` where integer kernels can multiply with it."""
    apart = q - expanded(zero, q.shape)
    by_channel = q.ndim > 0 and scale.size == scale.shape[0]
    if bits <= 8 and by_channel and apart.min() >= INT8_MIN and apart.max() <= INT8_MAX:
        symmetric = not zero.any() and q.min() > -(1 << (bits - 1))
        zeros = None if symmetric else zero.ravel().astype(np.int8)
        return Affine(q.astype(np.int8), scale.ravel(), bits, zeros)
    zeros16 = zero.astype(np.int16) if zero.any() else None
    return Imported(q.astype(np.int16), scale, zeros16, bits)
