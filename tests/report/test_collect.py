"""From a search's result to a report: nothing lost, nothing invented."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.container import write_smg
from smidgen.codec.streams import encode_stream
from smidgen.data.dataset import Dataset
from smidgen.graph import Graph
from smidgen.measurement import Measurement
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.report.collect import About, collect, dependence_notes
from smidgen.report.environment import environment_of
from smidgen.report.layers import layers_of
from smidgen.report.model import Environment, Note
from smidgen.search.budget import Budget
from smidgen.search.outcome import Candidate, Evaluated, Failed, Point, Rejected
from smidgen.search.paired import Drop
from smidgen.search.result import Goal, Result
from smidgen.targets.target import Target
from tests.integer_networks import integer_network
from tests.networks import small_cnn

HOST = Target(name="host", kind="host", description="this machine")
ABOUT = About("digits", HOST, "handwritten digits", "small")


def run(seed: int, accuracy: float, nbytes: float = 0.0, notes: tuple[str, ...] = ()) -> Evaluated:
    found = [Measurement("accuracy", accuracy, "%", "measured", 100, 1.0)]
    found += [Measurement("file_bytes", nbytes, "byte", "measured")] if nbytes else []
    return Evaluated(seed, accuracy, np.zeros(3, np.int64), {m.name: m for m in found}, notes)


@pytest.fixture
def result(tmp_path: Path) -> Result:
    recipe = Recipe((AffineQuantization(bits=4),))
    best = Point(
        "0001",
        Candidate(recipe),
        (run(0, 90.0, 5000, ("prune changed nothing",)), run(1, 92.0, 5100)),
        tmp_path / "trials" / "0001",
        test=(run(0, 88.0), run(1, 89.0)),
    )
    narrow = Point(
        "0002", Candidate(Recipe(), "width-0.5", "width baseline"), (run(0, 85.0, 7000),), tmp_path / "2"
    )
    best.artifact.mkdir(parents=True)
    write_smg(best.artifact / "model.smg", [integer_network("int4")])
    return Result(
        goal=Goal(Budget(file_bytes=6000), ("file_bytes",), 1.0),
        folder=tmp_path,
        reference=run(0, 91.5, 40_000),
        reference_test=run(0, 89.0),
        outcomes=(
            best,
            narrow,
            Rejected("0003", Candidate(recipe, "linear", "other model"), "too large"),
            Failed("0004", Candidate(Recipe()), "ValueError: no"),
        ),
        frontier=(best,),
        chosen=best,
        beaten_by=(),
        drops={"0001": Drop(0.5, -0.1, 1.1)},
        interrupted=False,
        elapsed_s=3.0,
    )


def test_a_point_keeps_its_scores_costs_recipe_and_place(result):
    point = collect(result, ABOUT, Environment()).points[0]
    assert (point.validation.mean, point.validation.seeds) == (91.0, 2)
    assert point.validation.sd == pytest.approx(2**0.5)
    assert point.test is not None
    assert point.test.mean == 88.5
    assert [m.name for m in point.measurements] == ["file_bytes"]
    assert Recipe.from_yaml(point.recipe_yaml) == result.points[0].candidate.recipe
    assert (point.chosen, point.on_frontier) == (True, True)
    assert point.artifact == "trials/0001/seed-0"
    assert point.drop is not None
    assert (point.drop.low, point.drop.points, point.drop.high) == (-0.1, 0.5, 1.1)


def test_baselines_keep_their_kind_and_closed_test_split(result):
    point = collect(result, ABOUT, Environment()).points[1]
    assert (point.kind, point.test, point.chosen, point.on_frontier) == ("width baseline", None, False, False)


def test_the_run_is_described(result):
    report = collect(result, ABOUT, Environment(cpu="x"), (Note(level="info", text="first"),))
    assert (report.task, report.caveats, report.target_description) == ("digits", "small", "this machine")
    assert (report.size_axis, report.budget, report.max_drop) == ("file_bytes", {"file_bytes": 6000}, 1.0)
    assert report.uncompressed.validation.mean == 91.5
    assert report.uncompressed.test is not None
    assert [note.text for note in report.notes] == ["first", "prune changed nothing"]
    assert [(d.status, d.reason) for d in report.dropped] == [
        ("rejected", "too large"),
        ("failed", "ValueError: no"),
    ]


def test_layers_are_read_from_the_chosen_file(result):
    report = collect(result, ABOUT, Environment())
    assert report.artifact_class == "integer"
    assert [layer.name for layer in report.layers] == [node.name for node in integer_network("int4").nodes]


def test_a_float_artifact_is_not_called_integer(result):
    write_smg(result.points[0].artifact / "model.smg", [small_cnn()])
    assert collect(result, ABOUT, Environment()).artifact_class == "weight_only"


def test_an_interrupted_search_is_noted(result):
    notes = collect(replace(result, interrupted=True), ABOUT, Environment()).notes
    assert "The search was interrupted" in [note.text for note in notes]


def test_a_single_seed_is_noted(result):
    single = replace(result.points[0], runs=result.points[0].runs[:1])
    report = collect(replace(result, chosen=single, outcomes=(single,)), ABOUT, Environment())
    assert "The chosen point was trained with 1 seed: its spread is not known" in [
        n.text for n in report.notes
    ]


def test_without_a_chosen_point_there_are_no_layers(result):
    report = collect(replace(result, chosen=None), ABOUT, Environment())
    assert (report.chosen, report.layers) == (None, ())


# Layers


def test_layer_bytes_are_those_of_their_parameters():
    graph = integer_network("int4")
    for node, layer in zip(graph.nodes, layers_of(graph), strict=True):
        own = [graph.weights[name] for name in node.params.values()]
        assert layer.packed_bytes == sum(
            -(-leaf.symbols.size * leaf.bits // 8) for f in own for leaf in f.leaves()
        )
        assert layer.coded_bytes == sum(len(encode_stream(leaf)) for f in own for leaf in f.leaves())


def test_raw_bytes_count_weights_and_biases_as_float32():
    first = layers_of(integer_network("int8"))[0]
    out, *rest = first.weight_shape
    assert first.raw_bytes == 4 * (out * int(np.prod(rest)) + out)


def test_bits_include_the_scales():
    first = layers_of(integer_network("int8"))[0]
    assert first.bits is not None
    assert first.bits == 8 + 16 * first.weight_shape[0] / np.prod(first.weight_shape)


def test_time_is_shown_as_a_share_of_the_sum():
    graph = integer_network("int8")
    first, second = graph.nodes[0].name, graph.nodes[1].name
    shares = [layer.time_share for layer in layers_of(graph, {first: 3.0, second: 1.0})]
    assert shares[:2] == [0.75, 0.25]
    assert set(shares[2:]) == {None}


def test_tied_weights_are_charged_once():
    graph = small_cnn()
    twice = Graph(
        "tied", (*graph.nodes, *graph.nodes), graph.values, graph.weights, graph.inputs, graph.outputs
    )
    first, second = np.split(np.array([layer.packed_bytes for layer in layers_of(twice)]), 2)
    assert first.sum() == sum(f.stored_bytes() for f in graph.weights.values())
    assert not second.any()


# Environment


def test_the_environment_quotes_the_command_and_lists_versions():
    found = environment_of(["smidgen", "compress", "a b.onnx"], (0, 1), "abc")
    assert found.command == "smidgen compress 'a b.onnx'"
    assert found.seeds == (0, 1)
    assert {"smidgen", "python", "numpy"} <= set(found.versions)
    assert found.cpu


def part(groups: int | None = None, clusters: int | None = None) -> Dataset:
    """120 rows in so many groups and clusters."""
    numbers = [None if n is None else np.arange(120) * n // 120 for n in (groups, clusters)]
    return Dataset(np.zeros((120, 1), np.float32), np.zeros(120, np.int64), *numbers)


@pytest.mark.parametrize(
    ("validation", "text"),
    [
        (part(2), "2 groups in validation: interval not reliable"),
        (part(2, 4), "4 clusters in validation: interval not reliable"),
        (part(2, 28), "28 clusters of 2 groups: it speaks for more data from these groups"),
    ],
)
def test_few_groups_are_said(validation: Dataset, text: str) -> None:
    (note,) = dependence_notes(validation)
    assert text in note.text


@pytest.mark.parametrize("validation", [part(), part(10), part(None, 40), part(12, 40)])
def test_enough_groups_or_none_need_no_note(validation: Dataset) -> None:
    assert dependence_notes(validation) == []
