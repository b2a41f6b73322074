"""The Python front door: compress a module, open what came out, clear errors before any work."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import smidgen
from smidgen.api import Compressed, budget_for, compress, network, prepare
from smidgen.api.compressing import limits_of
from smidgen.api.outputs import write_outputs
from smidgen.codec.container import read_smg
from smidgen.data import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.measure.accuracy import quantized_inputs
from smidgen.models import mlp
from smidgen.report.model import read_report
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from smidgen.search.engine import Progress
from smidgen.targets import load_target
from smidgen.tasks.task import Variant, load_task
from tests.cli import tiny
from tests.integer_networks import integer_network
from tests.networks import digits, small_cnn


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> tiny.Tiny:
    return tiny.make(tmp_path_factory.mktemp("user"))


@pytest.fixture(scope="module")
def heard() -> list[Any]:
    return []


@pytest.fixture(scope="module")
def done(user: tiny.Tiny, heard: list[Any], tmp_path_factory: pytest.TempPathFactory) -> Compressed:
    """A torch module and two arrays, compressed; no example input is needed beside the data."""
    return compress(
        user.module,
        (user.x, user.y),
        trials=1,
        seeds=1,
        max_drop=5,
        out=tmp_path_factory.mktemp("runs") / "module",
        progress=heard.append,
        report=lambda fraction, message: heard.append((fraction, message)),
    )


def test_a_torch_module_and_two_arrays_are_enough(done: Compressed, user: tiny.Tiny) -> None:
    assert (done.open().predict(user.x) == user.y).mean() > 0.85
    assert read_report(done.folder / "report.json") == done.report


def test_progress_is_heard_of_candidates_and_of_trainings(done: Compressed, heard: list[Any]) -> None:
    assert any(isinstance(item, Progress) for item in heard)
    fractions = [item[0] for item in heard if isinstance(item, tuple)]
    assert fractions
    assert all(0 <= fraction <= 1 for fraction in fractions)


def test_calling_again_goes_on_with_the_same_search(done: Compressed, user: tiny.Tiny) -> None:
    again = compress(user.module, (user.x, user.y), trials=1, seeds=1, max_drop=5, out=done.folder)
    assert [p.key for p in again.result.points] == [p.key for p in done.result.points]


def test_chosen_files_of_an_earlier_choice_do_not_stay(
    done: Compressed, user: tiny.Tiny, tmp_path: Path
) -> None:
    examples = Dataset(user.x, user.y)
    device = load_target("x86-64")
    write_outputs(done.report, done.result, device, examples, tmp_path)
    assert (tmp_path / "chosen" / "model.golden").exists()
    write_outputs(done.report, replace(done.result, chosen=None), device, examples, tmp_path)
    assert not (tmp_path / "chosen").exists()


# An opened network


def test_outputs_are_the_reference_s_integers_as_real_numbers(done: Compressed, user: tiny.Tiny) -> None:
    net = done.open()
    grid = net.graph.values[net.graph.outputs[0]].grid
    assert grid is not None
    expected = run_integer(net.graph, quantized_inputs(net.graph, user.x[:50]))
    np.testing.assert_array_equal(net.outputs(user.x[:50]), grid.dequantize(expected))


def test_lists_and_doubles_are_taken_as_inputs(done: Compressed, user: tiny.Tiny) -> None:
    net = done.open()
    expected = net.predict(user.x[:3])
    np.testing.assert_array_equal(net.predict(user.x[:3].astype(np.float64)), expected)
    np.testing.assert_array_equal(net.predict(user.x[:3].tolist()), expected)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (np.zeros((2, 8, 8)), r"shape \[2, 8, 8\], but the model takes \[n, 1, 8, 8\]"),
        (np.zeros((1, 8, 8)), r"the model takes \[n, 1, 8, 8\]"),
        (3.0, "the model takes"),
        (np.full((2, 1, 8, 8), np.nan), "row 0 has NaN or infinity"),
        ([["a"]], "can't be made an array"),
        ([[1.0], [1.0, 2.0]], "can't be made an array"),
    ],
)
def test_inputs_that_do_not_fit_are_refused(x: Any, says: str, done: Compressed) -> None:
    with pytest.raises(BadInput, match=says):
        done.open().predict(x)


def test_no_rows_in_no_rows_out(done: Compressed) -> None:
    assert done.open().predict(np.zeros((0, 1, 8, 8))).shape == (0,)


def test_a_network_without_kernels_runs_in_pieces_and_computes_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    graph = integer_network("int4")
    x = np.random.default_rng(0).normal(size=(9, *graph.values[graph.inputs[0]].shape)).astype(np.float32)
    native = network(graph)
    for module in ("plans", "mixed"):
        monkeypatch.setattr(f"smidgen.run.{module}.check_schedulable", lambda graph: ["a: no kernel"])
    mixed = network(graph)
    assert (native.backend, mixed.backend) == ("native", "mixed")
    np.testing.assert_array_equal(native.outputs(x), mixed.outputs(x))


# What is judged before any work


@pytest.mark.parametrize(
    ("time", "trials", "expected"),
    [
        (None, None, (None, 300.0)),
        (None, 7, (7, None)),
        ("90s", None, (None, 90.0)),
        (2.5, 3, (3, 2.5)),
    ],
)
def test_five_minutes_unless_time_or_trials_say_otherwise(time: Any, trials: Any, expected: Any) -> None:
    limits = limits_of(time, trials, 2)
    assert (limits.trials, limits.time_s) == expected
    assert limits.seeds == (0, 1)


def test_seeds_can_be_named() -> None:
    assert limits_of(None, 1, [4, 9]).seeds == (4, 9)


@pytest.mark.parametrize(
    "wrong", [(0, None, 1), (float("nan"), None, 1), (None, -1, 1), (None, 1, 0), (None, 1, [])]
)
def test_searches_without_anything_to_do_are_refused(wrong: tuple[Any, Any, Any]) -> None:
    with pytest.raises(BadInput):
        limits_of(*wrong)


def test_flash_is_a_limit_of_microcontrollers_only() -> None:
    assert budget_for(load_target("cortex-m4"), "flash=1KB").flash_bytes == 1024
    with pytest.raises(BadInput, match="x86-64 has no flash"):
        budget_for(load_target("x86-64"), "flash=1KB")


def test_a_graph_and_splits_are_taken_as_they_are(tmp_path: Path) -> None:
    graph, data = small_cnn(), digits()
    subject = prepare(graph, data, tmp_path)
    assert subject.graph is graph
    assert subject.data is data
    assert not list(tmp_path.iterdir())


def test_a_mapping_of_arrays_is_data_too(user: tiny.Tiny, tmp_path: Path) -> None:
    arrays = {"x_train": user.x, "y_train": user.y, "x_test": user.x[:50], "y_test": user.y[:50]}
    subject = prepare(user.onnx, arrays, tmp_path)
    np.testing.assert_array_equal(subject.data.test.x, user.x[:50])
    assert subject.name == "tiny"


@pytest.mark.parametrize(
    ("source", "data", "says"),
    [
        (small_cnn(), 3, "data: a int"),
        (torch.nn.Linear(4, 2), (np.zeros((3, 4)), np.zeros((2,), int)), "one entry a row"),
        (object(), digits(), "an object of type object"),
        (small_cnn(classes=4), digits(), "the model has 4 outputs"),
    ],
)
def test_what_does_not_fit_together_is_refused(source: Any, data: Any, says: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=says):
        prepare(source, data, tmp_path)


def test_without_data_the_original_s_outputs_on_random_inputs_are_the_targets(tmp_path: Path) -> None:
    graph = small_cnn()
    data = prepare(graph, None, tmp_path).data
    assert data.synthetic
    assert data.metric == "agreement"
    outputs = run_float(graph, data.validation.x)
    np.testing.assert_array_equal(outputs.reshape(data.validation.y.shape), data.validation.y)
    assert not np.array_equal(data.validation.x, data.test.x)


def test_data_in_another_layout_are_refused_with_both_shapes(tmp_path: Path) -> None:
    data = digits()
    parts = [
        replace(part, inputs=part.x.transpose(0, 3, 1, 2))
        for part in (data.train, data.validation, data.test)
    ]
    with pytest.raises(BadInput, match=r"shape \[1, 8, 8\], but the model takes \[8, 8, 1\]"):
        prepare(small_cnn(), Splits(*parts, classes=10), tmp_path)


# A task's own network


@pytest.fixture
def trainings(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Graphs that were trained; training leaves them as they are."""
    seen: list[Graph] = []

    def fit(graph: Graph, *args: Any, report: Any, **kwargs: Any) -> Graph:
        seen.append(graph)
        report(1.0, "epoch 1/1")
        return graph

    monkeypatch.setattr("smidgen.learn.fit.fit", fit)
    return seen


def test_a_task_s_network_is_trained_once_a_folder(trainings: list[Graph], tmp_path: Path) -> None:
    said: list[str] = []
    first = prepare("digits", None, tmp_path / "run", report=lambda fraction, message: said.append(message))
    second = prepare("digits", None, tmp_path / "run")
    assert len(trainings) == 1
    assert said == ["the uncompressed network: epoch 1/1"]
    weights = first.graph.weights
    assert all(np.array_equal(weights[n].decode(), w.decode()) for n, w in second.graph.weights.items())
    assert read_smg(tmp_path / "run" / "uncompressed.smg").metadata["task"] == "digits"


def test_a_task_brings_what_reports_say_about_its_features(
    trainings: list[Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prepare("digits", None, tmp_path).features == ""
    monkeypatch.setattr("smidgen.tasks.digits.TASK", replace(load_task("digits"), features="10 MFCCs"))
    assert prepare("digits", None, tmp_path).features == "10 MFCCs"


def test_a_variant_of_a_task_can_be_compressed(
    trainings: list[Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = load_task("digits")
    variant = Variant(partial(mlp.build, sizes=(8,)), task.training)
    monkeypatch.setattr("smidgen.tasks.digits.TASK", replace(task, variants={"small": variant}))
    subject = prepare("digits:small", None, tmp_path)
    assert subject.name == "digits:small"
    assert len(subject.graph.nodes) < len(task.model().nodes)


def test_a_damaged_network_is_trained_again(trainings: list[Graph], tmp_path: Path) -> None:
    prepare("digits", None, tmp_path)
    (tmp_path / "uncompressed.smg").write_bytes(b"damaged")
    prepare("digits", None, tmp_path)
    assert len(trainings) == 2


def test_the_network_of_other_data_is_not_taken(
    trainings: list[Graph], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    prepare("digits", None, tmp_path)
    task = load_task("digits")
    monkeypatch.setattr("smidgen.tasks.digits.TASK", replace(task, read=digits))
    prepare("digits", None, tmp_path)
    assert len(trainings) == 2


def test_a_run_of_another_task_is_not_overwritten(trainings: list[Graph], tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}", encoding="utf-8")
    with pytest.raises(BadInput, match="it holds a run of another task"):
        prepare("digits", None, tmp_path)
    assert not trainings


def test_the_public_names_are_those_of_the_front_door() -> None:
    assert smidgen.compress is compress
    assert smidgen.open is smidgen.api.open
