"""`smidgen.compare` with every kind of artifact, and what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import smidgen
from smidgen.codec.container import write_smg
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.targets import load_target
from smidgen.targets.host import find_compiler
from tests import planted
from tests.conftest import require
from tests.networks import digits, small_cnn

HOST = load_target("generic-c")


@pytest.fixture(scope="module")
def cnn() -> tuple[Graph, Graph, Any]:
    graph, data = small_cnn(), digits()
    return graph, lower(AffineQuantization().apply(graph, Context(data, graph))), data


def test_a_stored_artifact_is_the_graph_in_it(tmp_path: Path) -> None:
    plant = planted.two_bits()
    write_smg(tmp_path / "b.smg", [plant.artifact()])
    (tmp_path / "recipe.yaml").write_text(plant.recipe.to_yaml(), encoding="utf-8")
    stored = smidgen.compare(plant.graph, tmp_path / "b.smg", plant.data)
    assert stored.matches == smidgen.compare(plant.graph, plant.artifact(), plant.data).matches
    assert any(str(tmp_path / "recipe.yaml") in note for note in stored.notes)
    assert stored.fixes[0].what == "8 bits instead of 2 in second"


def test_an_exact_onnx_file_agrees_in_every_layer(cnn, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    _, integer, data = cnn
    write_smg(tmp_path / "a.smg", [integer])
    OnnxEmitter().emit(integer, HOST, tmp_path)
    found = smidgen.compare(tmp_path / "a.smg", tmp_path / "model.onnx", data, samples=40, fixes=0)
    assert found.matches.exact
    assert found.matches.divergent is None
    assert {layer.layer for layer in found.matches.layers} >= {"conv1", "conv2", "max_pool1", "linear1"}


def test_a_qdq_file_differs_by_steps_at_most(cnn, tmp_path: Path) -> None:
    pytest.importorskip("onnxruntime")
    _, integer, data = cnn
    write_smg(tmp_path / "a.smg", [integer])
    QdqOnnxEmitter().emit(integer, HOST, tmp_path)
    found = smidgen.compare(tmp_path / "a.smg", tmp_path / "model.onnx", data, samples=40, fixes=0)
    assert found.matches.output_db > 30
    layers = {layer.layer: layer for layer in found.matches.layers}
    assert layers["conv2"].compared == 40 * 4 * 4 * 12
    assert layers["conv2"].differing < layers["conv2"].compared / 100


def test_a_c_project_shows_its_outputs(cnn, tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph, integer, data = cnn
    CEmitter().emit(integer, HOST, tmp_path / "c")
    write_smg(tmp_path / "a.smg", [integer])
    same = smidgen.compare(tmp_path / "a.smg", tmp_path / "c", data, samples=20, fixes=0)
    assert same.matches.exact
    assert same.matches.divergent is None
    against_model = smidgen.compare(graph, tmp_path / "c", data, samples=20)
    assert against_model.matches.output_db > 20
    assert any("B shows no layer alone" in note for note in against_model.notes)


def test_scores_are_those_of_both_networks_on_the_same_samples() -> None:
    plant = planted.two_bits()
    found = smidgen.compare(plant.graph, plant.artifact(), plant.data, samples=10**6, fixes=0)
    part = plant.data.validation
    assert found.samples == len(part)
    from smidgen.api import network

    right = network(plant.artifact()).predict(part.x) == part.y
    assert found.scores == (100.0, pytest.approx(100 * right.mean()))


def test_regression_is_judged_by_its_metric() -> None:
    plant = planted.two_bits()
    from smidgen.data.dataset import Dataset, Splits
    from smidgen.run.float_ops import run_float

    parts = (plant.data.train, plant.data.validation, plant.data.test)
    values = Splits(*(Dataset(p.x, run_float(plant.graph, p.x)) for p in parts), classes=None)
    found = smidgen.compare(plant.graph, plant.artifact(), values, metric="rmse")
    before, after = found.scores
    assert before < 1e-5 < after
    assert found.fixes[0].gain_points > 0  # a gain is a smaller error
    assert np.isclose(found.fixes[0].gain_points, after, rtol=0.1)


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"data": None}, "data: none was given"),
        ({"samples": 0}, "samples: 0"),
        ({"fixes": -1}, "fixes: -1"),
        ({"b": "absent.smg"}, "absent.smg"),
        ({"b": "absent.onnx"}, "absent.onnx"),
        ({"recipe": "absent.yaml"}, "absent.yaml: it can't be read"),
        ({"metric": "nonsense"}, "nonsense"),
    ],
)
def test_what_can_not_be_used_is_one_clear_error(options: dict[str, Any], found: str) -> None:
    plant = planted.two_bits()
    given = {"a": plant.graph, "b": plant.artifact(), "data": plant.data, **options}
    with pytest.raises(smidgen.SmidgenError, match=found):
        smidgen.compare(**given)


def test_a_folder_that_is_no_c_project_is_refused(tmp_path: Path) -> None:
    plant = planted.two_bits()
    with pytest.raises(BadInput, match="is a folder, but a folder must be a C project"):
        smidgen.compare(plant.graph, tmp_path, plant.data)


def test_the_page_is_written_whole(tmp_path: Path) -> None:
    plant = planted.two_bits()
    smidgen.compare(
        plant.graph, plant.artifact(Recipe((AffineQuantization(),))), plant.data, out=tmp_path / "p.html"
    )
    text = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert text.startswith("<!doctype html>")
    assert text.endswith("</html>")
