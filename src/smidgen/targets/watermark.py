"""How much of an emulated memory is written: paint it before a run, look where the paint is gone after it."""

from __future__ import annotations

import numpy as np

from smidgen.errors import SmidgenError
from smidgen.targets.machine import Machine

PAINTS = (0xA5, 0x5A)  # in turns: a byte that happens to equal one of them differs from the other


class Watermark:
    """Watches `nbytes` bytes from `start` on, and the `behind` bytes after them, which no one may write.

    `high` is the end of the highest byte written so far, 0 before anything was.
    """

    def __init__(self, machine: Machine, start: int, nbytes: int, behind: int) -> None:
        self._machine, self._start, self._nbytes = machine, start, nbytes
        self._watched = nbytes + behind
        self._turn = 0
        self.high = 0

    def paint(self) -> None:
        """Before a run."""
        self._turn += 1
        self._machine.write(self._start, bytes([self._paint()]) * self._watched)

    def look(self) -> None:
        """After a run. Raises SmidgenError if bytes behind the memory were written."""
        held = np.frombuffer(self._machine.read(self._start, self._watched), np.uint8)
        written = np.flatnonzero(held != self._paint())
        self.high = max(self.high, int(written[-1]) + 1 if written.size else 0)
        if self.high > self._nbytes:
            found = f"the network wrote {self.high - self._nbytes} bytes beyond its arena of {self._nbytes}"
            raise SmidgenError("emulator", found, "the planner counts every byte", "Please report it")

    def _paint(self) -> int:
        return PAINTS[self._turn % len(PAINTS)]
