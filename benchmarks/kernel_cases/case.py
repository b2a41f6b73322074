"""One comparison of kernels."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Case:
    """Candidates that compute the same, and what one of them is meant to reach.

    Attributes:
        name: what is computed, with sizes.
        candidates: how each computes it once, ready to be called.
        ours: the candidate that the goals are about.
        goals: for each of the others how many times faster `ours` has to be.
        cold: weights come from memory, not from a cache.
        read_bytes: what `ours` has to read from memory, where that bounds it.
        operations: of one call, two for each multiply-accumulate or bit of a product.
        roofs: what candidates that arithmetic bounds compute with: one of `kernels.ROOFS`.
        roof_goals: for some candidates the share of their roof, or else of the memory's speed, to reach.
        note: what a reader has to know.
    """

    name: str
    candidates: Mapping[str, Callable[[], object]]
    ours: str
    goals: Mapping[str, float] = field(default_factory=dict)
    cold: bool = False
    read_bytes: int | None = None
    operations: float = 0.0
    roofs: Mapping[str, str] = field(default_factory=dict)
    roof_goals: Mapping[str, float] = field(default_factory=dict)
    note: str = ""
