"""The linear baseline: logistic regression, ridge for values, as a Graph that lowers like every other.

A compressed network that this beats at its size is no achievement.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.metrics import metric_for
from smidgen.errors import BadInput, MissingExtra
from smidgen.graph import Graph, GraphBuilder

# Features that hardly vary (the border of an image) keep small weights: a row's integers share one scale.
_LEAST_RELATIVE_DEVIATION = 0.1
_ITERATIONS = 200

Floats = npt.NDArray[np.float64]


def fit(splits: Splits, strengths: Sequence[float] = (0.001, 0.01, 0.1), seed: int = 0) -> Graph:
    """The best on validation of one model for each C in `strengths` (inverse L2 penalties, all above 0).

    Inputs are flattened and standardised by training statistics; the graph, flatten → linear, holds that
    inside its weights [classes or values, features].

    Raises:
        BadInput: a class without training rows. MissingExtra: scikit-learn is not installed.
    """
    if splits.classes is not None and len(np.unique(splits.train.y)) != splits.classes:
        raise BadInput("linear baseline", "a class without training rows", "every class needs some")
    mean, deviation = _statistics(_flat(splits.train))
    fit_one = _fit_values if splits.classes is None else _fit_classes
    candidates = [fit_one((mean, deviation), splits.train, c, seed) for c in strengths]
    metric, held = metric_for(splits), splits.validation

    def gain(model: tuple[Floats, Floats]) -> float:
        return metric.gain(metric.predictions(_flat(held) @ model[0].T + model[1]), held.y)

    weight, bias = max(candidates, key=gain)
    builder = GraphBuilder("linear")
    flat = builder.input("input", splits.train.inputs.shape[1:])
    if len(builder.shape(flat)) > 1:
        flat = builder.flatten(flat)
    return builder.graph(builder.linear(flat, weight, bias, "logits"))


def _fit_values(
    statistics: tuple[Floats, Floats], train: Dataset, strength: float, seed: int
) -> tuple[Floats, Floats]:
    """Ridge regression; the penalty is per row, so that `strength` means the same for any number of them."""
    mean, deviation = statistics
    model = _from_sklearn("Ridge")(alpha=len(train) / (1000 * strength), random_state=seed)
    with _one_thread():
        model.fit((_flat(train) - mean) / deviation, train.y)
    weight = np.asarray(model.coef_, np.float64).reshape(train.y.shape[1], -1) / deviation
    return weight, np.asarray(model.intercept_, np.float64).reshape(-1) - weight @ mean


def _fit_classes(
    statistics: tuple[Floats, Floats], train: Dataset, strength: float, seed: int
) -> tuple[Floats, Floats]:
    mean, deviation = statistics
    model = _from_sklearn("LogisticRegression")(C=strength, max_iter=_ITERATIONS, random_state=seed)
    with warnings.catch_warnings():  # a baseline stopped early is judged on validation like the others
        warnings.filterwarnings("ignore", category=UserWarning, module="sklearn")
        with _one_thread():
            model.fit((_flat(train) - mean) / deviation, train.y)
    coefficients, bias = np.asarray(model.coef_), np.asarray(model.intercept_)
    if len(coefficients) == 1:  # two classes: scikit-learn has one row, the logit of class 1
        coefficients = np.concatenate([-coefficients, coefficients]) / 2
        bias = np.concatenate([-bias, bias]) / 2
    weight = coefficients / deviation
    return weight, bias - weight @ mean


def _one_thread() -> Any:
    """Products this small take many times longer on several threads when the machine is busy."""
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]  # scikit-learn needs it

    return threadpool_limits(1)


def _from_sklearn(name: str) -> Any:
    try:
        from sklearn import linear_model
    except ImportError as missing:
        raise MissingExtra("linear baseline", "scikit-learn", "compress") from missing
    return getattr(linear_model, name)


def _flat(data: Dataset) -> npt.NDArray[np.float32]:
    return data.x.reshape(len(data), -1)


def _statistics(x: npt.NDArray[np.float32]) -> tuple[Floats, Floats]:
    """Mean and standard deviation a feature, the latter never far below the others."""
    deviation = x.std(axis=0, dtype=np.float64)
    typical = float(np.sqrt(np.mean(deviation**2))) or 1.0
    return x.mean(axis=0, dtype=np.float64), np.maximum(deviation, _LEAST_RELATIVE_DEVIATION * typical)
