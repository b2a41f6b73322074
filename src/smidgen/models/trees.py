"""The baselines out of trees: few boosted ones and a forest, as Graphs that lower like every other.

They need no multiplication before their last step, and where features are few they are hard to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Splits
from smidgen.errors import BadInput, MissingExtra
from smidgen.graph import Graph, Node, Value

BOOSTED, FOREST = "boosted-trees", "extra-trees"
ROWS = 10_000  # training rows at most: more change little for trees this small, and cost minutes
BOOSTED_TREES = 100  # over all classes together


def fit(splits: Splits, name: str, seed: int = 0) -> Graph:
    """A fitted ensemble on the flattened inputs, `name` one of BOOSTED and FOREST, as flatten → trees.

    BOOSTED: about 100 trees of 8 leaves. FOREST: 20 extremely randomised trees of 64 leaves.
    Ref: Friedman 2001 (Annals of Statistics 29); Geurts, Ernst, Wehenkel 2006 (Machine Learning 63).

    Raises:
        BadInput: a class without training rows, or several values a sample. MissingExtra: scikit-learn is not
            installed.
    """
    _check_targets(splits, name)
    from smidgen.load.sklearn import load_estimator

    rows = _rows(splits, seed)
    x, y = splits.train.x[rows].reshape(len(rows), -1), splits.train.y[rows]
    model = _ESTIMATORS[name](_ensembles(name), splits.classes, seed)
    model.fit(x, y if splits.classes is not None else y[:, 0])
    return replace(_taking(load_estimator(model), splits.train.inputs.shape[1:]), name=name)


def _check_targets(splits: Splits, name: str) -> None:
    if splits.classes is None:
        if splits.train.y.shape[1] > 1:
            raise BadInput(name, f"{splits.train.y.shape[1]} values a sample", "trees give one")
    elif len(np.unique(splits.train.y)) != splits.classes:
        raise BadInput(name, "a class without training rows", "every class needs some")


def _boosted(ensembles: Any, classes: int | None, seed: int) -> Any:
    kind = ensembles.GradientBoostingRegressor if classes is None else ensembles.GradientBoostingClassifier
    # Leaves of few rows get huge values where a class is already certain.
    return kind(
        n_estimators=max(BOOSTED_TREES // (1 if classes in (None, 2) else classes), 1),
        learning_rate=0.3,
        max_leaf_nodes=8,
        min_samples_leaf=5,
        max_features="sqrt",
        random_state=seed,
    )


def _forest(ensembles: Any, classes: int | None, seed: int) -> Any:
    kind = ensembles.ExtraTreesRegressor if classes is None else ensembles.ExtraTreesClassifier
    return kind(n_estimators=20, max_leaf_nodes=64, random_state=seed)


_ESTIMATORS: Mapping[str, Callable[[Any, int | None, int], Any]] = {BOOSTED: _boosted, FOREST: _forest}


def _ensembles(name: str) -> Any:
    try:
        from sklearn import ensemble
    except ImportError as missing:
        raise MissingExtra(f"{name} baseline", "scikit-learn", "compress") from missing
    return ensemble


def _rows(splits: Splits, seed: int) -> npt.NDArray[np.int64]:
    """At most ROWS random rows, and one of every class."""
    train = splits.train
    order = np.random.default_rng(seed).permutation(len(train))
    if splits.classes is None:
        return order[:ROWS]
    one_each = np.unique(train.y[order], return_index=True)[1]
    return order[np.union1d(one_each, np.arange(min(len(train), ROWS)))]


def _taking(graph: Graph, shape: tuple[int, ...]) -> Graph:
    """`graph`, which takes a vector, behind a reshape of samples of `shape`."""
    if len(shape) == 1:
        return graph
    given, flat = graph.inputs[0], "flat"
    read = graph.rename_value(given, flat)
    values = {**graph.values, given: Value(shape), flat: graph.values[given]}
    flatten = Node(flat, "reshape", (given,), (flat,), attrs={"shape": (-1,)})
    wrapped = replace(read, nodes=(flatten, *read.nodes), values=values)
    wrapped.check()
    return wrapped
