"""A number with its unit, how it was obtained, and how sure we are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Literal

How = Literal["measured", "emulated", "simulated", "modelled"]


@dataclass(frozen=True)
class Measurement:
    """`value` in `unit`; `how` it was obtained; over `repeats` runs with `spread` (standard deviation, or the
    interquartile range for times).
    """

    name: str
    value: float
    unit: str
    how: How
    repeats: int = 1
    spread: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @staticmethod
    def from_dict(data: dict[str, Any]) -> Measurement:
        return Measurement(**data)
