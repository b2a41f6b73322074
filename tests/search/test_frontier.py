import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.search.frontier import dominates, gain_at, hypervolume, non_dominated

# Small integers, so that ties are common.
POINTS = st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=12)
CURVES = st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9)), max_size=9)


@given(POINTS)
def test_the_frontier_is_what_nothing_dominates(points):
    expected = [
        i
        for i, (gain, *costs) in enumerate(points)
        if not any(dominates(g, c, gain, costs) for g, *c in points)
    ]
    gains, costs = [p[0] for p in points], np.array([p[1:] for p in points]).reshape(-1, 2)
    assert non_dominated(gains, costs) == expected


@given(POINTS)
def test_everything_off_the_frontier_is_dominated_by_a_point_on_it(points):
    keep = non_dominated([p[0] for p in points], np.array([p[1:] for p in points]).reshape(-1, 2))
    for i in set(range(len(points))) - set(keep):
        assert any(dominates(points[k][0], points[k][1:], points[i][0], points[i][1:]) for k in keep)


def test_a_point_does_not_dominate_its_equal():
    assert not dominates(1, [2], 1, [2])


@given(CURVES)
def test_hypervolume_is_the_integral_of_the_step_function(curve):
    gains, costs = [g for g, _ in curve], [c for _, c in curve]
    # The step function only jumps at whole costs, so sampling between them integrates exactly.
    edges = range(1, 11)
    brute = sum(
        max(gain_at(gains, costs, edge + 0.5) - 2, 0) * math.log((edge + 1) / edge)
        for edge in edges[:-1]
        if curve
    )
    assert hypervolume(gains, costs, worst_gain=2, worst_cost=10) == pytest.approx(brute)


@given(CURVES, st.tuples(st.integers(0, 9), st.integers(1, 9)))
def test_hypervolume_never_shrinks_by_a_point(curve, extra):
    before = hypervolume([g for g, _ in curve], [c for _, c in curve], 0, 10)
    more = [*curve, extra]
    assert hypervolume([g for g, _ in more], [c for _, c in more], 0, 10) >= before - 1e-12


def test_hypervolume_refuses_costs_without_a_logarithm():
    with pytest.raises(ValueError, match="positive"):
        hypervolume([1.0], [0.0], 0, 1)


def test_gain_at_takes_the_best_that_can_be_afforded():
    assert gain_at([70, 90, 80], [1, 5, 3], limit=4) == 80
    assert gain_at([70], [2], limit=1) == -math.inf
