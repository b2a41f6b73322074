"""`smidgen bench` and `inspect --plan`, as a user meets them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from smidgen.codec.container import read_smg
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.smg import SmgEmitter
from smidgen.lower import lower
from smidgen.measure import ceilings
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context
from smidgen.run import choose
from smidgen.targets import load_target
from tests.cli.conftest import Cli
from tests.networks import small_cnn
from tests.run.test_native import lowered

HOST = load_target("generic-c")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    (path,) = SmgEmitter().emit(lowered(small_cnn()), HOST, tmp_path_factory.mktemp("smg")).files
    return path


def test_an_artifact_is_timed_against_other_runtimes(file: Path, cli: Cli) -> None:
    ran = cli("bench", file, "--time", "0.2")
    assert ran.code == 0
    for word in ("model.smg", "ORT fp32", "ORT int8", "LiteRT int8", "one thread", "medians"):
        assert word in ran.out


def test_json_holds_every_number(file: Path, cli: Cli) -> None:
    found = json.loads(cli("bench", file, "--time", "0.2", "--batch", "2", "--json").out)
    ours, *others = found["rows"]
    assert (found["batch"], ours["name"], ours["baseline"]) == (2, "model.smg", False)
    assert set(ours["speedup_over"]) == {row["name"] for row in others}
    medians = [row["times"][0]["value"] for row in others]
    assert medians == sorted(medians), "the strongest first"
    assert all(entry["repeats"] >= 20 for entry in ours["times"])


def test_everything_gets_as_many_threads(file: Path, cli: Cli) -> None:
    ran = cli("bench", file, "--time", "0.2", "--batch", "5", "--threads", "2", "--json")
    assert (ran.code, json.loads(ran.out)["threads"]) == (0, 2)
    assert (
        "5 samples a call, 2 threads"
        in cli("bench", file, "--time", "0.1", "--batch", "5", "--threads", "2").out
    )
    assert cli("bench", file, "--threads", "0").code == 2


def test_the_roofline_names_every_layer(file: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, few in (("ROUNDS", 2000), ("REPEATS", 3), ("READ_BYTES", 1 << 20), ("DRAM_BYTES", 1 << 20)):
        monkeypatch.setattr(ceilings, name, few)
    found = json.loads(cli("bench", file, "--time", "0.2", "--roofline", "--json").out)
    rows = found["layers"]["model.smg"]
    assert [row["node"] for row in rows] == [
        node.name for node in read_smg(file).graph.nodes if node.op != "q.reshape"
    ]
    assert {row["bound"] for row in rows} <= {"compute", *found["ceilings"]["bandwidth"]}
    shown = cli("bench", file, "--time", "0.2", "--roofline").out
    assert all(row["node"] in shown for row in rows)
    assert "int8 dot product" in shown


def test_a_float_network_gets_int8_rivals(cli: Cli, tmp_path: Path) -> None:
    (path,) = FloatOnnxEmitter().emit(small_cnn(), HOST, tmp_path).files
    ran = cli("bench", path, "--time", "0.2")
    assert ran.code == 0
    assert "ORT int8" in ran.out


@pytest.fixture(scope="module")
def real_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of 4 bits, real activations."""
    network = small_cnn()
    graph = lower(WeightQuantization(bits=4).apply(network, Context(None, network)))
    (path,) = SmgEmitter().emit(graph, HOST, tmp_path_factory.mktemp("smg")).files
    return path


def test_a_network_of_packed_weights_and_real_activations_is_timed(real_file: Path, cli: Cli) -> None:
    found = json.loads(cli("bench", real_file, "--time", "0.2", "--json").out)
    assert found["rows"][0]["runtime"].endswith("in pieces")
    assert set(found["rows"][0]["speedup_over"]) == {"ORT fp32", "ORT int8", "LiteRT int8"}


def test_pieces_show_what_runs_them_and_their_time(
    real_file: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choose.VARIABLE, "on")
    ran = cli("inspect", real_file, "--plan")
    assert ran.code == 0
    for word in ("conv, relu", "lowbit", "NumPy", "winograd 4", "pieces", "µs"):
        assert word in ran.out


def test_files_of_one_name_are_told_apart(file: Path, cli: Cli) -> None:
    found = json.loads(cli("bench", file, file, "--time", "0.2", "--json").out)
    assert [row["name"] for row in found["rows"][:2]] == ["model.smg (1)", "model.smg (2)"]


def test_a_bad_artifact_is_one_clear_error(cli: Cli) -> None:
    ran = cli("bench", "missing.bin")
    assert ran.code == 3
    assert "missing.bin: it is no artifact" in ran.err


def test_a_plan_shows_what_runs_each_call(
    file: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(choose.VARIABLE, "on")
    ran = cli("inspect", file, "--plan")
    assert ran.code == 0
    for word in ("q_conv", "runs on", "im2col", "of constants"):
        assert word in ran.out
