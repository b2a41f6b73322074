"""How much time a search has left."""

from __future__ import annotations

import math
import time
from statistics import median


class Clock:
    """Counts from its creation; `limit_s` None means no limit."""

    def __init__(self, limit_s: float | None) -> None:
        self._start = time.monotonic()
        self._limit_s = math.inf if limit_s is None else limit_s
        self._durations_s: list[float] = []

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._start

    @property
    def left_s(self) -> float:
        """Seconds until the limit, infinite without one, never negative."""
        return max(self._limit_s - self.elapsed_s, 0.0)

    def record(self, duration_s: float) -> None:
        """Remember how long a piece of work took."""
        self._durations_s.append(duration_s)

    def allows(self, share: float = 1.0, times: float = 1.0) -> bool:
        """True if another piece of work may start within the first `share` (0..1) of the time.

        Work that would probably (`times` the median so far) run past the limit does not start.
        """
        expected_s = times * median(self._durations_s) / 2 if self._durations_s else 0.0
        return self.elapsed_s + expected_s < self._limit_s * share
