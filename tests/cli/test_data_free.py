"""Without --data: compressed weights, agreement with the original, and no accuracy anywhere."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

import smidgen
from smidgen.codec.container import read_smg
from smidgen.lower import artifact_class
from tests.cli.conftest import Cli
from tests.cli.messages import is_documented
from tests.cli.tiny import Tiny


def test_a_model_alone_is_compressed(user: Tiny, cli: Cli, tmp_path: Path) -> None:
    ran = cli("compress", user.onnx, "--out", "x", "--trials", 4)
    assert ran.code == 0, ran.err
    said = " ".join(ran.out.split())
    assert "agreement with the original (not accuracy)" in said
    assert "Accuracy is unknown" in said
    report = json.loads((tmp_path / "x/report.json").read_text())
    assert report["metric"] == "agreement"
    assert report["artifact_class"] == "weight_only"
    assert {p["kind"] for p in report["points"]} == {"compressed"}
    assert all("affine" not in p["recipe"] and "fit" not in p["recipe"] for p in report["points"])
    chosen = tmp_path / "x/chosen/model.smg"
    assert artifact_class(read_smg(chosen).graph) == "weight_only"
    assert chosen.stat().st_size < report["uncompressed"]["measurements"][0]["value"] / 3
    predicted = smidgen.open(chosen).predict(user.x)
    assert predicted.shape == user.y.shape
    assert "verify" not in ran.out
    assert cli("measure", chosen).code == 0


def test_agreement_is_of_the_stored_network(user: Tiny, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("- quantize.weights: {bits: 8}\n", encoding="utf-8")
    ran = cli("apply", "r.yaml", user.onnx, "--out", "o")
    assert ran.code == 0, ran.err
    assert "agreement on random inputs (not accuracy)" in " ".join(ran.out.split())
    original = smidgen.api.network(smidgen.load(str(user.onnx))).outputs(user.x)
    stored = smidgen.open(tmp_path / "o/model.smg").outputs(user.x)
    assert 0 < np.abs(stored - original).max() < 0.1 * np.abs(original).max()


def test_what_needs_data_is_refused_without_it(user: Tiny, cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "r.yaml").write_text("- quantize.affine\n", encoding="utf-8")
    for arguments, says in (
        (["compress", user.onnx, "--method", "quantize.affine"], "quantize.affine needs data"),
        (["compress", user.onnx, "--target", "cortex-m4"], "cortex-m4 runs integers"),
        (["compress", user.onnx, "--metric", "f1"], "Pass --data or drop --metric"),
        (["apply", "r.yaml", user.onnx], "Pass --data or drop the step"),
    ):
        ran = cli(*arguments)
        assert ran.code == 3
        assert says in ran.err
        assert is_documented(ran.err)
