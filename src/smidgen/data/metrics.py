"""How outputs are judged against targets: one `Metric` a name, found by `metric_for`.

Shares (accuracy, F1, R²) are in percent; errors are in the unit of the targets. A search maximises `gain`:
the score itself where more is better, minus the score where less is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Splits
from smidgen.data.masking import sdr_gains
from smidgen.data.user_function import call, find_function
from smidgen.errors import BadInput

Array = npt.NDArray[Any]
Score = Callable[[Array, Array], float]
Rows = Callable[[Array, Array], Array]


@dataclass(frozen=True)
class Metric:
    """One way to judge.

    Attributes:
        name: as in `--metric`.
        unit: `%`, or empty for the targets' own unit.
        better: whether a `higher` or a `lower` score is better.
        targets: what it is for: `classes` (int64 [n]), `values` (float32 [n, k]) or `any`.
        reads: what is kept of a network's outputs: `labels` int64 [n] (the largest output) or `outputs`
            float32 [n, k].
        score: (what is kept, targets) -> score; NaN where it is not defined.
        rows: likewise, but the score of each sample [n], where `score` is their mean.
    """

    name: str
    unit: str
    better: Literal["higher", "lower"]
    targets: Literal["classes", "values", "any"]
    reads: Literal["labels", "outputs"]
    score: Score
    rows: Rows | None = None

    def predictions(self, outputs: Array) -> Array:
        """What the metric keeps of real outputs [n, ...]. Equal outputs: the lowest class."""
        flat = outputs.reshape(len(outputs), -1)
        return flat.argmax(axis=1).astype(np.int64) if self.reads == "labels" else flat.astype(np.float32)

    def gain(self, predictions: Array, targets: Array) -> float:
        """The score, its sign turned where lower is better."""
        return self.shown(self.score(predictions, targets))

    def shown(self, gain: float) -> float:
        """The score for a gain, and the gain for a score."""
        return gain if self.better == "higher" else -gain


def metric_for(splits: Splits) -> Metric:
    """The metric that `splits` asks for, by default accuracy for classes and R² for values.

    Raises BadInput: there is no such metric, or it can't judge these targets.
    """
    kind = "values" if splits.classes is None else "classes"
    name = splits.metric or ("r2" if splits.classes is None else "accuracy")
    metric = _users(name) if ":" in name else METRICS.get(name)
    if metric is None:
        raise BadInput(
            "metric", f"{name!r} is unknown", f"there are {', '.join(METRICS)} and package.module:function"
        )
    if metric.targets not in (kind, "any"):
        able = ", ".join(m.name for m in METRICS.values() if m.targets == kind)
        raise BadInput(
            "metric", f"{name} is for {metric.targets}", f"the data's targets are {kind}", f"Use {able}"
        )
    if metric == AUC and splits.classes != 2:
        raise BadInput("metric", f"auc with {splits.classes} classes", "it is for two", "Use f1 or accuracy")
    return metric


def _users(source: str) -> Metric:
    """The user's own function of (outputs float32 [n, k], targets) -> number; higher is better."""
    find_function(source)
    return Metric(source, "", "higher", "any", "outputs", partial(_users_score, source))


def _users_score(source: str, outputs: Array, targets: Array) -> float:
    """By name, so that a metric can be sent to another process."""
    found = call(source, find_function(source), outputs, targets)
    try:
        return float(found)
    except (TypeError, ValueError) as problem:
        raise BadInput(
            source, f"the metric returned a {type(found).__name__}", "a number is needed"
        ) from problem


def _accuracy(labels: Array, targets: Array) -> float:
    return float((labels == targets).mean() * 100)


def _balanced_accuracy(labels: Array, targets: Array) -> float:
    """Mean recall of the classes that occur, percent."""
    counts = np.bincount(targets)
    right = np.bincount(targets[labels == targets], minlength=len(counts))
    present = counts > 0
    return float((right[present] / counts[present]).mean() * 100)


def _f1(labels: Array, targets: Array) -> float:
    """Unweighted mean of 2 TP / (2 TP + FP + FN) of the classes that occur in either, percent."""
    size = int(max(labels.max(), targets.max())) + 1
    true, found = np.bincount(targets, minlength=size), np.bincount(labels, minlength=size)
    right = np.bincount(targets[labels == targets], minlength=size)
    present = true + found > 0
    return float((2 * right[present] / (true + found)[present]).mean() * 100)


def _auc(outputs: Array, targets: Array) -> float:
    """Percent of (class 1, class 0) pairs that output 1 - output 0 orders rightly; ties count half."""
    margin = outputs[:, -1].astype(np.float64) - (outputs[:, 0] if outputs.shape[1] > 1 else 0)
    positive = targets == 1
    pairs = int(positive.sum()) * int((~positive).sum())
    if not pairs:
        return math.nan
    _, place, counts = np.unique(margin, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[place.ravel()]
    least = positive.sum() * (positive.sum() + 1) / 2
    return float((ranks[positive].sum() - least) / pairs * 100)


def _mse(outputs: Array, targets: Array) -> float:
    return float(np.mean((outputs.astype(np.float64) - targets) ** 2))


def _rmse(outputs: Array, targets: Array) -> float:
    return math.sqrt(_mse(outputs, targets))


def _mae(outputs: Array, targets: Array) -> float:
    return float(np.mean(np.abs(outputs.astype(np.float64) - targets)))


def _r2(outputs: Array, targets: Array) -> float:
    """Percent of the targets' variance explained, mean over those of the k targets that vary."""
    exact = targets.astype(np.float64)
    spread = ((exact - exact.mean(axis=0)) ** 2).sum(axis=0)
    error = ((outputs - exact) ** 2).sum(axis=0)
    varies = spread > 0
    return float((1 - error[varies] / spread[varies]).mean() * 100) if varies.any() else math.nan


def _agreement(outputs: Array, targets: Array) -> float:
    """Percent of the variance of all targets together that the outputs reproduce; 100: the same outputs."""
    exact = targets.astype(np.float64)
    spread = ((exact - exact.mean(axis=0)) ** 2).sum()
    return float((1 - ((outputs - exact) ** 2).sum() / spread) * 100) if spread > 0 else math.nan


def _sdr_gain(outputs: Array, targets: Array) -> float:
    """Mean improvement of the signal-to-distortion ratio by a mask, dB: see data/masking.py."""
    return float(sdr_gains(outputs, targets).mean())


ACCURACY = Metric("accuracy", "%", "higher", "classes", "labels", _accuracy)
AGREEMENT = Metric("agreement", "%", "higher", "values", "outputs", _agreement)
AUC = Metric("auc", "%", "higher", "classes", "outputs", _auc)
R2 = Metric("r2", "%", "higher", "values", "outputs", _r2)
METRICS: Mapping[str, Metric] = {
    metric.name: metric
    for metric in (
        ACCURACY,
        Metric("balanced_accuracy", "%", "higher", "classes", "labels", _balanced_accuracy),
        Metric("f1", "%", "higher", "classes", "labels", _f1),
        AUC,
        R2,
        AGREEMENT,
        Metric("rmse", "", "lower", "values", "outputs", _rmse),
        Metric("mse", "", "lower", "values", "outputs", _mse),
        Metric("mae", "", "lower", "values", "outputs", _mae),
        Metric("sdr_gain", "dB", "higher", "values", "outputs", _sdr_gain, sdr_gains),
    )
}
