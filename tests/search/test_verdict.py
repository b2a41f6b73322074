"""A verdict praises what is better, and of methods that do nothing one in twenty at most."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from smidgen.errors import BadInput
from smidgen.search import verdict
from smidgen.search.frontier import hypervolume
from smidgen.search.verdict import Corner, Runs, expanded, hypervolumes, judge

COSTS = np.array([4e3, 8e3, 16e3, 32e3])
SKILLS = np.array([2.0, 2.5, 2.8, 3.0])
CORNER = Corner(70.0, 64e3)


def runs(rng, difficulty, skills=SKILLS, costs=COSTS, spread=0.3, seeds=5) -> Runs:
    """Networks whose seeds vary in skill by `spread`, together, as those of one dense network do."""
    skill = skills[:, None, None] + spread * rng.normal(size=(1, seeds, 1))
    chance = 1 / (1 + np.exp(difficulty - skill))
    sizes = costs[:, None] * np.exp(0.01 * rng.normal(size=(costs.size, seeds)))
    return Runs(rng.random(chance.shape) < chance, sizes)


def arms(seed: int, items: int = 300, seeds: int = 5, spread: float = 0.3, **technique) -> tuple[Runs, ...]:
    """B, B' and T, which is one more draw of the baseline unless `technique` says otherwise."""
    rng = np.random.default_rng(seed)
    difficulty = 2 * rng.normal(size=items)
    shared = {"spread": spread, "seeds": seeds}
    return (
        *(runs(rng, difficulty, **shared) for _ in range(2)),
        runs(rng, difficulty, **shared, **technique),
    )


@pytest.fixture
def few_resamples(monkeypatch):
    monkeypatch.setattr(verdict, "RESAMPLES", 400)


# Seeds that differ far more than test items make the bootstrap over few seeds hardest to trust.
@pytest.mark.parametrize(("seeds", "spread"), [(5, 1.5), (5, 0.3), (10, 1.5)])
def test_of_cloned_baselines_at_most_one_in_twenty_is_praised(few_resamples, seeds, spread):
    trials = 400
    praised = sum(judge(*arms(i, 60, seeds, spread), CORNER, seed=i).pushes for i in range(trials))
    assert praised <= 0.05 * trials


def test_the_plain_fifth_percentile_would_praise_too_many():
    # Why the percentile is expanded: means of five normal numbers, the bootstrap's simplest case.
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4000, 5))
    counts = rng.multinomial(5, np.full(5, 0.2), 1000)
    means = values @ counts.T / 5
    assert (np.quantile(means, 0.05, axis=1) > 0).mean() > 0.08
    assert (np.quantile(means, expanded(5), axis=1) > 0).mean() == pytest.approx(0.05, abs=0.015)


def test_the_same_accuracy_in_a_third_of_the_size_pushes(few_resamples):
    found = judge(*arms(0, costs=COSTS / 3), CORNER)
    assert found.pushes
    assert str(found) == "pushes the frontier"
    assert found.gain > found.low > 0


def test_far_better_accuracy_at_the_same_size_pushes(few_resamples):
    assert judge(*arms(0, skills=SKILLS + 2), CORNER).pushes


def test_a_dominated_method_does_not_push(few_resamples):
    found = judge(*arms(0, skills=SKILLS - 1, costs=COSTS * 1.5), CORNER)
    assert not found.pushes
    assert found.gain <= 0
    assert str(found) == "does not"


def test_the_baseline_s_own_fresh_runs_gain_exactly_nothing(few_resamples):
    base, fresh, _ = arms(0)
    found = judge(base, fresh, fresh, CORNER)
    assert (found.gain, found.low, found.pushes) == (0, 0, False)


def test_useless_networks_count_nothing_however_small(few_resamples):
    tiny = judge(*arms(0, skills=SKILLS - 4, costs=COSTS / 1000), CORNER)
    assert tiny.gain <= 0
    assert not tiny.pushes


def test_a_verdict_repeats(few_resamples):
    assert judge(*arms(0), CORNER) == judge(*arms(0), CORNER)


def constant(accuracies, costs) -> Runs:
    """Five equal seeds with exactly these accuracies, in percent of 20 items."""
    right = np.arange(20)[None, None] < np.array(accuracies)[:, None, None] / 5
    return Runs(np.repeat(right, 5, axis=1), np.repeat(np.array(costs, float)[:, None], 5, axis=1))


def test_the_gain_is_the_difference_of_two_hypervolumes():
    base, fresh, new = constant([80, 90], [10, 20]), constant([85, 90], [10, 20]), constant([90, 70], [5, 9])
    expected = [
        hypervolume([80, 90, *more], [10, 20, *costs], 60, 40)
        for more, costs in (([90, 70], [5, 9]), ([85, 90], [10, 20]))
    ]
    assert judge(base, fresh, new, Corner(60, 40)).gain == pytest.approx(expected[0] - expected[1])


def test_the_gap_is_to_the_best_baseline_that_costs_no_more():
    base = constant([80, 90], [10, 20])
    found = judge(base, base, constant([75, 95], [19, 25]), Corner(60, 40))
    assert found.gap == pytest.approx(((75 - 80) + (95 - 90)) / 2)


def test_there_is_no_gap_below_the_smallest_baseline():
    base = constant([80, 90], [10, 20])
    assert judge(base, base, constant([75, 70], [9, 5]), Corner(60, 40)).gap is None


points = st.lists(
    st.tuples(st.integers(0, 20), st.integers(1, 40)), min_size=1, max_size=6
)  # ties on purpose


@given(points)
def test_many_hypervolumes_at_once_are_those_of_one_at_a_time(drawn):
    gains, costs = (np.array(column, float) for column in zip(*drawn, strict=True))
    found = hypervolumes(np.stack([gains, gains + 1]), np.log(np.stack([costs, costs])), Corner(5, 30))
    expected = [hypervolume(gains + more, costs, 5, 30) for more in (0, 1)]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("seeds", [5, 6, 10, 31])
def test_the_expanded_percentile_is_hesterberg_s(seeds):
    t = stats.t.ppf(0.95, seeds - 1)
    assert expanded(seeds) == pytest.approx(stats.norm.cdf(-np.sqrt(seeds / (seeds - 1)) * t), rel=2e-3)


def test_four_seeds_are_too_few():
    with pytest.raises(BadInput, match=r"4 seeds, but at least 5"):
        judge(*arms(0, seeds=4), CORNER)


def test_more_tries_than_the_baseline_s_are_refused():
    base, fresh, new = arms(0)
    fewer = Runs(fresh.right[:3], fresh.cost[:3])
    with pytest.raises(BadInput, match="4 networks of the method and 3 fresh"):
        judge(base, fewer, new, CORNER)


def test_other_test_items_are_refused():
    base, fresh, _ = arms(0)
    with pytest.raises(BadInput, match="differ in seeds or test items"):
        judge(base, fresh, arms(0, items=299)[2], CORNER)


@pytest.mark.parametrize("cost", [np.zeros((4, 5)), np.ones((4, 6))])
def test_runs_need_a_positive_cost_each(cost):
    with pytest.raises(ValueError):
        Runs(np.ones((4, 5, 7), bool), cost)
