"""Random search: the control that every other sampler has to beat.

Ref: Bergstra, Bengio 2012.
"""

from __future__ import annotations

from typing import Any

from smidgen.search.study import StudySearcher


class Random(StudySearcher):
    """Draws every recipe afresh; outcomes teach it nothing."""

    def _sampler(self, samplers: Any, seed: int) -> Any:
        return samplers.RandomSampler(seed=seed)
