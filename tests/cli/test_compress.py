"""The main job from a user's model file to files that run."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

import smidgen
from smidgen.codec.container import read_smg, write_smg
from smidgen.codec.golden import read_golden
from smidgen.data import load_user_data
from smidgen.errors import BadInput
from smidgen.formats import Affine
from smidgen.measure.accuracy import quantized_inputs
from smidgen.methods import Recipe
from smidgen.report.model import read_report
from smidgen.run.reference import run_integer
from tests.cli.conftest import ENVIRONMENT, Cli, compress_arguments
from tests.cli.tiny import Tiny

BLOCKED = ("torch", "onnx", "onnxruntime", "optuna", "sklearn", "altair", "vl_convert", "lightning_fabric")
RUN_ALONE = f"""
import sys
import numpy as np

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {BLOCKED}:
            raise ImportError(name + " is blocked")

sys.meta_path.insert(0, Blocker())
import smidgen
net = smidgen.open(sys.argv[1])
with np.load(sys.argv[2]) as arrays:
    np.save(sys.argv[3], net.predict(arrays["x"]))
print(net.backend)
"""


def chosen(run_folder: Path) -> Path:
    return run_folder / "chosen" / "model.smg"


def test_a_run_leaves_the_report_and_the_chosen_artifact_in_every_form(run_folder: Path) -> None:
    expected = {"model.smg", "model.golden", "model.onnx", "recipe.yaml", "c"}
    assert {path.name for path in chosen(run_folder).parent.iterdir()} == expected
    assert json.loads((run_folder / "report.json").read_text(encoding="utf-8"))["points"]
    assert (run_folder / "report.html").stat().st_size > 1000
    assert (run_folder / "frontier.png").read_bytes().startswith(b"\x89PNG")


def test_baselines_are_left_out_if_asked(run_folder: Path, user: Tiny, cli: Cli, tmp_path: Path) -> None:
    assert cli(*compress_arguments(user, tmp_path / "run", "--trials", "1", "--no-baselines")).code == 0
    kinds = {
        folder: {p.kind for p in read_report(folder / "report.json").points}
        for folder in (run_folder, tmp_path / "run")
    }
    assert kinds == {
        run_folder: {"compressed", "width baseline", "other model"},
        tmp_path / "run": {"compressed"},
    }


def test_nothing_temporary_is_left(run_folder: Path) -> None:
    assert not list(run_folder.rglob(".tmp-*"))


def test_the_artifact_keeps_the_user_s_layout_and_labels(run_folder: Path, user: Tiny) -> None:
    net = smidgen.open(chosen(run_folder))
    assert net.graph.values[net.graph.inputs[0]].shape == (1, 8, 8)
    assert (net.predict(user.x) == user.y).mean() > 0.85


def test_the_onnx_twin_is_valid_and_the_recipe_can_be_read(run_folder: Path) -> None:
    onnx.checker.check_model(onnx.load(str(chosen(run_folder).with_name("model.onnx"))))
    assert Recipe.from_yaml((run_folder / "chosen" / "recipe.yaml").read_text(encoding="utf-8")).steps


def test_golden_vectors_are_made_of_validation_samples(run_folder: Path, user: Tiny) -> None:
    golden = read_golden(chosen(run_folder).with_name("model.golden"))
    graph = read_smg(chosen(run_folder)).graph
    rows = load_user_data(str(user.npz)).validation.x[: len(golden.inputs[0])]
    np.testing.assert_array_equal(golden.inputs[0], quantized_inputs(graph, rows))


def test_the_artifact_runs_where_no_framework_can_be_imported(
    run_folder: Path, user: Tiny, tmp_path: Path
) -> None:
    arguments = [str(chosen(run_folder)), str(user.npz), str(tmp_path / "labels.npy")]
    done = subprocess.run(
        [sys.executable, "-c", RUN_ALONE, *arguments], env=ENVIRONMENT, capture_output=True, text=True
    )
    assert done.stdout.strip() == "native", done.stderr
    graph = read_smg(chosen(run_folder)).graph
    expected = run_integer(graph, quantized_inputs(graph, user.x)).reshape(len(user.x), -1).argmax(axis=1)
    np.testing.assert_array_equal(np.load(tmp_path / "labels.npy"), expected)


def test_verify_agrees_with_the_golden_vectors_and_all_back_ends(run_folder: Path, cli: Cli) -> None:
    ran = cli("verify", chosen(run_folder), "--backend", "native", "--backend", "file", "-n", 20)
    assert ran.code == 0, ran.err
    assert "layers agree" in ran.out
    assert ran.out.count("0 of 20 inputs differ") == 2


def test_verify_finds_a_single_changed_weight(run_folder: Path, cli: Cli, tmp_path: Path) -> None:
    changed = tmp_path / "model.smg"
    with_one_weight_changed(chosen(run_folder), changed)
    changed.with_suffix(".golden").write_bytes(chosen(run_folder).with_suffix(".golden").read_bytes())
    ran = cli("verify", changed, "--backend", "native", "-n", 5)
    assert ran.code == 7
    assert "has CRC-32" in ran.err


def test_verify_says_when_there_are_no_golden_vectors(run_folder: Path, cli: Cli, tmp_path: Path) -> None:
    alone = tmp_path / "model.smg"
    alone.write_bytes(chosen(run_folder).read_bytes())
    ran = cli("verify", alone, "--backend", "native", "-n", 5)
    assert ran.code == 0
    assert "no model.golden beside the file" in ran.out


@pytest.mark.parametrize("what", ["inspect", "measure"])
def test_sizes_are_those_of_the_file(what: str, run_folder: Path, cli: Cli) -> None:
    ran = cli(what, chosen(run_folder))
    assert ran.code == 0
    assert f"{chosen(run_folder).stat().st_size:,}" in ran.out


def test_one_weight_can_be_printed(run_folder: Path, cli: Cli) -> None:
    name = next(iter(read_smg(chosen(run_folder)).graph.weights))
    ran = cli("inspect", chosen(run_folder), "--weight", name)
    assert ran.out.startswith(f"{name}: ")


def test_accuracy_is_measured_on_the_user_s_data(run_folder: Path, user: Tiny, cli: Cli) -> None:
    ran = cli("measure", chosen(run_folder), "--data", user.npz)
    part = load_user_data(str(user.npz)).validation
    right = 100 * (smidgen.open(chosen(run_folder)).predict(part.x) == part.y).mean()
    assert f"{right:.2f} ±" in ran.out


def test_a_chosen_recipe_can_be_applied_again(run_folder: Path, user: Tiny, cli: Cli, tmp_path: Path) -> None:
    recipe = chosen(run_folder).with_name("recipe.yaml")
    ran = cli("apply", recipe, user.onnx, "--data", user.npz, "-o", tmp_path / "again")
    assert ran.code == 0, ran.err
    assert (tmp_path / "again" / "model.smg").read_bytes() == chosen(run_folder).read_bytes()


@pytest.mark.parametrize(("form", "file"), [("c", "model.c"), ("onnx", "model.onnx"), ("smg", "model.smg")])
def test_every_form_is_exported(form: str, file: str, run_folder: Path, cli: Cli, tmp_path: Path) -> None:
    ran = cli("export", form, chosen(run_folder), tmp_path / form)
    assert ran.code == 0, ran.err
    assert (tmp_path / form / file).exists()
    assert file in ran.out


def test_a_report_is_printed_and_its_page_made_again(run_folder: Path, cli: Cli) -> None:
    page = run_folder / "report.html"
    page.unlink()
    ran = cli("report", run_folder)
    assert ran.code == 0
    assert "tiny on x86-64" in ran.out
    assert page.exists()


def test_the_demo_is_the_watch_on_a_cortex_m4(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: dict[str, Any] = {}

    def compress(source: str, data: None, **options: Any) -> None:
        asked.update(options, source=source)
        raise BadInput("demo", "seen")

    monkeypatch.setattr("smidgen.api.compress", compress)
    assert cli("demo", "--time", "1m").code == 3
    expected = {"source": "watch", "target": "cortex-m4", "budget": "flash=64KB,ram=48KB", "time": "1m"}
    assert expected.items() <= asked.items()


def with_one_weight_changed(source: Path, changed: Path) -> None:
    """Write the network of `source` with its largest symbol negated: a whole file with a right checksum."""
    graph = read_smg(source).graph
    name, weight = next((n, w) for n, w in graph.weights.items() if isinstance(w, Affine))
    symbols = weight.symbols.copy()
    symbols.ravel()[np.abs(symbols).argmax()] *= -1
    write_smg(changed, [graph.with_weights({name: replace(weight, symbols=symbols)})])
