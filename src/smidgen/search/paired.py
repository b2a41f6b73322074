"""The paired drop in accuracy between two models on the same samples, with its 95% interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
Clusters = npt.NDArray[np.int64]  # [n]: samples with the same number belong together
RESAMPLES = 4000
# With fewer, the percentile interval of clusters is too narrow: meant to hold the truth in 95% of cases, it
# did in 47% (2 clusters), 85% (5), 91% (10), 92% (20) of simulated ones.
# Ref: Cameron, Gelbach, Miller 2008 (doi 10.1162/rest.90.3.414) on few clusters.
FEWEST_CLUSTERS = 10
# Two-sided 97.5% quantiles of Student's t for 1..30 degrees of freedom; the normal's beyond.
_T_975 = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131,
    2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056, 2.052, 2.048, 2.045, 2.042,
)  # fmt: skip
_Z_975 = 1.960


@dataclass(frozen=True)
class Drop:
    """What is lost (negative: gained), with a 95% interval: percentage points where the metric's `unit` is %,
    else in the metric's own unit.

    `clusters` is how many independent clusters the samples form, None if every sample stands alone. Only then
    and for accuracy is `mcnemar_p` known: the two-sided p-value of no difference, of the first seed.
    """

    points: float
    low: float
    high: float
    unit: str = "%"
    clusters: int | None = None
    mcnemar_p: float | None = None

    @property
    def reliable(self) -> bool:
        """Whether there are enough clusters for an interval (see FEWEST_CLUSTERS)."""
        return self.clusters is None or self.clusters >= FEWEST_CLUSTERS

    def __str__(self) -> str:
        if self.unit != "%":
            return f"{self.points:+.4g} [{self.low:+.4g}, {self.high:+.4g}]"
        return f"{self.points:+.2f} points [{self.low:+.2f}, {self.high:+.2f}]"


def paired_drop(
    reference: Labels,
    candidates: Sequence[Labels],
    labels: Labels,
    seed: int = 0,
    clusters: Clusters | None = None,
) -> Drop:
    """Mean drop from `reference` to `candidates` (one prediction array [n] a seed), in points.

    The interval is the percentile bootstrap over samples: each keeps its own pair of outcomes, so that
    what both models get right or wrong cancels. With several seeds, seeds are resampled too. With
    `clusters` [n] (a recording's windows, a person's recordings), whole clusters are drawn.
    Ref: Efron and Tibshirani 1993, chapter 13; Davison and Hinkley 1997, section 3.8 (clusters).
    """
    lost = _lost(reference, candidates, labels)
    mean = float(lost.mean() * 100)
    if clusters is None:
        return Drop(mean, *_interval(lost, np.ones_like(labels), seed), mcnemar_p=mcnemar_p(lost[0]))
    sums, sizes = _by_cluster(lost, clusters)
    return Drop(mean, *_interval(sums, sizes, seed), clusters=sizes.size)


def mcnemar_p(lost: Labels) -> float:
    """Two-sided p-value, 0..1, of both models being equally accurate; `lost` [n] is 1, -1 or 0 (see `_lost`).

    Exact: of the samples that only one of them gets right, each should be a fair coin's toss. Samples must be
    independent. Ref: McNemar 1947.
    """
    only_reference, only_candidate = int((lost == 1).sum()), int((lost == -1).sum())
    tosses, fewer = only_reference + only_candidate, min(only_reference, only_candidate)
    whole = math.lgamma(tosses + 1) - tosses * math.log(2)
    tail = math.fsum(
        math.exp(whole - math.lgamma(k + 1) - math.lgamma(tosses - k + 1)) for k in range(fewer + 1)
    )
    return min(2 * tail, 1.0)


def mean_drop(reference: Labels, candidates: Sequence[Labels], labels: Labels) -> float:
    """The mean of `paired_drop` alone."""
    return float(_lost(reference, candidates, labels).mean() * 100)


def t_interval(differences: Sequence[float]) -> Drop:
    """Mean of paired differences (one a fold or seed, in points) with Student's t 95% interval.

    One difference alone gives an infinite interval.
    """
    values = np.asarray(differences, np.float64)
    if values.size == 0:
        raise ValueError("no differences")
    mean = float(values.mean())
    if values.size == 1:
        return Drop(mean, -math.inf, math.inf)
    freedom = values.size - 1
    quantile = _T_975[freedom - 1] if freedom <= len(_T_975) else _Z_975
    half = quantile * float(values.std(ddof=1)) / math.sqrt(values.size)
    return Drop(mean, mean - half, mean + half)


def _by_cluster(lost: Labels, clusters: Clusters) -> tuple[Labels, Labels]:
    """(`lost` summed over each cluster [runs, clusters], samples in each [clusters])."""
    if clusters.shape != lost.shape[1:]:
        raise ValueError(f"{clusters.shape} clusters for {lost.shape[1:]} samples")
    _, number, sizes = np.unique(clusters, return_inverse=True, return_counts=True)
    sums = np.stack([np.bincount(number, weights=run) for run in lost])
    return sums.astype(np.int64), sizes.astype(np.int64)


def _interval(sums: Labels, sizes: Labels, seed: int) -> tuple[float, float]:
    """95% percentile interval, in points, of the mean over units (samples or clusters) drawn anew.

    `sums` [runs, units] are what each unit loses, `sizes` [units] its samples.
    """
    runs, units = sums.shape
    # Units with the same numbers are interchangeable: drawing units with replacement is drawing how often
    # each pattern occurs.
    patterns, counts = np.unique(np.vstack([sums, sizes]), axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn_units = rng.multinomial(units, counts / units, RESAMPLES)
    drawn_runs = rng.multinomial(runs, np.full(runs, 1 / runs), RESAMPLES)
    totals = ((drawn_units @ patterns[:-1].T) * drawn_runs).sum(axis=1)
    samples = drawn_units @ patterns[-1]
    low, high = np.quantile(totals / (runs * samples), [0.025, 0.975]) * 100
    return float(low), float(high)


def _lost(reference: Labels, candidates: Sequence[Labels], labels: Labels) -> Labels:
    """[runs, n]: 1 where only the reference is right, -1 where only the candidate is, else 0."""
    if not candidates or labels.size == 0:
        raise ValueError("nothing to compare")
    found = np.stack(candidates)
    if found.shape[1:] != labels.shape or reference.shape != labels.shape:
        raise ValueError(f"{reference.shape} and {found.shape[1:]} predictions for {labels.shape} labels")
    lost: Labels = (reference == labels).astype(np.int64) - (found == labels).astype(np.int64)
    return lost
