"""The real thing on a tiny problem: artifacts are files, and what is reported comes from running them."""

from importlib.util import find_spec

import numpy as np
import pytest

from smidgen.codec.container import read_smg
from smidgen.graph import GraphBuilder
from smidgen.measure.accuracy import quantized_inputs
from smidgen.methods.recipe import Recipe
from smidgen.run.reference import run_integer
from smidgen.search.budget import Budget
from smidgen.search.evaluate import ArtifactEvaluator
from smidgen.search.outcome import Candidate, Point
from smidgen.targets.registry import load_target
from tests.conftest import require
from tests.search.small import SHAPE, fresh, splits, trained

INT8 = Candidate(Recipe.from_yaml("- quantize.affine"))


@pytest.fixture(scope="module")
def data():
    return splits()


@pytest.fixture(scope="module")
def graph(data):
    return trained(data)


@pytest.fixture
def evaluator(graph, data, tmp_path):
    def make(target="x86-64", budget="", bases=None):
        return ArtifactEvaluator(
            graph, data, load_target(target), Budget.parse(budget), tmp_path / "cache", bases or {}
        )

    return make


def test_predictions_are_those_of_the_file_run_by_the_reference(evaluator, data, tmp_path):
    run = evaluator().evaluate(INT8, 0, tmp_path)
    stored = read_smg(tmp_path / "model.smg").graph
    expected = run_integer(stored, quantized_inputs(stored, data.validation.x)).argmax(axis=1)
    assert np.array_equal(run.predictions, expected)
    assert run.accuracy == pytest.approx((expected == data.validation.y).mean() * 100)


def test_quantization_to_int8_costs_little(evaluator, tmp_path):
    full = evaluator().reference(test=False)
    assert full.accuracy > 80
    assert evaluator().evaluate(INT8, 0, tmp_path).accuracy > full.accuracy - 3


def test_the_size_is_the_length_of_the_file(evaluator, tmp_path):
    run = evaluator().evaluate(INT8, 0, tmp_path)
    assert run.measurements["file_bytes"].value == (tmp_path / "model.smg").stat().st_size
    assert run.files == ("model.smg",)


def test_a_host_is_timed(evaluator, tmp_path):
    found = evaluator().evaluate(INT8, 0, tmp_path).measurements
    assert found["latency_ms"].how == found["throughput"].how == "measured"
    assert 0 < found["latency_ms"].value <= found["latency_p95_ms"].value
    assert found["throughput"].value > 0


def test_energy_is_modelled_and_the_cost_follows_from_the_throughput(evaluator, tmp_path):
    found = evaluator().evaluate(INT8, 0, tmp_path).measurements
    price = load_target("x86-64").price_usd_per_hour
    expected = price / 3600 / found["throughput"].value * 1e6
    assert found["cost_per_million_usd"].value == pytest.approx(expected)
    assert found["energy_uj"].how == "modelled"
    assert found["energy_uj"].value < evaluator().reference(test=False).measurements["energy_uj"].value


def test_the_same_seed_makes_the_same_file(evaluator, tmp_path):
    candidate = Candidate(Recipe.from_yaml("- quantize.affine: {bits: 4}\n- tune.fit: {epochs: 1}"))
    for name in "ab":
        (tmp_path / name).mkdir()
        evaluator().evaluate(candidate, 3, tmp_path / name)
    assert (tmp_path / "a/model.smg").read_bytes() == (tmp_path / "b/model.smg").read_bytes()


def test_a_candidate_that_begins_like_another_takes_its_steps_over(evaluator, tmp_path):
    shared = evaluator()
    recipes = ("- quantize.affine: {bits: 4}", "- quantize.affine: {bits: 4}\n- tune.fit: {epochs: 1}")
    for name, recipe in zip("ab", recipes, strict=True):
        (tmp_path / name).mkdir()
        run = shared.evaluate(Candidate(Recipe.from_yaml(recipe)), 3, tmp_path / name)
    (tmp_path / "alone").mkdir()
    alone = evaluator().evaluate(Candidate(Recipe.from_yaml(recipes[1])), 3, tmp_path / "alone")
    assert (run.reused_steps, alone.reused_steps) == (1, 0)
    assert (tmp_path / "b/model.smg").read_bytes() == (tmp_path / "alone/model.smg").read_bytes()


def test_the_test_split_is_run_from_the_file(evaluator, data, tmp_path):
    folder = tmp_path / "seed-0"
    folder.mkdir()
    run = evaluator().evaluate(INT8, 0, folder)
    tested = evaluator().test(Point("0000", INT8, (run,), tmp_path), run)
    assert len(tested.predictions) == len(data.test)
    assert tested.accuracy == pytest.approx((tested.predictions == data.test.y).mean() * 100)


def test_what_steps_had_to_say_is_kept(evaluator, tmp_path):
    recipe = Recipe.from_yaml("- prune.channels: {ratio: 0.0}\n- quantize.affine")
    notes = evaluator().evaluate(Candidate(recipe), 0, tmp_path).notes
    assert len(notes) == 1
    assert "prune.channels" in notes[0]


def test_ram_over_budget_is_rejected_before_training(evaluator):
    recipe = Recipe.from_yaml("- quantize.affine\n- tune.fit: {epochs: 1000000}")
    assert evaluator(budget="ram=64MB").precheck(Candidate(recipe)) is None
    assert "ram is" in evaluator(budget="ram=500").precheck(Candidate(recipe))


def test_removed_channels_count_in_the_precheck(evaluator):
    ram = evaluator(budget="ram=1KB")
    assert ram.precheck(INT8) is not None
    assert (
        ram.precheck(Candidate(Recipe.from_yaml("- prune.channels: {ratio: 0.9}\n- quantize.affine"))) is None
    )


def test_flash_over_budget_is_rejected_for_a_microcontroller(evaluator):
    assert evaluator("cortex-m4", "flash=64KB,ram=64KB").precheck(INT8) is None
    assert "flash" in evaluator("cortex-m4", "flash=500,ram=64KB").precheck(INT8)


def test_a_declaration_that_no_training_follows_is_rejected(evaluator):
    recipe = "- prune.global_magnitude: {schedule: gradual}\n- quantize.affine"
    assert "training that never comes" in evaluator().precheck(Candidate(Recipe.from_yaml(recipe)))
    assert evaluator().precheck(Candidate(Recipe.from_yaml(recipe + "\n- tune.fit"))) is None


def test_a_baseline_s_network_is_trained_once(evaluator, tmp_path):
    made = []

    def base(seed):
        made.append(seed)
        return fresh(0.5, seed)

    candidate = Candidate(INT8.recipe, "width-0.5", "width baseline")
    for name in "ab":
        (tmp_path / name).mkdir()
        evaluator(bases={"width-0.5": base}).evaluate(candidate, 7, tmp_path / name)
    assert made == [7]
    assert read_smg(tmp_path / "a/model.smg").graph.weights["conv1.weight"].shape[0] == 6


def test_a_microcontroller_s_flash_and_ram_are_those_of_its_firmware(evaluator, tmp_path):
    require(all(map(find_spec, ("ziglang", "elftools", "unicorn"))), "ziglang, pyelftools and unicorn")
    four_bits = Candidate(Recipe.from_yaml("- quantize.affine: {bits: 4}"))
    found = {}
    for name, candidate in (("int8", INT8), ("int4", four_bits)):
        (tmp_path / name).mkdir()
        found[name] = evaluator("cortex-m4").evaluate(candidate, 0, tmp_path / name).measurements
    assert found["int4"]["model_bytes"].value < found["int8"]["model_bytes"].value
    assert found["int8"]["flash_bytes"].value > found["int8"]["model_bytes"].value
    assert found["int8"]["ram_bytes"].how == "measured"
    assert found["int8"]["instructions"].how == "emulated"
    assert found["int8"]["latency_ms"].how == "modelled"
    assert found["int4"]["latency_ms"].value > found["int8"]["latency_ms"].value  # it expands its weights
    assert (tmp_path / "int8/c/model.c").exists()


def test_a_network_with_a_part_that_has_no_kernel_is_still_compressed_and_says_so(data, tmp_path):
    rng = np.random.default_rng(0)
    b = GraphBuilder("part")
    x = b.linear(b.flatten(b.input("x", SHAPE)), rng.normal(size=(6, 64)), np.zeros(6))
    # A pad with a nonzero constant has no integer rule, so it runs in float.
    x = b.op("pad", [x], pads=((1, 1),), value=0.5)
    graph = b.graph(b.linear(x, rng.normal(size=(4, 8)), np.zeros(4)))
    host = ArtifactEvaluator(graph, data, load_target("x86-64"), Budget(), tmp_path, {})
    run = host.evaluate(INT8, 0, tmp_path)
    assert any("no integer kernel, runs apart: " in note for note in run.notes)
    assert run.measurements["ram_bytes"].how == "modelled"
    assert run.measurements["latency_ms"].value > 0
