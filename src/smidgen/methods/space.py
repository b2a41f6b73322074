"""What a search may vary in a step: names of settings with their choices or ranges."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """One of `options` (numbers, strings, booleans)."""

    options: tuple[float | int | str | bool, ...]


@dataclass(frozen=True)
class Range:
    """A real number in [low, high]; logarithmic if `log`."""

    low: float
    high: float
    log: bool = False


Space = Mapping[str, Choice | Range]
