"""Samples that are too many to keep: decoded when they are needed, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.limits import LIMIT, decoded_bytes_limit
from smidgen.units import format_bytes

Floats = npt.NDArray[np.float32]

BLOCK = 64


@dataclass(frozen=True, eq=False)
class Rows:
    """What an array [n, *sample_shape] would be; indexing selects rows and decodes nothing.

    Attributes:
        decode: the sample of a number, float32 of `sample_shape`.
        index: int64 [n], the numbers of the rows, in order.
        where: how errors call them.
    """

    decode: Callable[[int], Floats]
    sample_shape: tuple[int, ...]
    index: npt.NDArray[np.int64]
    where: str

    def __len__(self) -> int:
        return len(self.index)

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self), *self.sample_shape)

    def __getitem__(self, rows: npt.NDArray[np.int64]) -> Rows:
        return replace(self, index=self.index[rows])

    def decoded(self) -> Floats:
        """All of them, float32 [n, ...]. Raises BadInput above the limit, and for a file that has changed."""
        needed, limit = 4 * int(np.prod(self.shape, dtype=np.int64)), decoded_bytes_limit()
        if needed > limit:
            found = f"{len(self):,} samples of shape {'×'.join(map(str, self.sample_shape))} take"
            allowed = f"{format_bytes(limit)} are allowed at once"
            raise BadInput(self.where, f"{found} {format_bytes(needed)} of memory", allowed, LIMIT)
        made = np.empty(self.shape, np.float32)
        for place, number in enumerate(self.index):
            made[place] = self.decode(int(number))
        return made

    def blocks(self) -> Iterator[Floats]:
        """Consecutive pieces of at most 64 rows, decoded."""
        for start in range(0, len(self), BLOCK):
            yield self[np.arange(start, min(start + BLOCK, len(self)))].decoded()

    def changed(self, change: Callable[[Floats], Floats]) -> Rows:
        """Every sample through `change`, such as another layout."""
        decode, first = self.decode, change(np.empty(self.sample_shape, np.float32))
        return replace(self, decode=lambda number: change(decode(number)), sample_shape=first.shape)


Inputs = Floats | Rows
