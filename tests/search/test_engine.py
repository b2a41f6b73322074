import json

import numpy as np
import pytest

from smidgen.errors import BadInput, BudgetError, MissingExtra
from smidgen.methods.recipe import Recipe
from smidgen.search.engine import Limits
from smidgen.search.outcome import Candidate
from smidgen.search.records import read_outcomes
from tests.search.fakes import FakeEvaluator, goal, search


def test_a_search_builds_as_many_candidates_as_allowed(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=15))
    assert len(result.points) == 15


def test_hand_picked_recipes_come_first(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=2))
    assert [p.label for p in result.points] == ["quantize.affine", "quantize.affine(bits=4)"]


def test_no_recipe_is_built_twice(tmp_path):
    evaluator = FakeEvaluator()
    search(tmp_path, evaluator, Limits(trials=40))
    assert len(set(evaluator.evaluated)) == len(evaluator.evaluated) == 40


def test_every_point_has_a_folder_with_its_artifact(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=5))
    for point in result.points:
        assert (point.artifact / "model.smg").stat().st_size == point.cost("file_bytes")


def test_the_chosen_point_is_the_smallest_within_the_drop(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=40), goal(max_drop=2))
    allowed = [p for p in result.points if result.drops[p.key].points <= 2]
    assert result.require_chosen().cost("file_bytes") == min(p.cost("file_bytes") for p in allowed)


def test_a_strict_drop_holds_the_upper_end_of_the_interval(tmp_path):
    plain = search(tmp_path / "a", FakeEvaluator(), Limits(trials=40), goal(max_drop=2))
    strict = search(tmp_path / "b", FakeEvaluator(), Limits(trials=40), goal(max_drop=2, strict_drop=True))
    allowed = [p for p in strict.points if strict.drops[p.key].high <= 2]
    assert strict.require_chosen().cost("file_bytes") == min(p.cost("file_bytes") for p in allowed)
    assert plain.drops[plain.require_chosen().key].high > 2


class InTwoClusters(FakeEvaluator):
    clusters = np.arange(200) // 100


def test_the_interval_is_that_of_the_clusters(tmp_path):
    result = search(tmp_path, InTwoClusters(), Limits(trials=3))
    assert {drop.clusters for drop in result.drops.values()} == {2}


def test_a_strict_drop_nothing_keeps_says_so(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=6), goal(max_drop=-3, strict_drop=True))
    with pytest.raises(BudgetError, match=r"at most -3 points of accuracy may be lost at the upper end"):
        result.require_chosen()


def test_a_resumed_search_goes_on_where_it_stopped(tmp_path):
    first = search(tmp_path, FakeEvaluator(), Limits(trials=6))
    evaluator = FakeEvaluator()
    second = search(tmp_path, evaluator, Limits(trials=10))
    assert len(evaluator.evaluated) == 4
    assert [p.key for p in second.points[:6]] == [p.key for p in first.points]


def test_a_resumed_search_reads_back_exactly_what_was_measured(tmp_path):
    first = search(tmp_path, FakeEvaluator(), Limits(trials=4, seeds=(0, 1)))
    again = list(read_outcomes(tmp_path / "trials"))
    for before, after in zip(first.points, again, strict=True):
        assert before.candidate == after.candidate
        assert before.measurements == after.measurements
        assert [r.seed for r in before.runs] == [r.seed for r in after.runs]
        for mine, other in zip((*before.runs, *before.test), (*after.runs, *after.test), strict=True):
            assert np.array_equal(mine.predictions, other.predictions)


def test_other_settings_can_t_resume(tmp_path):
    search(tmp_path, FakeEvaluator(), Limits(trials=1), settings={"data": "abc", "target": "m4"})
    with pytest.raises(BadInput, match=r"data changed.*resumed run keeps its settings"):
        search(tmp_path, FakeEvaluator(), Limits(trials=2), settings={"data": "xyz", "target": "m4"})


def test_frontier_points_are_confirmed_with_all_seeds(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=8, seeds=(0, 1, 2)))
    assert {tuple(run.seed for run in p.runs) for p in result.frontier} == {(0, 1, 2)}
    assert all(p.accuracy_sd > 0 for p in result.frontier)


def test_only_frontier_points_are_tested_and_each_seed_once(tmp_path):
    evaluator = FakeEvaluator()
    result = search(tmp_path, evaluator, Limits(trials=12, seeds=(0, 1)))
    again = FakeEvaluator()
    search(tmp_path, again, Limits(trials=12, seeds=(0, 1)))
    assert sorted(evaluator.tested) == sorted(p.folder / f"seed-{s}" for p in result.frontier for s in (0, 1))
    assert again.tested == []


class Interrupting(FakeEvaluator):
    def evaluate(self, candidate, seed, folder):
        if len(self.evaluated) == 3:
            raise KeyboardInterrupt
        return super().evaluate(candidate, seed, folder)


def test_ctrl_c_leaves_a_valid_frontier_and_nothing_half_written(tmp_path):
    result = search(tmp_path, Interrupting(), Limits(trials=10))
    assert result.interrupted
    assert len(result.points) == 3
    assert result.frontier
    assert sorted(p.name for p in (tmp_path / "trials").iterdir()) == ["0000", "0001", "0002"]


def test_an_interrupted_recipe_is_tried_again(tmp_path):
    search(tmp_path, Interrupting(), Limits(trials=10))
    result = search(tmp_path, FakeEvaluator(), Limits(trials=10))
    assert len(result.points) == 10


class Failing(FakeEvaluator):
    def evaluate(self, candidate, seed, folder):
        if "distill" in candidate.label:
            (folder / "half.smg").write_bytes(b"x")
            raise TypeError("a method's bug")
        return super().evaluate(candidate, seed, folder)


def test_a_failing_candidate_is_listed_and_does_not_end_the_search(tmp_path):
    result = search(tmp_path, Failing(), Limits(trials=25))
    assert result.failed
    assert all(f.reason == "TypeError: a method's bug" for f in result.failed)
    assert len(result.failed) + len(result.points) == 25
    assert not list(tmp_path.rglob("half.smg"))


class Unequipped(FakeEvaluator):
    def evaluate(self, candidate, seed, folder):
        raise MissingExtra("cross compilation", "ziglang", "mcu")


def test_a_missing_tool_ends_the_search_at_once(tmp_path):
    with pytest.raises(MissingExtra, match="ziglang"):
        search(tmp_path, Unequipped(), Limits(trials=5))


class Picky(FakeEvaluator):
    def precheck(self, candidate):
        return "ram is 9 KB, the budget allows 1 KB" if "prune" in candidate.label else None


def test_what_can_t_fit_is_rejected_without_being_built(tmp_path):
    evaluator = Picky()
    result = search(tmp_path, evaluator, Limits(trials=20))
    assert result.rejected
    assert not any("prune" in label for label, _ in evaluator.evaluated)
    assert len(result.points) == 20


class Hopeless(FakeEvaluator):
    def precheck(self, candidate):
        return "flash is too small"


def test_a_search_in_which_nothing_can_fit_ends_and_says_why(tmp_path, monkeypatch):
    monkeypatch.setattr("smidgen.search.engine.IDLE_LIMIT", 20)
    result = search(tmp_path, Hopeless(), Limits())
    with pytest.raises(BudgetError, match="flash is too small"):
        result.require_chosen()


def test_a_budget_nothing_meets_names_the_closest_candidate(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=6), goal("file=50"))
    assert result.chosen is None
    with pytest.raises(BudgetError, match=r"the closest is .*file is .* the budget allows 50 B"):
        result.require_chosen()


def test_a_drop_nothing_meets_names_the_best_candidate(tmp_path):
    result = search(tmp_path, FakeEvaluator(), Limits(trials=6), goal(max_drop=-3))
    with pytest.raises(BudgetError, match=r"loses .* at most -3 points"):
        result.require_chosen()


def test_a_time_limit_ends_the_search(tmp_path):
    result = search(tmp_path, FakeEvaluator(delay_s=0.05), Limits(time_s=1.0))
    assert 1 <= len(result.points) < 20


def test_baselines_are_measured_and_a_dominated_choice_is_reported(tmp_path):
    baseline = Candidate(Recipe.from_yaml("- quantize.affine"), "width-0.5", "width baseline")
    strong = FakeEvaluator()
    strong.evaluate = lambda candidate, seed, folder: (
        strong._evaluated(seed, 96.0, 10)
        if candidate.base != "model"
        else FakeEvaluator.evaluate(strong, candidate, seed, folder)
    )
    result = search(tmp_path, strong, Limits(trials=5), baselines=[baseline])
    assert [p.label for p in result.beaten_by] == ["width-0.5: quantize.affine"]
    assert result.require_chosen().kind == "compressed"


class Unstable(FakeEvaluator):
    def evaluate(self, candidate, seed, folder):
        if seed == 1 and candidate.label == "quantize.affine":
            raise ValueError("the loss is nan")
        return super().evaluate(candidate, seed, folder)


def test_a_point_that_fails_with_another_seed_is_no_point(tmp_path):
    result = search(tmp_path, Unstable(), Limits(trials=2, seeds=(0, 1)))
    assert [f.reason for f in result.failed] == ["seed 1: ValueError: the loss is nan"]
    assert [p.label for p in result.points] == ["quantize.affine(bits=4)"]
    assert [type(o) for o in read_outcomes(tmp_path / "trials")] == [type(o) for o in result.outcomes]


def test_progress_tells_what_is_left(tmp_path):
    seen = []
    search(tmp_path, FakeEvaluator(), Limits(trials=4, time_s=60), progress=seen.append)
    assert [p.built for p in seen if p.phase == "search"] == [0, 1, 2, 3]
    assert all(0 < p.left_s <= 60 and p.trials == 4 for p in seen)
    assert seen[-1].best is not None


def test_a_damaged_record_is_named(tmp_path):
    search(tmp_path, FakeEvaluator(), Limits(trials=2))
    (tmp_path / "trials/0001/outcome.json").write_text(json.dumps({"status": "point"}))
    with pytest.raises(Exception, match=r"0001/outcome.json: no 'kind'. Remove the trial's folder"):
        search(tmp_path, FakeEvaluator(), Limits(trials=3))
