"""Multi-objective tree-structured Parzen estimator: a density of good recipes against one of the rest.

Ref: Bergstra, Bardenet, Bengio, Kégl 2011; for several objectives: Ozaki, Tanigaki, Watanabe, Nomura,
Onishi 2022.
"""

from __future__ import annotations

from typing import Any

from smidgen.search.study import StudySearcher

WARM_UP = 10  # random trials, the starting recipes among them, before the densities mean something


class Tpe(StudySearcher):
    """Proposes where recipes near the frontier are dense and others are rare."""

    def _sampler(self, samplers: Any, seed: int) -> Any:
        return samplers.TPESampler(n_startup_trials=WARM_UP, seed=seed)
