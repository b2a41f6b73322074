"""The adaptive context coder's settings, found by trying: each trial is a real coding and its true length.

What the C coder does is described in `kernels/c/smg_context.h`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smidgen.kernels import native
from smidgen.numerics import Array

LONGEST_ROW = 4096
# Settings are chosen on as many symbols: their choice changes little after that, its cost would.
PROBED = 1 << 16
SEEN_BITS = 8  # of |difference| >> scale
LIMITS, FINER_LIMITS = (1, 6), (0, 2, 4, 5)
MEANS = (4, 3, 5)
UPWARD, DOWNWARD = 1, 2


@dataclass(frozen=True)
class Settings:
    """What a stream's first bytes say; `columns` and `left` are shifts of running means, 0 for none."""

    sides: int
    scale: int
    limit: int = 3
    left: int = 0
    columns: int = 0
    row: int = 0

    def encode(self, differences: npt.NDArray[np.uint32], most_bytes: int) -> bytes:
        """The coded differences, or nothing if that takes more than `most_bytes`."""
        data: bytes = native().context_encode(
            differences, most_bytes, self.limit, self.left, self.sides, self.columns, self.scale, self.row
        )
        return data


@dataclass(frozen=True, eq=False)
class Differences:
    """Symbols as differences from `offset`, in the bits of the item they are decoded into (8, 16, 32)."""

    offset: int
    words: npt.NDArray[np.uint32]
    plain: Settings

    @classmethod
    def of(cls, symbols: npt.NDArray[np.int64], offset: int, item_bits: int) -> Differences:
        signed = (symbols - offset).astype(f"i{item_bits // 8}").astype(np.int64)
        sides = UPWARD if signed.min() >= 0 else DOWNWARD if signed.max() <= 0 else 0
        scale = max(0, int(np.abs(signed).max()).bit_length() - SEEN_BITS)
        return cls(offset, signed.astype(np.uint32), Settings(sides, scale))


def encode_context(
    symbols: npt.NDArray[np.int64], item_bits: int, shape: tuple[int, ...] = ()
) -> tuple[int, bytes]:
    """(offset, code) of the symbols (at least one), by the best settings found.

    `item_bits`: 8, 16 or 32, of the array they are decoded into. `shape`: of the tensor they fill in C order,
    or () if they fill none; the lengths of its rows are tried as context.
    """
    search = _Search([Differences.of(symbols, offset, item_bits) for offset in sorted(_offsets(symbols))])
    search.among(replace(search.best, limit=limit) for limit in LIMITS)
    search.among(replace(search.best, columns=MEANS[0], row=row) for row in _rows(shape, symbols.size))
    if search.best.columns:
        search.among(replace(search.best, columns=shift) for shift in MEANS[1:])
    search.among(replace(search.best, left=shift) for shift in MEANS)
    search.among(replace(search.best, limit=limit) for limit in FINER_LIMITS)
    words = search.differences.words
    return search.differences.offset, search.best.encode(words, _bound(words.size))


class _Search:
    """Coordinate descent over settings: how fast to learn, which neighbours to look at, how fast again.

    A trial ends once it is longer than the best so far.
    """

    def __init__(self, ways: Sequence[Differences]) -> None:
        self.nbytes = _bound(PROBED)
        self.differences, self.best = ways[0], ways[0].plain
        for way in ways:
            self._try(way, way.plain)

    def among(self, candidates: Iterable[Settings]) -> None:
        for settings in tuple(candidates):
            self._try(self.differences, settings)

    def _try(self, way: Differences, settings: Settings) -> None:
        data = settings.encode(way.words[:PROBED], self.nbytes - 1)
        if data:
            self.differences, self.best, self.nbytes = way, settings, len(data)


def _offsets(symbols: npt.NDArray[np.int64]) -> set[int]:
    """What differences may be taken from: the most frequent symbol, and 0 where symbols lie around it.

    The values that pruning leaves have no zeros, but sizes all the same.
    """
    kinds, counts = np.unique(symbols, return_counts=True)
    common = {int(kinds[counts.argmax()])}
    return common | {0} if kinds[0] <= 0 <= kinds[-1] else common


def _bound(count: int) -> int:
    """Bytes that no coding exceeds: 36 decisions of at most 15 bits and 28 raw bits a symbol, and a head."""
    return 71 * count + 16


def _rows(shape: tuple[int, ...], count: int) -> tuple[int, ...]:
    """Distances at which a symbol of `shape` has a neighbour along an earlier axis."""
    distances = {math.prod(shape[axis:]) for axis in range(1, len(shape))}
    return tuple(sorted(n for n in distances if 2 <= n <= LONGEST_ROW and 2 * n <= count))


def decode_context(body: bytes, offset: int, out: Array) -> int:
    """Fill `out` (unsigned items); the status of the C decoder."""
    return int(native().context_decode(body, offset & 0xFFFFFFFF, out))
