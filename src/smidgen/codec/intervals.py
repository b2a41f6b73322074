"""Grouping values into tokens: the partition of [0, 2^width) into aligned dyadic intervals that codes best.

An interval of 2^k values costs one entry of the table and k raw bits an occurrence. Values that are frequent
get intervals of their own; a sparse tail shares one; a smooth 32-bit distribution gets a histogram as fine as
its counts justify. The minimum over all partitions is found bottom up, by dynamic programming over the binary
tree.
Ref: Rissanen 1978 (minimum description length).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.numerics import FloatArray, IntArray

HISTOGRAM_BITS = 16
SMALLEST_SHARE = 1 / 4096  # a rANS frequency is at least 1 of 4096
EMPTY_BITS = 3.0  # of a token that never occurs, in the table


@dataclass(frozen=True, eq=False)
class Tokens:
    """Intervals [base, base + 2^extra) in order, and how often each occurs. They tile [0, 2^width)."""

    base: npt.NDArray[np.uint32]
    extra: npt.NDArray[np.uint8]
    counts: IntArray
    width: int

    @property
    def used(self) -> int:
        return int(np.count_nonzero(self.counts))

    def lookup(self, shift: int) -> npt.NDArray[np.uint16]:
        """Token of every value >> shift (no interval is smaller than 2^shift)."""
        repeats = np.left_shift(np.int64(1), self.extra.astype(np.int64) - shift)
        return np.repeat(np.arange(self.base.size, dtype=np.uint16), repeats)


@dataclass(frozen=True, eq=False)
class Tree:
    """Every dyadic interval of at least 2^shift values, level by level from the smallest.

    `counts[i]` and `data_bits[i]` belong to intervals of 2^(shift + i) values: the values inside, and
    their estimated bits if each interval is one token.
    """

    counts: tuple[IntArray, ...]
    data_bits: tuple[FloatArray, ...]
    shift: int
    width: int

    @staticmethod
    def of(values: npt.NDArray[np.uint32], width: int) -> Tree:
        """The tree over [0, 2^width): at most 2^16 smallest intervals, and no more than about 64 a value."""
        shift = max(width - min(HISTOGRAM_BITS, values.size.bit_length() + 6), 0)
        bins = np.bincount(values >> np.uint32(shift), minlength=1 << (width - shift)).astype(np.int64)
        counts = [bins]
        for _ in range(width - shift):
            counts.append(counts[-1].reshape(-1, 2).sum(axis=1))
        bits = (_data_bits(level, values.size, shift + i) for i, level in enumerate(counts))
        return Tree(tuple(counts), tuple(bits), shift, width)

    def uniform(self) -> Tokens:
        """One token for each of the smallest intervals."""
        bins = self.counts[0]
        base = (np.arange(bins.size, dtype=np.uint64) << np.uint64(self.shift)).astype(np.uint32)
        return Tokens(base, np.full(bins.size, self.shift, dtype=np.uint8), bins, self.width)

    def partition(self, token_bits: float) -> Tokens:
        """The intervals with the fewest estimated bits, when each token costs `token_bits` in the table."""
        is_leaf = []
        costs: FloatArray = np.zeros(0)
        for level, (counts, data_bits) in enumerate(zip(self.counts, self.data_bits, strict=True)):
            alone = np.where(counts > 0, data_bits + token_bits, EMPTY_BITS)
            split = costs.reshape(-1, 2).sum(axis=1) if level else np.full(alone.size, np.inf)
            is_leaf.append(alone <= split)
            costs = np.minimum(alone, split) + (level > 0)  # one bit says whether a larger interval is split
        return self._collect(is_leaf)

    def _collect(self, is_leaf: list[npt.NDArray[np.bool_]]) -> Tokens:
        """Walk from the root and take the first leaf on every path."""
        bases, extras, counts = [], [], []
        reached = np.zeros(1, dtype=np.intp)
        for level in range(len(is_leaf) - 1, -1, -1):
            leaf = is_leaf[level][reached]
            taken, size = reached[leaf], level + self.shift
            bases.append(taken.astype(np.uint64) << np.uint64(size))
            extras.append(np.full(taken.size, size, dtype=np.uint8))
            counts.append(self.counts[level][taken])
            reached = (2 * reached[~leaf, None] + np.arange(2)).ravel()
        order = np.argsort(np.concatenate(bases))
        base = np.concatenate(bases)[order].astype(np.uint32)
        return Tokens(base, np.concatenate(extras)[order], np.concatenate(counts)[order], self.width)


def _data_bits(counts: IntArray, n: int, extra: int) -> FloatArray:
    """Bits of the values in each interval as one token; a share below 1/4096 takes room from the others."""
    share = np.maximum(counts / n, SMALLEST_SHARE)
    bits: FloatArray = counts * (extra - np.log2(share)) + (n * share - counts) * np.log2(np.e)
    return bits
