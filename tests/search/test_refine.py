from dataclasses import replace
from pathlib import Path

from smidgen.methods.recipe import Recipe
from smidgen.methods.tune.fit import Fit
from smidgen.search import engine
from smidgen.search.engine import Limits
from smidgen.search.outcome import Candidate, Point
from smidgen.search.refine import LONGER, longer_trained, near_misses
from tests.search.fakes import FakeEvaluator, goal, search

TRAINED = "- quantize.affine: {{bits: {}}}\n- tune.fit: {{epochs: 5}}"


def point(bits: int, accuracy: float, size: int, base: str = "model") -> Point:
    run = FakeEvaluator()._evaluated(0, accuracy, size)
    return Point("0000", Candidate(Recipe.from_yaml(TRAINED.format(bits)), base), (run,), Path("."))


def bits_of(candidates: list[Candidate]) -> list[int]:
    return [candidate.recipe.steps[0].bits for candidate in candidates]


def test_only_what_is_smaller_than_the_chosen_point_is_refined_the_most_accurate_first():
    points = [point(2, 80, 200), point(3, 90, 300), point(4, 94, 400), point(8, 95, 800)]
    assert bits_of(near_misses(points, points[2], goal())) == [3, 2]
    assert bits_of(near_misses(points, None, goal())) == [8, 4, 3, 2]


def test_dominated_points_baselines_and_what_breaks_the_budget_are_left_alone():
    points = [point(3, 90, 300), point(4, 89, 350), point(5, 91, 400, base="width-0.5"), point(8, 95, 800)]
    assert bits_of(near_misses(points, None, goal("file=500B"))) == [3]


def test_every_training_becomes_longer_and_the_rest_stays():
    recipe = Recipe.from_yaml("- prune.channels\n- tune.fit: {epochs: 5, lr: 0.01}\n- quantize.affine")
    longer = longer_trained(recipe)
    assert longer.steps[1] == replace(recipe.steps[1], epochs=5 * LONGER)
    assert (longer.steps[0], longer.steps[2]) == (recipe.steps[0], recipe.steps[2])


def test_there_is_nothing_longer_without_training_or_at_the_limit():
    assert longer_trained(Recipe.from_yaml("- quantize.affine")) is None
    assert longer_trained(Recipe((Fit(epochs=100),))) is None


def trained_long(point: Point) -> bool:
    return any(getattr(step, "epochs", 0) > 20 for step in point.candidate.recipe.steps)


def test_only_late_in_a_search_near_misses_are_trained_longer(tmp_path, monkeypatch):
    early = search(tmp_path / "early", FakeEvaluator(), Limits(trials=30, time_s=600), goal(max_drop=1))
    monkeypatch.setattr(engine, "REFINE_AFTER", 0.0)
    late = search(tmp_path / "late", FakeEvaluator(), Limits(trials=30, time_s=600), goal(max_drop=1))
    assert not any(map(trained_long, early.points))
    assert any(map(trained_long, late.points))
