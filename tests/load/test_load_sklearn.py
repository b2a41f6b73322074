"""scikit-learn's own answers on many random inputs are the reference for the graphs of its estimators."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn import ensemble, linear_model, naive_bayes, preprocessing, svm, tree
from sklearn.pipeline import Pipeline, make_pipeline

import smidgen
from smidgen.errors import BadInput
from smidgen.run.float_ops import run_float

FEATURES = 6
CLASSIFIERS = {
    "logistic": linear_model.LogisticRegression(),
    "sgd": linear_model.SGDClassifier(random_state=0),
    "svm": svm.LinearSVC(random_state=0),
    "ridge": linear_model.RidgeClassifier(),
    "perceptron": linear_model.Perceptron(random_state=0),
    "tree": tree.DecisionTreeClassifier(random_state=0),
    "extra tree": tree.ExtraTreeClassifier(random_state=0),
    "forest": ensemble.RandomForestClassifier(7, random_state=0),
    "extra trees": ensemble.ExtraTreesClassifier(7, random_state=0),
    "boosting": ensemble.GradientBoostingClassifier(n_estimators=5, random_state=0),
    "boosting from 0": ensemble.GradientBoostingClassifier(n_estimators=5, init="zero", random_state=0),
    "histogram": ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0),
    "standardised forest": make_pipeline(
        preprocessing.StandardScaler(), ensemble.RandomForestClassifier(7, random_state=0)
    ),
    "twice scaled boosting": make_pipeline(
        preprocessing.MinMaxScaler((-2, 3)),
        preprocessing.StandardScaler(with_std=False),
        ensemble.HistGradientBoostingClassifier(max_iter=5, random_state=0),
    ),
    "scaled logistic": make_pipeline(
        preprocessing.StandardScaler(with_mean=False), linear_model.LogisticRegression()
    ),
}
REGRESSORS = {
    "ridge": linear_model.Ridge(),
    "least squares": linear_model.LinearRegression(),
    "lasso": linear_model.Lasso(),
    "no intercept": linear_model.Ridge(fit_intercept=False),
    "tree": tree.DecisionTreeRegressor(random_state=0),
    "forest": ensemble.RandomForestRegressor(7, random_state=0),
    "boosting": ensemble.GradientBoostingRegressor(n_estimators=5, random_state=0),
    "histogram": ensemble.HistGradientBoostingRegressor(max_iter=5, random_state=0),
}


def rows(n: int, seed: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(seed).normal(size=(n, FEATURES)).astype(np.float32) * 3 + 1


def fitted(model: Any, classes: int = 0) -> Any:
    """Fitted on 300 rows; `classes` 0: a real target."""
    x = rows(300, 0)
    target = x[:, 0] * x[:, 1] + np.sin(x[:, 2]) + np.abs(x[:, 3])
    y = target if not classes else np.digitize(target, np.quantile(target, np.arange(1, classes) / classes))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return model.fit(x, y)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("model", CLASSIFIERS.values(), ids=CLASSIFIERS.keys())
def test_classes_are_those_that_the_classifier_predicts(model: Any, classes: int) -> None:
    model = fitted(model, classes)
    graph, x = smidgen.load(model), rows(2000, 1)
    found = run_float(graph, x)
    assert found.shape == (2000, classes)
    # Sums of float32 can break a tie the other way, and a scaler's rounding move a threshold's last bit.
    assert (found.argmax(axis=1) == model.predict(x)).mean() > 0.998


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["tree", "forest", "extra trees"])
def test_forests_give_the_probabilities_of_classes(name: str, classes: int) -> None:
    model = fitted(CLASSIFIERS[name], classes)
    x = rows(500, 2)
    np.testing.assert_allclose(run_float(smidgen.load(model), x), model.predict_proba(x), atol=1e-5)


@pytest.mark.parametrize("classes", [2, 3])
@pytest.mark.parametrize("name", ["logistic", "svm", "ridge", "boosting", "boosting from 0", "histogram"])
def test_differences_of_outputs_are_those_of_the_decision_function(name: str, classes: int) -> None:
    model = fitted(CLASSIFIERS[name], classes)
    x = rows(500, 3)
    expected = model.decision_function(x)
    found = run_float(smidgen.load(model), x)
    found = found[:, 1] - found[:, 0] if classes == 2 else found
    np.testing.assert_allclose(found, expected, atol=1e-4)


@pytest.mark.parametrize("model", REGRESSORS.values(), ids=REGRESSORS.keys())
def test_values_are_those_that_the_regressor_predicts(model: Any) -> None:
    model = fitted(model)
    x = rows(500, 4)
    np.testing.assert_allclose(
        run_float(smidgen.load(model), x)[:, 0], model.predict(x), rtol=1e-4, atol=1e-4
    )


def test_inputs_that_equal_a_threshold_go_the_same_way() -> None:
    model = fitted(tree.DecisionTreeClassifier(random_state=0), 3)
    x = rows(2, 5).repeat(200, axis=0)
    splits = model.tree_.feature >= 0
    values = np.resize(model.tree_.threshold[splits], 400)
    x[np.arange(400), np.resize(model.tree_.feature[splits], 400)] = values
    assert (run_float(smidgen.load(model), x).argmax(axis=1) == model.predict(x)).all()


def test_a_tree_of_one_leaf_answers_always_the_same() -> None:
    model = tree.DecisionTreeClassifier(max_depth=1).fit(np.zeros((4, 2)), [0, 1, 1, 1])
    np.testing.assert_allclose(
        run_float(smidgen.load(model), np.ones((3, 2), np.float32)), [[0.25, 0.75]] * 3
    )


def refused(model: Any, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        smidgen.load(model)


def test_labels_that_are_not_numbered_from_0_are_refused() -> None:
    refused(tree.DecisionTreeClassifier().fit(rows(4, 0), [1, 2, 2, 1]), "class labels .1, 2.*LabelEncoder")
    refused(linear_model.LogisticRegression().fit(rows(4, 0), ["a", "b", "b", "a"]), "class labels .*'a'")


def test_an_estimator_that_was_not_fitted_is_refused() -> None:
    refused(ensemble.RandomForestClassifier(), "RandomForestClassifier: it is not fitted")


def test_other_estimators_and_steps_are_refused() -> None:
    refused(fitted(naive_bayes.GaussianNB(), 2), "GaussianNB: this kind of estimator is not loaded")
    polynomial = make_pipeline(preprocessing.PolynomialFeatures(2), linear_model.Ridge())
    refused(fitted(polynomial), "the step PolynomialFeatures.*StandardScaler and MinMaxScaler")
    clipped = make_pipeline(preprocessing.MinMaxScaler(clip=True), linear_model.Ridge())
    refused(fitted(clipped), "clip=True")
    refused(Pipeline([("nothing", "passthrough")]), "it has no steps")


def test_sums_that_are_not_the_answers_are_refused() -> None:
    x = rows(100, 0)
    model = ensemble.HistGradientBoostingRegressor(loss="poisson", max_iter=5).fit(x, np.abs(x[:, 0]))
    refused(model, "not a constant plus the sum of its trees")
    started = ensemble.GradientBoostingRegressor(init=linear_model.Ridge(), n_estimators=3)
    refused(fitted(started), "it starts from a Ridge")


def test_splits_by_category_are_refused() -> None:
    x = np.random.default_rng(0).integers(0, 5, (200, 2)).astype(np.float32)
    model = ensemble.HistGradientBoostingClassifier(categorical_features=[0], max_iter=3)
    refused(model.fit(x, x[:, 0] % 2), "it splits by categories")


def test_a_missing_value_in_training_changes_nothing_for_others() -> None:
    x = rows(300, 0)
    y = (x[:, 0] > 1).astype(int)
    x[::7, 0] = np.nan
    model = ensemble.HistGradientBoostingClassifier(max_iter=5).fit(x, y)
    whole = rows(500, 1)
    found = run_float(smidgen.load(model), whole)
    np.testing.assert_allclose(found[:, 1] - found[:, 0], model.decision_function(whole), atol=1e-4)


def test_a_tree_too_large_for_its_steps_is_refused() -> None:
    from smidgen.load.forest import Forest, Tree

    splits = 40_000  # a chain: each split's right child is the next one
    left = np.append(np.arange(splits) + splits, np.full(splits + 1, -1))
    right = np.append(np.arange(1, splits), [2 * splits, *np.full(splits + 1, -1)])
    nodes = len(left)
    values = np.arange(nodes, dtype=np.float64)[:, None]
    with pytest.raises(BadInput, match="Limit max_depth or max_leaf_nodes"):
        Forest(1).add(Tree(left, right, np.zeros(nodes, np.int64), np.zeros(nodes), values))


@pytest.mark.parametrize("name", ["model.joblib", "model.pkl"])
def test_a_pickle_is_refused_without_being_opened(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"cos\nsystem\n(S'false'\ntR.")
    refused(tmp_path / name, "can run code.*package.module:function")


def module(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "usermodel.py").write_text(text)
    monkeypatch.chdir(folder)
    monkeypatch.delitem(sys.modules, "usermodel", raising=False)


def test_a_function_of_the_users_module_gives_the_model(tmp_path: Path, monkeypatch: Any) -> None:
    text = "from sklearn.tree import *\ndef make(): return DecisionTreeClassifier().fit([[0], [1]], [0, 1])\n"
    module(tmp_path, monkeypatch, text + "ready = make()\n")
    for source in ("usermodel:make", "usermodel:ready"):
        assert [node.op for node in smidgen.load(source).nodes] == ["trees"]


@pytest.mark.parametrize("source", ["usermodel:absent", "usermodel:broken", "no_such_module_here:f"])
def test_what_the_users_code_raises_is_one_clear_error(source: str, tmp_path: Path, monkeypatch: Any) -> None:
    module(tmp_path, monkeypatch, "def broken():\n    raise RuntimeError('oh')\n")
    refused(source, "it can't be had")
