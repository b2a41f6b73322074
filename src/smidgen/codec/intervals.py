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


def histogram(values: npt.NDArray[np.uint32], width: int) -> tuple[IntArray, int]:
    """(counts of value >> shift, shift): at most 2^16 bins, and no more than 64 a value, over [0, 2^width)."""
    shift = max(width - min(HISTOGRAM_BITS, values.size.bit_length() + 6), 0)
    return np.bincount(values >> np.uint32(shift), minlength=1 << (width - shift)).astype(np.int64), shift


def uniform(counts: IntArray, shift: int, width: int) -> Tokens:
    """One token a bin of the histogram."""
    base = (np.arange(counts.size, dtype=np.uint64) << np.uint64(shift)).astype(np.uint32)
    return Tokens(base, np.full(counts.size, shift, dtype=np.uint8), counts, width)


def partition(counts: IntArray, shift: int, width: int, token_bits: float) -> Tokens:
    """The partition with the fewest estimated bits, when each token costs `token_bits` in the table."""
    n = int(counts.sum())
    sums, costs = [counts], [_leaf_bits(counts, n, shift, token_bits)]
    is_leaf = [np.ones(counts.size, dtype=bool)]
    for extra in range(shift + 1, width + 1):
        merged = sums[-1].reshape(-1, 2).sum(axis=1)
        alone = _leaf_bits(merged, n, extra, token_bits) + 1.0
        split = costs[-1].reshape(-1, 2).sum(axis=1) + 1.0
        sums.append(merged)
        is_leaf.append(alone <= split)
        costs.append(np.minimum(alone, split))
    return _collect(sums, is_leaf, shift, width)


def _leaf_bits(counts: IntArray, n: int, extra: int, token_bits: float) -> FloatArray:
    """Bits of the values in each interval as one token; a share below 1/4096 takes room from the others."""
    share = np.maximum(counts / n, SMALLEST_SHARE)
    data = counts * (extra - np.log2(share)) + (n * share - counts) * np.log2(np.e)
    return np.where(counts > 0, data + token_bits, EMPTY_BITS)


def _collect(sums: list[IntArray], is_leaf: list[npt.NDArray[np.bool_]], shift: int, width: int) -> Tokens:
    """Walk the tree from the root and take the first leaf on every path."""
    bases, extras, counts = [], [], []
    reached = np.ones(1, dtype=bool)
    for level in range(width - shift, -1, -1):
        taken = np.flatnonzero(reached & is_leaf[level])
        bases.append(taken.astype(np.uint64) << np.uint64(level + shift))
        extras.append(np.full(taken.size, level + shift, dtype=np.uint8))
        counts.append(sums[level][taken])
        reached = np.repeat(reached & ~is_leaf[level], 2)
    order = np.argsort(np.concatenate(bases))
    base = np.concatenate(bases)[order].astype(np.uint32)
    return Tokens(base, np.concatenate(extras)[order], np.concatenate(counts)[order], width)
