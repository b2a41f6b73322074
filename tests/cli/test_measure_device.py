"""`smidgen measure` on a device: tables, JSON, golden vectors."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from smidgen.cli.app import app
from smidgen.codec.container import write_smg
from smidgen.codec.golden import golden_of, write_golden
from tests.integer_networks import integer_network
from tests.targets.test_cross import need


@pytest.fixture
def model(tmp_path: Path) -> Path:
    need("ziglang", "elftools", "unicorn")
    write_smg(tmp_path / "model.smg", [integer_network("int8")])
    return tmp_path / "model.smg"


def measure(model: Path, *options: str) -> str:
    found = CliRunner().invoke(app, ["measure", str(model), "--target", "cortex-m4", *options])
    assert found.exit_code == 0, found.output
    return found.output


def test_tables_show_layers_and_that_all_inputs_agree(model: Path) -> None:
    said = measure(model)
    assert "emulated instructions by layer" in said
    assert "bit-exact: yes, 3 inputs on the emulated cortex-m4" in said


def test_json_has_figures_layers_and_the_verdict(model: Path) -> None:
    found = json.loads(measure(model, "--inputs", "5", "--json"))
    assert (found["exact"], found["inputs"]) == (True, 5)
    assert found["measurements"]["instructions"]["how"] == "emulated"
    assert found["measurements"]["latency_ms"]["how"] == "modelled"
    assert set(found["layers"]) <= {node.name for node in integer_network("int8").nodes}


def test_golden_vectors_beside_the_file_are_what_is_run(model: Path) -> None:
    graph = integer_network("int8")
    write_golden(model.with_name("model.golden"), golden_of(graph, np.zeros((7, 8, 8, 1), np.int8)))
    assert json.loads(measure(model, "--json"))["inputs"] == 7


def test_a_host_s_figures_are_json_too(model: Path) -> None:
    found = CliRunner().invoke(app, ["measure", str(model), "--json"])
    assert json.loads(found.output)["measurements"]["ram_bytes"]["how"] == "measured"


def test_each_way_of_keeping_the_weights_is_measured(model: Path) -> None:
    assert "where the weights are" in measure(model, "--weights")
    found = json.loads(measure(model, "--weights", "--json"))["weights"]
    assert set(found) == {"stored", "expanded", "coded"}
    assert all(set(way) == {"flash_bytes", "ram_bytes", "instructions"} for way in found.values())
