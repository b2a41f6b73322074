"""A scikit-learn model through the front door: compressed, compared with other models, opened again."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_breast_cancer
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from smidgen.api import Compressed, compress, prepare
from smidgen.api.compressing import _folder_for


@pytest.fixture(scope="module")
def data() -> tuple[np.ndarray, np.ndarray]:
    x, y = load_breast_cancer(return_X_y=True)
    return ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32), y


@pytest.fixture(scope="module")
def done(data: tuple[np.ndarray, np.ndarray], tmp_path_factory: pytest.TempPathFactory) -> Compressed:
    model = RandomForestClassifier(10, max_leaf_nodes=16, random_state=0).fit(data[0][:400], data[1][:400])
    return compress(model, data, trials=1, seeds=1, out=tmp_path_factory.mktemp("runs") / "forest")


def test_the_artifact_of_a_forest_predicts(done: Compressed, data: tuple[np.ndarray, np.ndarray]) -> None:
    network = done.open()
    assert network.backend == "native"
    assert (network.predict(data[0]) == data[1]).mean() > 0.95


def test_other_models_stand_beside_it_and_narrower_networks_do_not(done: Compressed) -> None:
    kinds = {(point.kind, point.label.partition(":")[0]) for point in done.report.points}
    assert {label for kind, label in kinds if kind == "other model"} == {
        "linear",
        "boosted-trees",
        "extra-trees",
    }
    assert not [label for kind, label in kinds if kind == "width baseline"]


def test_a_model_is_found_by_module_and_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data: tuple[np.ndarray, np.ndarray]
) -> None:
    module = "from tests.test_api_trees import logistic\ndef make(): return logistic()\n"
    (tmp_path / "mymodel.py").write_text(module)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delitem(sys.modules, "mymodel", raising=False)
    subject = prepare("mymodel:make", data, tmp_path)
    assert subject.name == "LogisticRegression"
    assert _folder_for("package.mymodel:make") == Path("runs/make")


def logistic() -> LogisticRegression:
    x, y = load_breast_cancer(return_X_y=True)
    return LogisticRegression(max_iter=2000).fit((x - x.mean(axis=0)) / x.std(axis=0), y)
