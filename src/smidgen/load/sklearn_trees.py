"""The trees of fitted scikit-learn estimators.

Everything comes from documented attributes (`tree_`, `estimators_`, `classes_`), except for histogram-based
boosting: its trees are in `_predictors`, which may change with any release. The sums of boosted trees are
therefore compared with the estimator's own answers before they are believed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load.forest import LEAF, Forest, Tree
from smidgen.run.float_ops import run_float

Floats = npt.NDArray[np.float64]
PROBES = 64
TOLERANCE = 1e-4  # of float32 sums, relative to the largest answer


def tree_graph(model: Any, gain: Floats, offset: Floats) -> Graph:
    """The graph of a fitted tree, forest or boosted ensemble that reads `x * gain + offset` (gain above 0).

    Raises BadInput for what it can't express.
    """
    if getattr(model, "n_outputs_", 1) != 1:
        raise BadInput(_name(model), f"{model.n_outputs_} outputs a sample", "one is expressed")
    return READERS[_name(model)](model, gain, offset)


def _name(model: Any) -> str:
    return type(model).__name__


def _averaged(model: Any, gain: Floats, offset: Floats) -> Graph:
    """One tree, a random forest, extra trees: the mean of class shares or of values."""
    members = getattr(model, "estimators_", [model])
    classes = len(model.classes_) if hasattr(model, "classes_") else 1
    forest = Forest(classes)
    for member in members:
        value = member.tree_.value[:, 0, :].astype(np.float64)
        if hasattr(model, "classes_"):
            value = value / value.sum(axis=1, keepdims=True)
        forest.add(_scaled(_of_sklearn(member.tree_, value / len(members)), gain, offset))
    return forest.graph(_name(model), gain.shape, np.zeros(classes))


def _boosted(model: Any, gain: Floats, offset: Floats) -> Graph:
    """GradientBoosting*: a start, and a tree a round and class, each times the learning rate."""
    if model.init_ != "zero" and not _name(model.init_).startswith("Dummy"):
        found = f"it starts from a {_name(model.init_)}"
        raise BadInput(_name(model), found, "a constant start is needed", "Fit it with init=None")
    trees = (
        (target, _of_sklearn(t.tree_, t.tree_.value[:, 0, :] * model.learning_rate))
        for members in model.estimators_
        for target, t in enumerate(members)
    )
    return _summed(model, trees, gain, offset)


def _histogram_boosted(model: Any, gain: Floats, offset: Floats) -> Graph:
    """HistGradientBoosting*, out of private attributes of scikit-learn 1.5 to 1.9."""
    try:
        trees = [(target, t.nodes) for members in model._predictors for target, t in enumerate(members)]
        if any((nodes["is_categorical"] & ~nodes["is_leaf"].astype(bool)).any() for _, nodes in trees):
            remedy = "Encode categories as numbers and fit again"
            raise BadInput(_name(model), "it splits by categories", "thresholds are expressed", remedy)
        found = [(target, _of_histogram(nodes)) for target, nodes in trees]
    except (AttributeError, KeyError, ValueError) as problem:
        remedy = "Use GradientBoosting or a random forest"
        found_text = "this release of scikit-learn keeps its trees elsewhere"
        raise BadInput(_name(model), found_text, "", remedy) from problem
    return _summed(model, iter(found), gain, offset)


def _of_sklearn(tree: Any, value: Floats) -> Tree:
    return Tree(tree.children_left, tree.children_right, tree.feature, tree.threshold, value)


def _of_histogram(nodes: Mapping[str, Any]) -> Tree:
    leaf = nodes["is_leaf"].astype(bool)
    left, right = (np.where(leaf, LEAF, nodes[side].astype(np.int64)) for side in ("left", "right"))
    threshold = np.where(leaf, 0.0, nodes["num_threshold"])
    return Tree(left, right, nodes["feature_idx"], threshold, nodes["value"].astype(np.float64)[:, None])


def _scaled(tree: Tree, gain: Floats, offset: Floats) -> Tree:
    """x * gain + offset <= t exactly where x <= (t - offset) / gain."""
    feature = np.where(tree.left == LEAF, 0, tree.feature)
    return Tree(
        tree.left, tree.right, feature, (tree.threshold - offset[feature]) / gain[feature], tree.value
    )


def _summed(model: Any, trees: Iterator[tuple[int, Tree]], gain: Floats, offset: Floats) -> Graph:
    """The boosted sum. Two classes have one sum, the logit of class 1: class 0 gets 0."""
    outputs = len(model.classes_) if hasattr(model, "classes_") else 1
    forest = Forest(outputs)
    for target, tree in trees:
        forest.add(_scaled(tree, gain, offset), 1 if outputs == 2 else target)
    bare = forest.graph(_name(model), gain.shape, np.zeros(outputs))
    return forest.graph(_name(model), gain.shape, _start(model, bare, gain, offset))


def _start(model: Any, bare: Graph, gain: Floats, offset: Floats) -> Floats:
    """What the estimator adds to its trees' sum. Raises BadInput if that is not one constant."""
    threshold = bare.weights[bare.nodes[-1].params["threshold"]].decode()
    low, high = float(threshold.min()) - 1, float(threshold.max()) + 1
    x = np.random.default_rng(0).uniform(low, high, (PROBES, gain.size)).astype(np.float32)
    answer = getattr(model, "decision_function", None) or model.predict
    wanted = np.asarray(answer(x * gain + offset), np.float64).reshape(PROBES, -1)
    if len(bare.values[bare.outputs[0]].shape) and wanted.shape[1] < bare.values[bare.outputs[0]].size:
        wanted = np.column_stack([np.zeros(PROBES), wanted])
    difference = wanted - run_float(bare, x.reshape(PROBES, *bare.values[bare.inputs[0]].shape))
    if np.ptp(difference, axis=0).max() > TOLERANCE * max(np.abs(wanted).max(), 1.0):
        found = "its answers are not a constant plus the sum of its trees"
        raise BadInput(_name(model), found, "", "Use a squared-error or log loss")
    return np.asarray(np.median(difference, axis=0))


READERS: Mapping[str, Callable[[Any, Floats, Floats], Graph]] = {
    f"{family}{kind}": reader
    for kind in ("Classifier", "Regressor")
    for family, reader in {
        "DecisionTree": _averaged,
        "ExtraTree": _averaged,
        "RandomForest": _averaged,
        "ExtraTrees": _averaged,
        "GradientBoosting": _boosted,
        "HistGradientBoosting": _histogram_boosted,
    }.items()
}
