"""Weights that lie entropy-coded in read-only memory: what decodes a stream, and the memory that takes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smidgen.formats.base import Leaf
from smidgen.graph.placement import aligned
from smidgen.graph.planner import ALIGNMENT_BYTES
from smidgen.lower.program import Pointer
from smidgen.numerics import Array


@dataclass(frozen=True)
class CodedStream:
    """A leaf's symbols, of at most 8 bits, as the bytes that a .smg file has of them.

    `kernel` decodes `data` from byte `start` on with `args`, in `work_bytes` of memory.
    """

    leaf: Leaf
    data: Array
    start: int
    kernel: str
    args: Mapping[str, int]
    work_bytes: int


@dataclass(frozen=True)
class CodedWeight:
    """The leaves of a weight, by name, that are shorter coded than packed."""

    streams: Mapping[str, CodedStream]
    in_place: bool  # its only coded leaf are the symbols of every weight: they are decoded to where it goes

    @property
    def scratch_bytes(self) -> int:
        """Working memory of the largest decoder, then the decoded symbols of each stream."""
        return self._after_work + sum(_aligned(s.leaf.symbols.size) for s in self.buffered)

    @property
    def buffered(self) -> tuple[CodedStream, ...]:
        return () if self.in_place else tuple(self.streams.values())

    def buffer(self, scratch: Pointer, leaf: str) -> Pointer:
        """Where in the working memory the symbols of a leaf are."""
        at = scratch.offset + self._after_work
        for stream in self.buffered:
            if stream.leaf.name == leaf:
                return Pointer(scratch.space, scratch.index, at, stream.leaf.symbols.size)
            at += _aligned(stream.leaf.symbols.size)
        raise KeyError(leaf)

    @property
    def _after_work(self) -> int:
        return max(_aligned(stream.work_bytes) for stream in self.streams.values())


def _aligned(nbytes: int) -> int:
    return aligned(nbytes, ALIGNMENT_BYTES)
