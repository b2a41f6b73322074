"""Does a method push the frontier? Its gain in hypervolume against as many fresh runs of the baseline.

    gain = HV(B ∪ T) - HV(B ∪ B')

B are baseline networks, T those of the method, B' the baseline once more with fresh seeds, as many and
trained as long as T. (HV(B ∪ T) - HV(B) is never negative: any points look like progress against nothing.)
A point is a network's mean accuracy over seeds at its geometric mean cost: a lucky seed does not help.
Ref: Zitzler and Thiele 1998 (hypervolume); Blalock et al. 2020 (arXiv 2003.03033), why a verdict is needed.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.search.frontier import FloatArray, gain_at

LEAST_SEEDS = 5
RESAMPLES = 4000
_CHUNK = 200  # resamples at once: bounds the memory for item counts
# One-sided 95% quantiles of Student's t for 1..30 degrees of freedom; the normal's beyond.
_T_95 = (
    6.314, 2.920, 2.353, 2.132, 2.015, 1.943, 1.895, 1.860, 1.833, 1.812, 1.796, 1.782, 1.771, 1.761, 1.753,
    1.746, 1.740, 1.734, 1.729, 1.725, 1.721, 1.717, 1.714, 1.711, 1.708, 1.706, 1.703, 1.701, 1.699, 1.697,
)  # fmt: skip
_Z_95 = 1.645

Counts = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Runs:
    """What K networks did, each trained with S seeds.

    Attributes:
        right: bool [K, S, n], whether each of the same n test items was answered rightly.
        cost: float [K, S], positive, such as the bytes of the file.
    """

    right: npt.NDArray[np.bool_]
    cost: FloatArray

    def __post_init__(self) -> None:
        if self.right.ndim != 3 or self.right.shape[:2] != self.cost.shape or not self.right.size:
            raise ValueError(f"right answers {self.right.shape} and costs {self.cost.shape} do not fit")
        if not (self.cost > 0).all():
            raise ValueError("costs must be positive, their axis is logarithmic")

    @property
    def accuracy(self) -> FloatArray:
        """[K], mean over seeds and items, percent."""
        mean: FloatArray = 100 * self.right.mean(axis=(1, 2), dtype=np.float64)
        return mean

    @property
    def mean_cost(self) -> FloatArray:
        """[K], geometric mean over seeds."""
        mean: FloatArray = np.exp(np.log(self.cost).mean(axis=1))
        return mean


@dataclass(frozen=True)
class Corner:
    """The fixed reference of the hypervolume: below `accuracy` (percent) or above `cost` nothing counts."""

    accuracy: float
    cost: float


@dataclass(frozen=True)
class Verdict:
    """`gain` in percentage points x ln(cost), `low` its lower 5% bound.

    `gap` is the mean distance in points to the most accurate baseline that costs no more, over the method's
    networks; None if all are cheaper than any baseline.
    """

    gain: float
    low: float
    gap: float | None
    seeds: int

    @property
    def pushes(self) -> bool:
        return self.low > 0

    def __str__(self) -> str:
        return "pushes the frontier" if self.pushes else "does not"


def judge(baseline: Runs, fresh: Runs, technique: Runs, corner: Corner, seed: int = 0) -> Verdict:
    """The verdict on `technique` (T) against `baseline` (B) and as many `fresh` baseline runs (B').

    `low` comes from a bootstrap in which seeds are drawn in pairs (seed i of all three) and test items are
    drawn as well. With few seeds the 5th percentile of a bootstrap lies too high: samples of 5 look 11% less
    spread than they are, and a normal tail is thinner than Student's. The expanded percentile takes both into
    account; it is a formula in the number of seeds, with nothing to tune. If T is the baseline in disguise, T
    and B' are exchangeable, the gain is symmetric around 0, and 5% of such methods are praised at most.
    Ref: Hesterberg 2015 (arXiv 1411.5279), the expanded percentile interval.

    Raises BadInput for fewer than five seeds, or runs that differ in seeds, in items, or (T, B') in number.
    """
    _check(baseline, fresh, technique)
    seeds, items = technique.right.shape[1:]
    gains = np.concatenate(list(_resampled_gains(baseline, fresh, technique, corner, seed)))
    once = np.ones((1, seeds), np.int64), np.ones((1, items), np.int64)
    found = float(_gains(baseline, fresh, technique, corner, *once)[0])
    return Verdict(found, float(np.quantile(gains, expanded(seeds))), _gap(baseline, technique), seeds)


def expanded(seeds: int) -> float:
    """The percentile (0..1) of a bootstrap over `seeds` samples that stands for the 5th: Φ(-√(n/(n-1)) t)."""
    freedom = seeds - 1
    quantile = _T_95[freedom - 1] if freedom <= len(_T_95) else _Z_95
    return NormalDist().cdf(-math.sqrt(seeds / freedom) * quantile)


def hypervolumes(accuracies: FloatArray, log_costs: FloatArray, corner: Corner) -> FloatArray:
    """`frontier.hypervolume` of R sets of K points at once: [R, K], [R, K] -> [R]."""
    order = np.argsort(log_costs, axis=1, kind="stable")
    heights = np.take_along_axis(np.maximum(accuracies - corner.accuracy, 0), order, axis=1)
    limit = math.log(corner.cost)
    edges = np.minimum(np.take_along_axis(log_costs, order, axis=1), limit)
    widths = np.diff(edges, axis=1, append=limit)
    volumes: FloatArray = (np.maximum.accumulate(heights, axis=1) * widths).sum(axis=1)
    return volumes


def _resampled_gains(
    baseline: Runs, fresh: Runs, technique: Runs, corner: Corner, seed: int
) -> Iterator[FloatArray]:
    rng = np.random.default_rng(seed)
    seeds, items = technique.right.shape[1:]
    for _ in range(RESAMPLES // _CHUNK):
        drawn_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), _CHUNK)
        drawn_items = rng.multinomial(items, np.full(items, 1 / items), _CHUNK)
        yield _gains(baseline, fresh, technique, corner, drawn_seeds, drawn_items)


def _gains(
    baseline: Runs,
    fresh: Runs,
    technique: Runs,
    corner: Corner,
    seed_counts: Counts,
    item_counts: Counts,
) -> FloatArray:
    """[R]: the gain where seed s and item i count `seed_counts` [R, S] and `item_counts` [R, n] times."""
    base, again, new = (_points(runs, seed_counts, item_counts) for runs in (baseline, fresh, technique))

    def volume(other: tuple[FloatArray, FloatArray]) -> FloatArray:
        accuracies, log_costs = (np.concatenate(both, axis=1) for both in zip(base, other, strict=True))
        return hypervolumes(accuracies, log_costs, corner)

    return volume(new) - volume(again)


def _points(runs: Runs, seed_counts: Counts, item_counts: Counts) -> tuple[FloatArray, FloatArray]:
    """Accuracies in percent and logarithmic costs, [R, K] each."""
    networks, seeds, items = runs.right.shape
    flat = runs.right.reshape(networks * seeds, items).astype(np.float32)  # counts below 2^24 are exact
    hits = (item_counts.astype(np.float32) @ flat.T).reshape(-1, networks, seeds).astype(np.float64)
    accuracies = 100 * (hits * seed_counts[:, None]).sum(axis=2) / (seeds * items)
    return accuracies, seed_counts @ np.log(runs.cost).T / seeds


def _gap(baseline: Runs, technique: Runs) -> float | None:
    gaps = [
        accuracy - gain_at(baseline.accuracy, baseline.mean_cost, cost)
        for accuracy, cost in zip(technique.accuracy, technique.mean_cost, strict=True)
    ]
    known = [gap for gap in gaps if math.isfinite(gap)]
    return float(np.mean(known)) if known else None


def _check(baseline: Runs, fresh: Runs, technique: Runs) -> None:
    if technique.cost.shape[1] < LEAST_SEEDS:
        found = f"{technique.cost.shape[1]} seeds"
        raise BadInput("verdict", found, f"at least {LEAST_SEEDS} are needed to tell luck from progress")
    if len({runs.right.shape[1:] for runs in (baseline, fresh, technique)}) > 1:
        raise BadInput("verdict", "runs differ in seeds or test items", "all arms need the same number")
    if len(fresh.cost) != len(technique.cost):
        found = f"{len(technique.cost)} networks of the method and {len(fresh.cost)} fresh baseline ones"
        raise BadInput("verdict", found, "more tries find more by luck", "Give both the same number")
