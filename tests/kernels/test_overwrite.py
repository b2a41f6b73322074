"""Overwriting: the lane-level simulator, the vectorised rule and the C kernel are one function."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import IllegalGraph, Unsupported
from smidgen.formats import Grid
from smidgen.graph import Graph, Node, Value
from smidgen.graph.overwrite import Overwrite, overwritten
from smidgen.methods.quantize._lanes import Lane, State, dot, lanes_of, pe_area
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.kernels.one_node import random_int8

few = settings(max_examples=60)
LANES = st.lists(st.sampled_from([0, 0, 1, 2, 5, 15, 16, 17, 40, 100, 240, 255]), min_size=1, max_size=24)
CODES = st.one_of(LANES, st.lists(st.integers(0, 255), min_size=1, max_size=12))
PLAIN = Overwrite(4, 0, 1, 32)


@st.composite
def rules(draw: st.DrawFn) -> Overwrite:
    bits = draw(st.integers(2, 7))
    fraction = draw(st.integers(0, min(bits, 8 - bits)))
    return Overwrite(bits, fraction, draw(st.integers(0, 5)), draw(st.integers(1, 9)))


def alone(shape: tuple[int, ...], attrs: dict[str, object], zero: int = -128) -> Graph:
    """A graph of the operator and nothing else."""
    values = {name: Value(shape, "int8", Grid(0.5, zero)) for name in ("x", "y")}
    graph = Graph("one", (Node("n", "q.overwrite", ("x",), ("y",), {}, attrs),), values, {}, ("x",), ("y",))
    graph.check()
    return graph


def held(codes: list[int], rule: Overwrite = PLAIN) -> list[int]:
    return overwritten(np.array(codes), rule).tolist()


def test_an_outlier_keeps_its_value_where_the_next_lane_is_zero() -> None:
    assert held([200, 0, 3]) == [200, 0, 3]
    assert held([200, 1, 0]) == [15, 1, 0]
    assert held([3, 0, 200]) == [3, 0, 15]


def test_a_cascade_moves_the_lanes_between() -> None:
    assert held([200, 7, 9, 0], Overwrite(4, 0, 3, 32)) == [200, 7, 9, 0]
    assert held([200, 7, 9, 0], Overwrite(4, 0, 2, 32)) == [15, 7, 9, 0]


def test_what_moved_is_clipped_although_a_zero_is_near() -> None:
    assert held([200, 90, 0, 0], Overwrite(4, 0, 2, 32)) == [200, 15, 0, 0]


def test_a_zero_serves_one_value() -> None:
    assert held([200, 90, 0], Overwrite(4, 0, 2, 32)) == [200, 15, 0]
    assert [lane.state for lane in lanes_of([90, 0, 90], Overwrite(4, 0, 2, 32))] == [
        State.OWN,
        State.UPPER,
        State.OWN,
    ]


def test_nothing_crosses_the_border_of_a_tile() -> None:
    assert held([1, 200, 0, 1], Overwrite(4, 0, 3, 2)) == [1, 15, 0, 1]
    assert held([200, 0, 200, 0], Overwrite(4, 0, 3, 2)) == [200, 0, 200, 0]


def test_a_zero_beside_a_small_value_holds_its_fraction() -> None:
    assert held([13, 0, 13, 5], Overwrite(4, 2, 1, 32)) == [13, 0, 12, 4]


def test_the_fraction_leaves_the_byte_less_range() -> None:
    assert held([254, 0], Overwrite(4, 2, 1, 32)) == [252, 0]
    assert held([255, 0], Overwrite(3, 2, 1, 32)) == [252, 0]


@few
@given(CODES, rules(), st.data())
def test_pe_by_pe_the_dot_product_is_that_of_the_held_values(codes, rule, data) -> None:
    weights = data.draw(st.lists(st.integers(-128, 127), min_size=len(codes), max_size=len(codes)))
    wanted = sum(value * w for value, w in zip(held(codes, rule), weights, strict=True))
    assert dot(lanes_of(codes, rule), weights, rule) == wanted


@few
@given(CODES, rules())
def test_lanes_hold_no_more_than_their_bits(codes, rule) -> None:
    lanes = lanes_of(codes, rule)
    assert len(lanes) == len(codes)
    assert all(0 <= lane.content <= rule.most for lane in lanes)
    assert all(lanes[i].state is State.OWN for i in range(0, len(lanes), rule.tile))


@few
@given(CODES, rules())
def test_without_zeros_it_is_clipping(codes, rule) -> None:
    busy = [max(code, 1 << rule.fraction) for code in codes]
    step = 1 << rule.fraction
    assert held(busy, rule) == [min((v + step // 2) // step, rule.most) * step for v in busy]


@few
@given(CODES, rules())
def test_borrowing_never_makes_a_value_smaller_than_clipping_by_more_than_its_fraction(codes, rule) -> None:
    clipped = held(codes, Overwrite(rule.bits, rule.fraction, 0, 1))
    pairs = zip(clipped, held(codes, rule), strict=True)
    assert all(after >= before - rule.half for before, after in pairs)


@few
@given(st.lists(st.integers(1, 4), max_size=2), st.integers(1, 40), rules(), st.integers(0, 2**32 - 1))
def test_native_code_and_the_reference_equal_the_simulator(outer, channels, rule, seed) -> None:
    rng = np.random.default_rng(seed)
    graph = alone((*outer, channels), vars(rule))
    x = random_int8(rng, 2, *outer, channels)
    x = np.where(rng.random(x.shape) < 0.4, np.int8(-128), x)
    unit = np.eye(channels, dtype=int).tolist()
    codes = (x.reshape(-1, channels).astype(int) + 128).tolist()
    rows = [[dot(lanes_of(row, rule), w, rule) for w in unit] for row in codes]
    expected = np.array(rows).reshape(x.shape) - 128
    np.testing.assert_array_equal(run_integer(graph, x), expected)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


def test_codes_that_do_not_start_at_zero_are_refused() -> None:
    with pytest.raises(Unsupported, match="zero point -7"):
        native_plan(alone((3,), vars(PLAIN), -7))


@pytest.mark.parametrize(
    "wrong", [{"bits": 1}, {"bits": 8}, {"fraction": 5}, {"reach": -1}, {"tile": 0}, {"bits": 4.0}]
)
def test_rules_that_no_lane_has_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(IllegalGraph):
        alone((3,), {**vars(PLAIN), **wrong})


def test_a_pe_without_a_left_neighbour_can_not_compute_what_moved() -> None:
    with pytest.raises(ValueError, match="PE 2"):
        dot([Lane(1, State.OWN), Lane(1, State.OWN), Lane(1, State.MOVED)], [1, 1, 1], Overwrite(4, 0, 2, 2))


def test_area_grows_with_what_a_lane_may_hold() -> None:
    plain, upper, cascade, whole = (
        pe_area(Overwrite(4, fraction, reach, 32), 8) for reach, fraction in ((0, 0), (1, 0), (2, 0), (2, 2))
    )
    assert (plain.state_bits, plain.weight_mux_bits, plain.shift_mux_bits) == (0, 0, 0)
    assert (upper.state_bits, upper.weight_mux_bits, upper.shift_mux_bits) == (1, 8, 12)
    assert (cascade.state_bits, cascade.shift_mux_bits) == (2, 12)
    assert (whole.state_bits, whole.shift_mux_bits) == (2, 24)
