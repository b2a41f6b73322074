"""Every technique keeps the promises of a Step. They are found by path: new files need no listing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError, fields
from typing import Any

import numpy as np
import pytest

from smidgen.data.dataset import Splits
from smidgen.graph import Graph, Node
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe, step_class, step_names
from smidgen.methods.space import Choice, Range
from smidgen.methods.step import Context, Stage, Step
from smidgen.methods.tune.fit import Fit
from smidgen.run.reference import run_integer
from tests.contracts.methods_page import ROOT, rows
from tests.networks import digits, small_cnn, small_gru

QUICK: Mapping[str, dict[str, Any]] = {"tune.fit": {"epochs": 1}}
EACH = pytest.mark.parametrize("name", step_names())
NETWORKS = pytest.mark.parametrize("build", [small_cnn, small_gru])
Build = Callable[[], Graph]


def make(name: str) -> Step:
    return step_class(name)(**QUICK.get(name, {}))


@pytest.fixture(scope="module")
def data() -> Splits:
    whole = digits()
    return Splits(whole.train.head(256), whole.validation.head(64), whole.test.head(64), whole.classes)


def content(graph: Graph) -> dict[str, Any]:
    """All of a graph in comparable form."""
    return {
        "nodes": [(n.name, n.op, n.inputs, n.outputs, dict(n.params), attributes(n)) for n in graph.nodes],
        "values": dict(graph.values),
        "weights": {name: (fmt.label, fmt.decode().tobytes()) for name, fmt in graph.weights.items()},
        "pending": graph.pending,
    }


def attributes(node: Node) -> dict[str, Any]:
    return {key: content(a) if isinstance(a, Graph) else a for key, a in node.attrs.items()}


def test_rows_of_the_methods_page_are_the_steps() -> None:
    assert sorted(row["name"] for row in rows()) == sorted(step_names())


def test_rows_name_files_that_exist() -> None:
    for row in rows():
        assert row["file"] == f"src/smidgen/methods/{row['name'].replace('.', '/')}.py"
        assert (ROOT / row["file"]).is_file()
        assert (ROOT / row["test"]).is_file()


@EACH
def test_step_is_a_frozen_dataclass_named_after_its_path(name: str) -> None:
    step = make(name)
    assert step.name == name
    assert isinstance(step.stage, Stage)
    with pytest.raises(FrozenInstanceError):
        step.stage = Stage.SHAPE  # type: ignore[misc]


@EACH
def test_settings_survive_yaml(name: str) -> None:
    for step in (step_class(name)(), make(name), *variations(name)):
        again = Recipe.from_yaml(Recipe((step,)).to_yaml())
        assert again == Recipe((step,))
        assert hash(again) == hash(Recipe((step,)))


def variations(name: str) -> list[Step]:
    """The step at the ends of everything its space lets a search vary."""
    found = []
    for field, choice in make(name).space(small_cnn()).items():
        values = choice.options if isinstance(choice, Choice) else (choice.low, choice.high)
        found += [step_class(name)(**{field: value}) for value in values]
    return found


@EACH
def test_space_names_settings(name: str) -> None:
    space = make(name).space(small_cnn())
    assert set(space) <= {field.name for field in fields(make(name))}
    assert all(isinstance(choice, (Choice, Range)) for choice in space.values())


@EACH
@NETWORKS
def test_input_graph_is_untouched_and_the_result_repeats(name: str, build: Build, data: Splits) -> None:
    graph = build()
    before = content(graph)
    first = make(name).apply(graph, Context(data, graph, seed=3))
    second = make(name).apply(graph, Context(data, graph, seed=3))
    first.check()
    assert content(graph) == before
    assert content(first) == content(second)


@EACH
@NETWORKS
def test_step_changes_the_graph_or_says_why_not(name: str, build: Build, data: Splits) -> None:
    graph, ctx = build(), Context(data, build())
    for _ in range(2):
        before, spoken = content(graph), len(ctx.notes)
        graph = make(name).apply(graph, ctx)
        assert content(graph) != before or len(ctx.notes) > spoken


@EACH
@NETWORKS
def test_step_that_needs_nothing_works_without_data(name: str, build: Build) -> None:
    if make(name).needs == "nothing":
        made = make(name).apply(build(), Context(None, build()))
        made.check()
        assert made.outputs == build().outputs


@EACH
@NETWORKS
def test_step_composes_with_int8_and_training(name: str, build: Build, data: Splits) -> None:
    int8 = () if name == AffineQuantization.name else (AffineQuantization(),)
    steps = sorted((make(name), *int8), key=lambda step: step.stage)
    graph = Recipe((*steps, Fit(epochs=1))).apply(build(), Context(data, build()))
    integer = lower(graph)
    assert integer.is_integer
    x = integer.values[integer.inputs[0]].grid.quantize(data.test.x)
    assert run_integer(integer, x.astype(np.int8)).shape == (len(data.test), 10)
