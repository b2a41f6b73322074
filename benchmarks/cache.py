"""A cache in simulation: what a sequence of reads and writes moves to and from memory.

Set-associative, lines of 64 bytes, the least recently used line of a set goes first; a write fetches its line
(write-allocate) and reaches memory when the line goes (write-back).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

LINE_BYTES = 64


class Access(NamedTuple):
    """`nbytes` > 0 bytes from `address` on, read or written in ascending order."""

    address: int
    nbytes: int
    write: bool


@dataclass(frozen=True)
class Traffic:
    """What went over the bus.

    Attributes:
        read_bytes: fetched from memory.
        written_bytes: written back, what is left in the cache at the end included.
        working_set_bytes: all lines that were touched at all, once each.
        hits, misses: accesses, counted by line.
    """

    read_bytes: int
    written_bytes: int
    working_set_bytes: int
    hits: int
    misses: int

    @property
    def nbytes(self) -> int:
        return self.read_bytes + self.written_bytes

    @property
    def reuse_percent(self) -> float:
        """Data Reuse Efficiency: 100 * working set / bytes at the memory controller.

        Ref: Thakker et al. 2019, arXiv:1904.03302.
        """
        return 100 * self.working_set_bytes / self.nbytes


@dataclass(frozen=True)
class Cache:
    """`nbytes` in sets of `ways` lines.

    Raises ValueError unless they are whole sets.
    """

    nbytes: int
    ways: int

    def __post_init__(self) -> None:
        if self.ways < 1 or self.nbytes < 1 or self.nbytes % (LINE_BYTES * self.ways):
            raise ValueError(f"{self.nbytes} bytes are no whole number of sets of {self.ways} lines")

    def traffic(self, accesses: Iterable[Access]) -> Traffic:
        """What the accesses move, from an empty cache to a flushed one."""
        count = self.nbytes // (LINE_BYTES * self.ways)
        # Line -> whether it was written; the next to go is first.
        sets: list[OrderedDict[int, bool]] = [OrderedDict() for _ in range(count)]
        touched: set[int] = set()
        hits = misses = written = 0
        for address, nbytes, write in accesses:
            for line in range(address // LINE_BYTES, (address + nbytes - 1) // LINE_BYTES + 1):
                lines = sets[line % len(sets)]
                if line in lines:
                    hits += 1
                    lines.move_to_end(line)
                    lines[line] = lines[line] or write
                    continue
                misses += 1
                touched.add(line)
                if len(lines) == self.ways:
                    written += lines.popitem(last=False)[1]
                lines[line] = write
        written += sum(sum(lines.values()) for lines in sets)
        return Traffic(misses * LINE_BYTES, written * LINE_BYTES, len(touched) * LINE_BYTES, hits, misses)
