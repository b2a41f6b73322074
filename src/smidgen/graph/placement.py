"""Buffers with lifetimes → offsets in one arena, so that those alive at the same time lie apart.

Finding the smallest arena is NP-hard (dynamic storage allocation). Greedy placements in several orders are
tried, each again with what ended on top first, and the best is kept; on a chain of aligned sizes the result
is always the lower bound, the most bytes alive at any time.
Ref: Pisarchyk, Lee 2020 (arXiv 2001.03288), section 5.2 (greedy by size); the orders by duration and by
size x duration are the ones that dynamic storage allocation is usually tried with.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

WORD_BYTES = 4  # static data of firmware is cleared word by word
PROMOTIONS = 20  # retries of a greedy placement that misses the lower bound
PAIRS = 200_000  # of buffers, compared in all retries together: planning a huge network stays quick


@dataclass(frozen=True)
class Buffer:
    """Values that share `nbytes` bytes, alive from node number `first` to `last` inclusive."""

    values: tuple[str, ...]
    nbytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive at the same node."""
        return self.first <= other.last and other.first <= self.last


def aligned(nbytes: int, alignment: int) -> int:
    """The next multiple of `alignment`."""
    return -(-nbytes // alignment) * alignment


def place_buffers(buffers: Sequence[Buffer], alignment: int = 1) -> list[int]:
    """Offsets, multiples of `alignment`; buffers alive at the same node do not overlap. Deterministic."""
    least = least_height(buffers, alignment)
    best: list[int] = []
    for offsets in _attempts(buffers, alignment, least):
        if not best or height(buffers, offsets) < height(buffers, best):
            best = offsets
        if height(buffers, best) == least:
            break
    return best


def least_height(buffers: Sequence[Buffer], alignment: int = 1) -> int:
    """A lower bound of any placement: the most bytes alive at once, all but one of them in whole steps."""
    most = 0
    for at in {buffer.first for buffer in buffers}:
        alive = [buffer.nbytes for buffer in buffers if buffer.first <= at <= buffer.last]
        # The one on top may end anywhere: at best it is the one that wastes most.
        spare = max(aligned(nbytes, alignment) - nbytes for nbytes in alive)
        most = max(most, sum(aligned(nbytes, alignment) for nbytes in alive) - spare)
    return most


def height(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    """Bytes up to the end of the highest buffer."""
    return max((offset + buffer.nbytes for offset, buffer in zip(offsets, buffers, strict=True)), default=0)


def _attempts(buffers: Sequence[Buffer], alignment: int, least: int) -> Iterator[list[int]]:
    orders: tuple[Callable[[Buffer], tuple[int, ...]], ...] = (
        lambda b: (-b.nbytes, b.first),
        lambda b: (b.first, -b.nbytes),
        lambda b: (b.first - b.last, -b.nbytes, b.first),
        lambda b: ((b.first - b.last - 1) * b.nbytes, b.first),
    )
    for key in orders:
        order = sorted(range(len(buffers)), key=lambda i: key(buffers[i]))
        yield from _promoted(buffers, order, alignment)
        yield _two_ended(buffers, order, alignment, aligned(least, alignment))


def _promoted(buffers: Sequence[Buffer], order: list[int], alignment: int) -> Iterator[list[int]]:
    """First fit, then again with the buffer that ended on top placed first."""
    for _ in range(min(PROMOTIONS, 1 + PAIRS // max(1, len(buffers)) ** 2)):
        offsets = _first_fit(buffers, order, alignment)
        yield offsets
        top = max(order, key=lambda i: offsets[i] + buffers[i].nbytes, default=0)
        order = [top, *(i for i in order if i != top)]


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int], alignment: int) -> list[int]:
    """Each buffer in turn at the lowest offset where it fits."""
    offsets: dict[int, int] = {}
    for i in order:
        offsets[i] = _gaps(buffers, offsets, i, alignment)[0][0]
    return [offsets[i] for i in range(len(buffers))]


def _two_ended(buffers: Sequence[Buffer], order: Sequence[int], alignment: int, top: int) -> list[int]:
    """Alternately at the bottom and at the top of an arena of the least possible size.

    Neighbours of a chain sit at opposite ends, so that a chain always fits; what does not fit goes on top.
    """
    offsets: dict[int, int] = {}
    for turn, i in enumerate(order):
        size, gaps = aligned(buffers[i].nbytes, alignment), _gaps(buffers, offsets, i, alignment)
        inside = [(lo, min(hi, top)) for lo, hi in gaps if min(hi, top) - lo >= size]
        if not inside:
            offsets[i] = gaps[-1][0]
        else:
            offsets[i] = inside[-1][1] - size if turn % 2 else inside[0][0]
    return [offsets[i] for i in range(len(buffers))]


def _gaps(
    buffers: Sequence[Buffer], offsets: Mapping[int, int], i: int, alignment: int
) -> list[tuple[int, int]]:
    """The free intervals [lo, hi) that hold buffer i, lo aligned, lowest first; the last one has no end."""
    taken = sorted((at, at + buffers[j].nbytes) for j, at in offsets.items() if buffers[j].meets(buffers[i]))
    free, lo = [], 0
    for start, end in taken:
        if start - lo >= buffers[i].nbytes:
            free.append((lo, start))
        lo = max(lo, aligned(end, alignment))
    return [*free, (lo, 1 << 62)]
