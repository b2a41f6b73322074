"""Metrics against scikit-learn, their gains, and what they refuse."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from smidgen.data import Dataset, Splits
from smidgen.data.metrics import METRICS, metric_for
from smidgen.errors import BadInput

PLAIN = [m for m in METRICS.values() if m.name != "sdr_gain"]  # whose targets are another kind of thing
LABELS = arrays(np.int64, 30, elements=st.integers(0, 3))
VALUES = arrays(np.float32, (30, 2), elements=st.floats(-100, 100, width=32))
SHARES = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": lambda y, p: sk.recall_score(y, p, labels=np.unique(y), average="macro"),
    "f1": lambda y, p: sk.f1_score(y, p, average="macro"),
}
ERRORS = {"mse": sk.mean_squared_error, "mae": sk.mean_absolute_error,
          "rmse": lambda y, p: sk.mean_squared_error(y.ravel(), p.ravel()) ** 0.5}  # fmt: skip


@given(LABELS, LABELS)
def test_shares_of_labels_are_scikit_learn_s(labels: np.ndarray, targets: np.ndarray) -> None:
    for name, theirs in SHARES.items():
        assert METRICS[name].score(labels, targets) == pytest.approx(100 * theirs(targets, labels))


@given(VALUES, VALUES)
def test_errors_of_values_are_scikit_learn_s(outputs: np.ndarray, targets: np.ndarray) -> None:
    for name, theirs in ERRORS.items():
        assert METRICS[name].score(outputs, targets) == pytest.approx(theirs(targets, outputs), rel=1e-5)


@given(VALUES)
def test_r2_is_scikit_learn_s(outputs: np.ndarray) -> None:
    targets = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    assert METRICS["r2"].score(outputs, targets) == pytest.approx(
        100 * sk.r2_score(targets, outputs), rel=1e-4
    )


@given(arrays(np.float32, (30, 2), elements=st.integers(-3, 3)))
def test_auc_is_scikit_learn_s_ties_included(outputs: np.ndarray) -> None:
    targets = np.arange(30) % 2
    wanted = 100 * sk.roc_auc_score(targets, outputs[:, 1] - outputs[:, 0])
    assert METRICS["auc"].score(outputs, targets) == pytest.approx(wanted)


def test_auc_of_one_class_is_not_defined() -> None:
    assert np.isnan(METRICS["auc"].score(np.ones((4, 2)), np.ones(4, np.int64)))


def test_agreement_is_100_for_the_same_outputs_and_0_for_their_mean() -> None:
    targets = np.random.default_rng(0).normal(size=(30, 2)).astype(np.float32)
    assert METRICS["agreement"].score(targets, targets) == 100
    mean = np.broadcast_to(targets.astype(np.float64).mean(axis=0), targets.shape)
    assert METRICS["agreement"].score(mean, targets) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", PLAIN, ids=[m.name for m in PLAIN])
def test_perfect_outputs_have_the_largest_gain(metric: object) -> None:
    targets = np.arange(30) % 2
    outputs = np.eye(2, dtype=np.float32)[targets]
    judged = targets if metric.targets == "classes" else outputs  # type: ignore[attr-defined]
    best = metric.gain(metric.predictions(outputs), judged)  # type: ignore[attr-defined]
    worse = metric.gain(metric.predictions(outputs[::-1] * 0.9), judged)  # type: ignore[attr-defined]
    assert best > worse


def splits(classes: int | None, metric: str = "") -> Splits:
    y = np.zeros((4, 1), np.float32) if classes is None else np.arange(4) % classes
    part = Dataset(np.zeros((4, 2), np.float32), y)
    return Splits(part, part, part, classes, metric=metric)


def test_the_default_follows_the_targets() -> None:
    assert metric_for(splits(2)).name == "accuracy"
    assert metric_for(splits(None)).name == "r2"


USERS = """
def half(outputs, targets): return outputs.shape[1] / 2
def broken(outputs, targets): raise KeyError("lost")
def text(outputs, targets): return "good"
"""


def test_the_user_s_own_function_is_called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "users_metrics.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    outputs, targets = np.zeros((4, 3)), np.zeros(4, np.int64)
    metric = metric_for(splits(2, "users_metrics:half"))
    assert metric.gain(metric.predictions(outputs), targets) == 1.5
    for name, says in (("broken", "the function raised KeyError"), ("text", "returned a str, but a number")):
        with pytest.raises(BadInput, match=says):
            metric_for(splits(2, f"users_metrics:{name}")).score(outputs, targets)


@pytest.mark.parametrize(
    ("classes", "name", "message"),
    [
        (2, "loveliness", "'loveliness' is unknown, but there are accuracy, "),
        (2, "rmse", "rmse is for values, but the data's targets are classes. Use accuracy"),
        (None, "f1", "f1 is for classes, but the data's targets are values. Use r2"),
        (3, "auc", "auc with 3 classes, but it is for two"),
        (2, "no_module:f", "can't be imported"),
    ],
)
def test_a_metric_that_can_t_judge_is_refused(classes: int | None, name: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        metric_for(splits(classes, name))


def test_a_metric_is_the_same_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sent_metrics.py").write_text(USERS)
    monkeypatch.chdir(tmp_path)
    assert pickle.loads(pickle.dumps(METRICS["accuracy"])) == METRICS["accuracy"]
    sent = pickle.loads(pickle.dumps(metric_for(splits(2, "sent_metrics:half"))))
    assert sent.score(np.zeros((4, 3)), np.zeros(4)) == 1.5
