"""The paired drop in accuracy between two models on the same samples, with its 95% interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Labels = npt.NDArray[np.int64]
RESAMPLES = 4000
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
    """

    points: float
    low: float
    high: float
    unit: str = "%"

    def __str__(self) -> str:
        if self.unit != "%":
            return f"{self.points:+.4g} [{self.low:+.4g}, {self.high:+.4g}]"
        return f"{self.points:+.2f} points [{self.low:+.2f}, {self.high:+.2f}]"


def paired_drop(reference: Labels, candidates: Sequence[Labels], labels: Labels, seed: int = 0) -> Drop:
    """Mean drop from `reference` to `candidates` (one prediction array [n] a seed), in points.

    The interval is the percentile bootstrap over samples: each keeps its own pair of outcomes, so that
    what both models get right or wrong cancels. With several seeds, seeds are resampled too.
    Ref: Efron and Tibshirani 1993, chapter 13.
    """
    lost = _lost(reference, candidates, labels)
    runs, samples = lost.shape
    # Samples with the same pattern over the seeds are interchangeable: drawing samples with replacement is
    # drawing how often each pattern occurs.
    patterns, counts = np.unique(lost, axis=1, return_counts=True)
    rng = np.random.default_rng(seed)
    drawn_samples = rng.multinomial(samples, counts / samples, RESAMPLES)
    drawn_runs = rng.multinomial(runs, np.full(runs, 1 / runs), RESAMPLES)
    totals = ((drawn_samples @ patterns.T) * drawn_runs).sum(axis=1)
    low, high = np.quantile(totals / (runs * samples), [0.025, 0.975]) * 100
    return Drop(float(lost.mean() * 100), float(low), float(high))


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


def _lost(reference: Labels, candidates: Sequence[Labels], labels: Labels) -> Labels:
    """[runs, n]: 1 where only the reference is right, -1 where only the candidate is, else 0."""
    if not candidates or labels.size == 0:
        raise ValueError("nothing to compare")
    found = np.stack(candidates)
    if found.shape[1:] != labels.shape or reference.shape != labels.shape:
        raise ValueError(f"{reference.shape} and {found.shape[1:]} predictions for {labels.shape} labels")
    lost: Labels = (reference == labels).astype(np.int64) - (found == labels).astype(np.int64)
    return lost
