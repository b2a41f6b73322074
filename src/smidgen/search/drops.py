"""The paired drop of any metric: the same samples, drawn again and again, judge both models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.metrics import ACCURACY, Metric
from smidgen.search import paired
from smidgen.search.paired import Drop

Array = npt.NDArray[Any]
RESAMPLES = 500  # a metric costs a pass over the samples each time, accuracy alone has a short cut


def paired_drop(
    metric: Metric, reference: Array, candidates: Sequence[Array], targets: Array, seed: int = 0
) -> Drop:
    """Mean loss of the metric's gain from `reference` to `candidates` (predictions [n, ...], one a seed).

    The interval is the percentile bootstrap over samples and seeds (see `paired.paired_drop`, which serves
    accuracy). Draws in which a metric is not defined (an AUC of one class) are left out.
    """
    if metric is ACCURACY:
        return paired.paired_drop(reference, candidates, targets, seed)
    rng, n, runs = np.random.default_rng(seed), len(targets), len(candidates)
    losses = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        rows, seeds = rng.integers(0, n, n), rng.integers(0, runs, runs)
        before = metric.gain(reference[rows], targets[rows])
        gains = {run: metric.gain(candidates[run][rows], targets[rows]) for run in set(seeds.tolist())}
        losses[draw] = before - np.mean([gains[run] for run in seeds.tolist()])
    defined = losses[np.isfinite(losses)]
    low, high = np.quantile(defined, [0.025, 0.975]) if defined.size else (-np.inf, np.inf)
    return Drop(mean_drop(metric, reference, candidates, targets), float(low), float(high), metric.unit)


def mean_drop(metric: Metric, reference: Array, candidates: Sequence[Array], targets: Array) -> float:
    """The mean of `paired_drop` alone."""
    if metric is ACCURACY:
        return paired.mean_drop(reference, candidates, targets)
    gains = [metric.gain(candidate, targets) for candidate in candidates]
    return metric.gain(reference, targets) - float(np.mean(gains))
