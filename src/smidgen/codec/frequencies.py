"""Integer tables for the coders: rANS frequencies that cost least, and length-limited Huffman codes."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.numerics import FloatArray, IntArray

RANS_TOTAL = 4096
HUFFMAN_LONGEST = 15


def normalise(counts: IntArray, total: int = RANS_TOTAL) -> IntArray:
    """Frequencies f >= 1 that sum to `total` and minimise the code length -sum counts * log2(f / total).

    `counts` are positive, at most `total` of them. The length is convex in each f, so when no single unit can
    move from one symbol to another with a gain, it is the minimum.
    """
    f: IntArray = np.maximum(np.floor(counts * (total / counts.sum()) + 0.5).astype(np.int64), 1)
    while True:
        gains = counts * np.log2((f + 1) / f)
        losses = np.where(f > 1, counts * np.log2(f / np.maximum(f - 1, 1)), np.inf)
        best, cheapest = int(np.argmax(gains)), int(np.argmin(losses))
        missing = total - int(f.sum())
        if missing == 0 and gains[best] <= losses[cheapest] * (1 + 1e-12):
            return f
        f[best] += missing >= 0
        f[cheapest] -= missing <= 0


def bit_lengths(f: IntArray) -> npt.NDArray[np.uint8]:
    """Bits of each integer: 0 for 0, 1 for 1, 2 for 2 and 3, …"""
    exponents: npt.NDArray[np.uint8] = np.frexp(f.astype(np.float64))[1].astype(np.uint8)
    return exponents


def shorten(f: IntArray, mantissa_bits: int) -> tuple[IntArray, npt.NDArray[np.uint8]] | None:
    """(frequencies, levels) with `mantissa_bits` bits kept below each leading one, rounded half up.

    The first of the highest level takes what the others leave of the same sum; None if nothing is left.
    """
    drop = np.maximum(bit_lengths(f).astype(np.int64) - 1 - mantissa_bits, 0)
    half = np.left_shift(np.int64(1), drop) >> 1
    rounded = np.minimum((f + half) >> drop << drop, RANS_TOTAL - 1)
    levels = bit_lengths(rounded)
    rest = int(np.argmax(levels))
    rounded[rest] = 0
    rounded[rest] = f.sum() - rounded.sum()
    return (rounded, levels) if rounded[rest] >= 1 else None


def huffman_lengths(counts: IntArray, longest: int = HUFFMAN_LONGEST) -> IntArray:
    """Code lengths, at most `longest`, of the cheapest prefix code for positive `counts` (two or more).

    Ref: Larmore and Hirschberg 1990 (package-merge). Each of `longest` rows holds the counts and the sums of
    neighbouring pairs of the row below, sorted; the cheapest 2n - 2 of the top row say which codes grow.
    """
    order = np.argsort(counts, kind="stable")
    singles: FloatArray = counts[order].astype(np.float64)
    rows = [np.ones(singles.size, dtype=bool)]
    weights = singles
    for _ in range(longest - 1):
        pairs = weights[: weights.size // 2 * 2].reshape(-1, 2).sum(axis=1)
        both = np.concatenate([singles, pairs])
        position = np.argsort(both, kind="stable")
        weights = both[position]
        rows.append(position < singles.size)
    lengths = np.zeros(singles.size, dtype=np.int64)
    take = 2 * singles.size - 2
    for is_single in reversed(rows):
        alone = int(np.count_nonzero(is_single[:take]))
        lengths[:alone] += 1
        take = 2 * (take - alone)
    out = np.empty_like(lengths)
    out[order] = lengths
    return out
