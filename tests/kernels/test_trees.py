"""Trees in integers: the kernel and the reference against a plain walk; no arrays lead out of memory."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadFile, IllegalGraph
from smidgen.formats import Integer
from smidgen.lower.schedule import check_schedulable, schedule
from smidgen.run.native import native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, ratio_of
from tests.random_trees import integer_trees, random_input, random_trees, walked

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=60)
@given(seeds, st.sampled_from([8, 16]), st.integers(1, 40), st.data())
def test_native_and_reference_equal_the_walk(seed: int, bits: int, outputs: int, data: st.DataObject) -> None:
    width = data.draw(st.integers(1, outputs))
    rng = np.random.default_rng(seed)
    trees = random_trees(rng, 5, bits, outputs, width)
    graph = integer_trees(trees, 5, bits, seed)
    x = random_input(graph, 4, seed)
    ratio = ratio_of({role: graph.weights[role].array for role in ("multiplier", "shift")})(0)
    expected = [[loops.finish(acc, ratio, (OUT_ZERO, LO, HI)) for acc in walked(trees, s)] for s in x]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
    np.testing.assert_array_equal(run_integer(graph, x), expected)


def test_a_value_equal_to_the_threshold_goes_left() -> None:
    trees = random_trees(np.random.default_rng(0), 1, 16, 1, 1)
    trees |= {"feature": np.zeros(1, np.int16), "threshold": np.array([7], np.int16)}
    trees |= {"children": np.array([[0, -1]], np.int16), "tree": np.zeros((1, 3), np.int32)}
    trees |= {"leaf": np.array([[-30000], [30000]], np.int16), "bias": np.zeros(1, np.int32)}
    y = native_plan(integer_trees(trees, 1)).run(np.array([[6], [7], [8]], np.int16))[:, 0]
    assert y[0] == y[1] < OUT_ZERO < y[2]


def test_the_widest_int16_values_compare_right() -> None:
    trees = random_trees(np.random.default_rng(3), 5, 16, 2, 2)
    graph = integer_trees(trees, 5)
    x = np.array([[-32768] * 5, [32767] * 5], np.int16)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


BROKEN = {
    "a feature that is not there": ("feature", 0, 5, "compare features"),
    "a negative feature": ("feature", 0, -1, "compare features"),
    "a step out of the tree": ("children", (-1, 0), 1, "out of its tree"),
    "a leaf beyond the last": ("children", (-1, 1), -100, "beyond the"),
    "a first split that is not 0": ("tree", (0, 0), 1, "do not ascend"),
    "a first leaf below 0": ("tree", (0, 1), -1, "no first leaf"),
    "an output that is not there": ("tree", (0, 2), 2, "other than the 2 outputs"),
}


@pytest.mark.parametrize(("role", "at", "value", "reason"), BROKEN.values(), ids=BROKEN.keys())
def test_arrays_that_are_no_trees_are_refused(role: str, at: object, value: int, reason: str) -> None:
    trees = random_trees(np.random.default_rng(1), 5, 16, 2, 1)
    trees[role][at] = value
    graph = integer_trees(trees, 5)
    assert reason in check_schedulable(graph)[0]
    with pytest.raises(IllegalGraph, match=reason):
        run_integer(graph, random_input(graph, 2))


@settings(max_examples=150)
@given(seeds)
def test_a_plan_with_any_changed_trees_runs_safely_or_is_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    graph = integer_trees(random_trees(rng, 5, 16, 2, 1), 5)
    code, constants = serialize(schedule(graph))
    hostile = constants.copy()
    at = int(rng.integers(0, len(hostile)))
    hostile[at] = rng.integers(0, 256)
    try:
        plan = load("hostile", code, hostile)
    except BadFile:
        return
    out = np.zeros((3, 2), np.int8)
    plan.run([random_input(graph, 3).view(np.int8)], [out], 3, 1)
    assert (out >= LO).all()
    assert (out <= HI).all()


def test_int32_steps_are_refused() -> None:
    graph = integer_trees(random_trees(np.random.default_rng(0), 5, 16, 2, 1), 5)
    wide = Integer(graph.weights["children"].array.astype(np.int32))
    problems = check_schedulable(graph.with_weights({"children": wide}))
    assert "int16 integers are needed" in problems[0]
