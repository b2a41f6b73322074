"""Planted problems: the right fix comes first, and brings what was predicted."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import smidgen
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.bias_correction import BiasCorrection
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.quantize.layer import LayerQuantization
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.report.comparison import Comparison
from smidgen.search.fixes import assumed_recipe
from tests import planted
from tests.planted import Planted

SAMPLES = 256
OTHER_SAMPLES_DB, OTHER_SAMPLES_POINTS = 1.5, 4.0  # what other samples of the same data may change
PLANTED: dict[Callable[[], Planted], Step] = {
    planted.huge_channel: LayerQuantization("second", granularity="channel"),
    planted.two_bits: LayerQuantization("second", bits=8),
    planted.uneven_pair: Equalize(layers=("first", "second")),
    planted.outlier_activation: LayerQuantization("relu1", activation_rule="percentile"),
}
EACH = pytest.mark.parametrize("make", PLANTED, ids=lambda make: make.__name__)


def against(plant: Planted, artifact: Graph, samples: int = SAMPLES) -> Comparison:
    return smidgen.compare(plant.graph, artifact, plant.data, samples=samples, fixes=0)


def fixed(plant: Planted, **options: object) -> Comparison:
    return smidgen.compare(plant.graph, plant.artifact(), plant.data, samples=SAMPLES, **options)


@EACH
def test_the_right_fix_is_ranked_first_and_keeps_its_promise(make: Callable[[], Planted]) -> None:
    plant = make()
    best = fixed(plant, recipe=plant.recipe).fixes[0]
    assert best.step == PLANTED[make]
    mended = plant.artifact(best.recipe)
    for samples, decibels, points in ((SAMPLES, 1e-6, 1e-6), (400, OTHER_SAMPLES_DB, OTHER_SAMPLES_POINTS)):
        before, after = (against(plant, graph, samples) for graph in (plant.artifact(), mended))
        assert after.matches.output_db - before.matches.output_db == pytest.approx(best.gain_db, abs=decibels)
        assert after.scores[1] - before.scores[1] == pytest.approx(best.gain_points, abs=points)


@EACH
def test_the_recipe_is_read_off_the_artifact_where_none_is_given(make: Callable[[], Planted]) -> None:
    plant = make()
    assumed = assumed_recipe(plant.graph, plant.artifact())
    again, wanted = plant.artifact(assumed), plant.artifact()
    x = wanted.values["x"].grid.quantize(plant.data.test.x).astype(np.int8)
    from smidgen.run.reference import run_integer

    np.testing.assert_array_equal(run_integer(again, x), run_integer(wanted, x))


@EACH
def test_the_printed_line_is_the_step(make: Callable[[], Planted]) -> None:
    plant = make()
    for fix in fixed(plant, recipe=plant.recipe).fixes:
        assert Recipe.from_yaml(fix.line) == Recipe((fix.step,))
        assert "\n" not in fix.line
        assert fix.recipe.steps[fix.after] == fix.step
        assert Recipe.from_yaml(fix.recipe.to_yaml()) == fix.recipe


def test_gains_are_sorted_and_limited() -> None:
    plant = planted.two_bits()
    found = fixed(plant, fixes=2)
    assert len(found.fixes) == 2 < found.tried
    assert found.fixes[0].gain_db > found.fixes[1].gain_db > 0


def test_more_bits_are_charged() -> None:
    plant = planted.two_bits()
    best = fixed(plant).fixes[0]
    assert best.more_bytes == planted.HIDDEN * planted.HIDDEN * 6 // 8


def test_half_precision_is_proposed_where_activations_stay_real() -> None:
    plant = planted.two_bits()
    recipe = Recipe((WeightQuantization(bits=8), LayerQuantization("second", bits=2)))
    artifact = lower(recipe.apply(plant.graph, Context(None, plant.graph)))
    steps = [fix.step for fix in smidgen.compare(plant.graph, artifact, plant.data).fixes]
    assert steps[0] == LayerQuantization("second", bits=16)
    assert LayerQuantization("second", bits=8) in steps


def test_what_the_recipe_has_already_is_not_proposed() -> None:
    plant = planted.two_bits()
    recipe = Recipe((Equalize(), AffineQuantization(bits=4), BiasCorrection()))
    artifact = plant.artifact(recipe)
    found = smidgen.compare(plant.graph, artifact, plant.data, recipe=recipe, fixes=50)
    assert not {Equalize.name, BiasCorrection.name} & {fix.step.name for fix in found.fixes}


def test_a_recipe_that_trains_does_so_once_and_fixes_come_behind() -> None:
    plant = planted.two_bits()
    recipe = Recipe((*plant.recipe.steps, Fit(epochs=1)))
    artifact = plant.artifact(recipe)
    found = smidgen.compare(plant.graph, artifact, plant.data, samples=SAMPLES, recipe=recipe)
    best = found.fixes[0]
    assert best.step == LayerQuantization("second", bits=8)
    assert best.after == len(recipe.steps)
    assert Equalize.name not in {fix.step.name for fix in found.fixes}
    after = against(plant, plant.artifact(best.recipe)).matches.output_db
    assert after - found.matches.output_db == pytest.approx(best.gain_db, abs=1e-6)
    assert any("would have to train again" in note for note in found.notes)


def test_an_interrupt_keeps_the_layers_and_the_fixes_so_far() -> None:
    plant = planted.two_bits()

    def report(fraction: float, message: str) -> None:
        if message.startswith("simulating") and fraction > 0.5:
            raise KeyboardInterrupt

    found = fixed(plant, report=report)
    assert found.interrupted
    assert 0 < found.tried < fixed(plant).tried
    assert found.fixes[0].step == LayerQuantization("second", bits=8)
    assert found.matches.layers


def test_an_artifact_that_the_recipe_does_not_lead_to_is_noted() -> None:
    plant = planted.two_bits()
    notes = fixed(plant, recipe=Recipe((AffineQuantization(),))).notes
    assert any("the recipe leads to" in note for note in notes)


def test_two_artifacts_have_no_fixes_and_the_note_says_why() -> None:
    plant = planted.two_bits()
    other = plant.artifact(Recipe((AffineQuantization(),)))
    found = smidgen.compare(other, plant.artifact(), plant.data)
    assert found.fixes == ()
    assert any("A must be the model in real numbers" in note for note in found.notes)
