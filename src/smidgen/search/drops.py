"""The paired drop of any metric: the same samples, drawn again and again, judge both models."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from smidgen.data.metrics import ACCURACY, Metric
from smidgen.search import paired
from smidgen.search.outcome import Array
from smidgen.search.paired import Clusters, Drop

RESAMPLES = 500  # a metric costs a pass over the samples each time, accuracy alone has a short cut


def paired_drop(
    metric: Metric,
    reference: Array,
    candidates: Sequence[Array],
    targets: Array,
    clusters: Clusters | None = None,
    seed: int = 0,
) -> Drop:
    """Mean loss of the metric's gain from `reference` to `candidates` (predictions [n, ...], one a seed).

    The interval is the percentile bootstrap over samples, or whole clusters [n] of them, and over seeds (see
    `paired.paired_drop`, which serves accuracy). Draws in which a metric is not defined (an AUC of one class)
    are left out.
    """
    if metric == ACCURACY:
        return paired.paired_drop(reference, candidates, targets, seed, clusters)
    units = _units(len(targets), clusters)
    rng, runs = np.random.default_rng(seed), len(candidates)
    gain = _gain_of_rows(metric, reference, candidates, targets)
    losses = np.empty(RESAMPLES)
    for draw in range(RESAMPLES):
        rows = np.concatenate([units[i] for i in rng.integers(0, len(units), len(units))])
        seeds = rng.integers(0, runs, runs)
        before = gain(0, rows)
        gains = {run: gain(run + 1, rows) for run in set(seeds.tolist())}
        losses[draw] = before - np.mean([gains[run] for run in seeds.tolist()])
    defined = losses[np.isfinite(losses)]
    low, high = np.quantile(defined, [0.025, 0.975]) if defined.size else (-np.inf, np.inf)
    mean, number = mean_drop(metric, reference, candidates, targets), None if clusters is None else len(units)
    return Drop(mean, float(low), float(high), metric.unit, number)


def mean_drop(metric: Metric, reference: Array, candidates: Sequence[Array], targets: Array) -> float:
    """The mean of `paired_drop` alone."""
    if metric == ACCURACY:
        return paired.mean_drop(reference, candidates, targets)
    gains = [metric.gain(candidate, targets) for candidate in candidates]
    return metric.gain(reference, targets) - float(np.mean(gains))


def _gain_of_rows(
    metric: Metric, reference: Array, candidates: Sequence[Array], targets: Array
) -> Callable[[int, Array], float]:
    """(model, rows) -> the gain on these rows; model 0 is the reference.

    A metric that is a mean over samples looks at each sample once.
    """
    models = (reference, *candidates)
    if metric.rows is None:
        return lambda model, rows: metric.gain(models[model][rows], targets[rows])
    single = [metric.rows(model, targets) for model in models]
    return lambda model, rows: metric.shown(float(single[model][rows].mean()))


def _units(samples: int, clusters: Clusters | None) -> list[Array]:
    """The rows that are drawn together."""
    if clusters is None:
        return list(np.arange(samples)[:, None])
    if clusters.shape != (samples,):
        raise ValueError(f"{clusters.shape} clusters for {samples} samples")
    order, (_, starts) = np.argsort(clusters, kind="stable"), np.unique(np.sort(clusters), return_index=True)
    return np.split(order, starts[1:])
