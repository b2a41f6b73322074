"""Fitted scikit-learn estimators as graphs: linear models and trees, with the scalers in front of them.

Inputs are feature vectors [F] as the estimator (or the pipeline) takes them. Classifiers give one output a
class, so that the largest names the class; regressors give their value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph, GraphBuilder
from smidgen.load.sklearn_trees import READERS, tree_graph

Floats = npt.NDArray[np.float64]
LINEAR = (
    "LogisticRegression",
    "SGDClassifier",
    "LinearSVC",
    "RidgeClassifier",
    "Perceptron",
    "Ridge",
    "LinearRegression",
    "Lasso",
)


def load_estimator(model: Any) -> Graph:
    """The float graph of a fitted estimator, or of a Pipeline of scalers that ends in one.

    Raises BadInput: not fitted, another kind of estimator or step, or class labels other than 0..K-1.
    """
    scalers, last = _parts(model)
    name = type(last).__name__
    if name not in (*LINEAR, *READERS):
        known = ", ".join((*LINEAR, *READERS))
        raise BadInput(name, "this kind of estimator is not loaded", f"one of {known} is needed")
    if not hasattr(last, "n_features_in_"):
        raise BadInput(name, "it is not fitted", "a trained model is needed", "Call fit first")
    _check_classes(last)
    gain, offset = _scaling(scalers, last.n_features_in_)
    if name in READERS:
        return tree_graph(last, gain, offset)
    return _linear_graph(last, scalers, gain, offset)


def _parts(model: Any) -> tuple[list[Any], Any]:
    if type(model).__name__ != "Pipeline":
        return [], model
    steps = [step for _, step in model.steps if step not in (None, "passthrough")]
    if not steps:
        raise BadInput("Pipeline", "it has no steps", "a fitted estimator is needed")
    return steps[:-1], steps[-1]


def _check_classes(model: Any) -> None:
    classes = getattr(model, "classes_", None)
    if classes is None:
        return
    if isinstance(classes, list) or not np.array_equal(classes, np.arange(len(classes))):
        raise BadInput(
            type(model).__name__,
            f"class labels {np.asarray(classes).tolist()}",
            "labels run from 0 to the number of classes - 1",
            "Encode them with sklearn.preprocessing.LabelEncoder and fit again",
        )


def _scaling(scalers: list[Any], features: int) -> tuple[Floats, Floats]:
    """(gain, offset), each [F]: all scalers together are x * gain + offset."""
    gain, offset = np.ones(features), np.zeros(features)
    for scaler in scalers:
        reader = SCALERS.get(type(scaler).__name__)
        if reader is None:
            found, known = f"the step {type(scaler).__name__}", " and ".join(SCALERS)
            raise BadInput("Pipeline", found, f"{known} can stand in front", "Apply it to the data instead")
        if getattr(scaler, "clip", False):
            raise BadInput("MinMaxScaler", "clip=True", "scaling must be linear", "Fit it with clip=False")
        own_gain, own_offset = reader(scaler, features)
        gain, offset = gain * own_gain, offset * own_gain + own_offset
    return gain, offset


def _standard(scaler: Any, features: int) -> tuple[Floats, Floats]:
    gain = np.ones(features) if scaler.scale_ is None else 1 / scaler.scale_
    mean = np.zeros(features) if scaler.mean_ is None or not scaler.with_mean else scaler.mean_
    return gain, -mean * gain


SCALERS: Mapping[str, Callable[[Any, int], tuple[Floats, Floats]]] = {
    "StandardScaler": _standard,
    "MinMaxScaler": lambda scaler, features: (scaler.scale_, scaler.min_),
}


def _linear_graph(model: Any, scalers: list[Any], gain: Floats, offset: Floats) -> Graph:
    weight = np.atleast_2d(np.asarray(model.coef_, np.float64))
    bias = np.broadcast_to(np.asarray(model.intercept_, np.float64), (len(weight),))
    if len(weight) == 1 and len(getattr(model, "classes_", ())) == 2:
        weight, bias = two_logits(weight, bias)
    builder = GraphBuilder(type(model).__name__)
    x = builder.input("input", (len(gain),))
    if scalers:  # kept apart: folded in, a feature that hardly varies would coarsen its whole row of integers
        none = np.zeros_like(gain)
        norm = {"gamma": gain, "beta": offset, "mean": none, "variance": none + 1}
        x = builder.op("batch_norm", [x], norm, "scaler", epsilon=0.0)
    return builder.graph(builder.linear(x, weight, bias, "outputs"))


def two_logits(weight: Floats, bias: Floats) -> tuple[Floats, Floats]:
    """One row, the logit of class 1, as two whose difference it is."""
    return np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
