"""Evolutionary multi-objective search: NSGA-II over the flat recipe space.

Ref: Deb, Pratap, Agarwal, Meyarivan 2002 (NSGA-II).
"""

from __future__ import annotations

from typing import Any

from smidgen.search.study import StudySearcher

POPULATION = 12  # a search has tens of trials, not thousands: several generations must fit


class Nsga2(StudySearcher):
    """Crosses and mutates the recipes that no other one dominates."""

    def _sampler(self, samplers: Any, seed: int) -> Any:
        return samplers.NSGAIISampler(population_size=POPULATION, seed=seed)
