"""Float targets: trained, judged and reported as values."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from smidgen.data.user import splits_of
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.graph import GraphBuilder
from smidgen.learn.fit import FitSettings, fit
from smidgen.targets import load_target
from tests.cli.conftest import Cli


@pytest.fixture
def line(tmp_path: Path) -> tuple[str, str]:
    """(model, data): y = |x0| - x1, learned."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 4)).astype(np.float32)
    y = (np.abs(x[:, 0]) - x[:, 1]).astype(np.float32)
    b = GraphBuilder("line")
    hidden = b.op("relu", [b.linear(b.input("x", (4,)), rng.normal(size=(24, 4)), np.zeros(24), name="a")])
    graph = b.graph(b.linear(hidden, rng.normal(size=(1, 24)) / 5, np.zeros(1), name="b"))
    trained = fit(graph, splits_of((x, y), "data"), FitSettings(epochs=30, lr=1e-2))
    FloatOnnxEmitter().emit(trained, load_target("generic-c"), tmp_path / "m")
    np.savez(tmp_path / "d.npz", x=x, y=y)
    return str(tmp_path / "m/model.onnx"), str(tmp_path / "d.npz")


def test_the_default_is_r2_in_percent(line: tuple[str, str], cli: Cli, tmp_path: Path) -> None:
    ran = cli("compress", line[0], "--data", line[1], "--trials", 2, "--seeds", 1, "--out", "r")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "r/report.json").read_text())
    assert report["metric"] == "r2"
    assert report["uncompressed"]["validation"]["mean"] > 90
    linear = next(p for p in report["points"] if p["kind"] == "other model")
    assert 30 < linear["validation"]["mean"] < report["uncompressed"]["validation"]["mean"]
    assert "points of R²" in " ".join(ran.out.split())
    assert "judged by r2" in ran.err


def test_an_error_is_reported_in_its_own_unit_lower_being_better(
    line: tuple[str, str], cli: Cli, tmp_path: Path
) -> None:
    options = ("--metric", "rmse", "--loss", "mae", "--max-drop", 0.2, "--trials", 2, "--seeds", 1)
    ran = cli("compress", line[0], "--data", line[1], *options, "--out", "r")
    assert ran.code == 0, ran.err
    report = json.loads((tmp_path / "r/report.json").read_text())
    scores = [p["validation"] for p in (report["uncompressed"], *report["points"])]
    assert all(score["unit"] == "" and score["better"] == "lower" and score["mean"] > 0 for score in scores)
    chosen = next(p for p in report["points"] if p["chosen"])
    change = chosen["validation"]["mean"] - scores[0]["mean"]
    assert chosen["drop"]["points"] == pytest.approx(change)
    assert "RMSE goes from" in " ".join(ran.out.split())
    measured = cli("measure", tmp_path / "r/chosen/model.smg", "--data", line[1], "--metric", "mae")
    assert measured.code == 0
    assert "mae on validation" in " ".join(measured.out.split())


def test_what_does_not_fit_values_is_refused(line: tuple[str, str], cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "two.npz", x=np.zeros((30, 4)), y=np.zeros((30, 2)))
    for options, says in (
        (
            ["--data", line[1], "--metric", "rmse"],
            "rmse is no percentage and has no default. Pass --max-drop",
        ),
        (["--data", line[1], "--metric", "accuracy"], "accuracy is for classes"),
        (["--data", line[1], "--loss", "cross_entropy"], "'cross_entropy' is not a loss for values"),
        (["--data", line[1], "--method", "quantize.mixed"], "quantize.mixed needs labels of classes"),
        (["--data", "two.npz"], "2 float targets a row, but the model has 1 outputs"),
    ):
        ran = cli("compress", line[0], *options)
        assert ran.code == 3
        assert says in ran.err
