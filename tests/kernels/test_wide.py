"""Operators on 16-bit values against plain loops."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.kernels import loops
from tests.kernels.one_node import one_node, random_int8, random_integers, random_ratios, ratio_of

seeds = st.integers(0, 2**32 - 1)
widths = st.sampled_from([8, 16])
few = settings(max_examples=40)
LO, HI, OUT_ZERO = -90, 101, -3
BOUNDS = (OUT_ZERO, LO, HI)


def both(graph, inputs):
    """The native result, after checking that the reference has the same."""
    native = native_plan(graph).run(inputs)
    np.testing.assert_array_equal(run_integer(graph, inputs), native)
    return native


def bounds_of(bits: int) -> tuple[int, int, int]:
    return BOUNDS if bits == 8 else (OUT_ZERO, -30000, 31000)


@few
@given(seeds, st.tuples(widths, widths, widths), st.integers(1, 47))
def test_addition_equals_the_loop(seed, bits, shift) -> None:
    rng = np.random.default_rng(seed)
    multipliers = rng.integers(-65535, 65536, 2)
    zeros, (zero, lo, hi) = (5 if bits[0] == 8 else 0, -9 if bits[1] == 8 else 0), bounds_of(bits[2])
    params = {"multiplier": multipliers.astype(np.int32)}
    graph = one_node(
        "q.add", [(2, 3), (1, 3)], params, zeros, zero, bits[:2], bits[2], shift=shift, lo=lo, hi=hi
    )
    a, b = random_integers(rng, bits[0], 2, 2, 3), random_integers(rng, bits[1], 2, 1, 3)
    expected = [
        loops.add(p, q, zeros, multipliers.tolist(), shift, (zero, lo, hi)) for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(both(graph, (a, b)), expected)


@few
@given(seeds, st.tuples(widths, widths, widths))
def test_multiplication_equals_the_loop(seed, bits) -> None:
    rng = np.random.default_rng(seed)
    ratios, (zero, lo, hi) = random_ratios(rng, 1), bounds_of(bits[2])
    graph = one_node("q.mul", [(4,), (4,)], ratios, (0, 0), zero, bits[:2], bits[2], lo=lo, hi=hi)
    a, b = random_integers(rng, bits[0], 3, 4), random_integers(rng, bits[1], 3, 4)
    expected = [
        loops.pairs(p, q, lambda v, w: loops.finish(v * w, ratio_of(ratios)(0), (zero, lo, hi)))
        for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(both(graph, (a, b)), expected)


@few
@given(seeds, st.tuples(widths, widths), st.booleans())
def test_requantization_equals_the_loop(seed, bits, per_channel) -> None:
    rng = np.random.default_rng(seed)
    ratios, (zero, lo, hi) = random_ratios(rng, 5 if per_channel else 1, 8, 20), bounds_of(bits[1])
    graph = one_node("q.requantize", [(2, 5)], ratios, (0,), zero, bits[:1], bits[1], lo=lo, hi=hi)
    x = random_integers(rng, bits[0], 3, 2, 5)
    ratio = ratio_of(ratios)
    expected = [loops.finish(int(v), ratio(i % 5), (zero, lo, hi)) for i, v in enumerate(x.ravel())]
    np.testing.assert_array_equal(both(graph, x).ravel(), expected)


@few
@given(seeds)
def test_a_linear_layer_that_makes_16_bits_equals_the_loop(seed) -> None:
    rng = np.random.default_rng(seed)
    w, bias = random_int8(rng, 4, 6), rng.integers(-1000, 1000, 4).astype(np.int32)
    params = {"weight": w, "bias": bias, **random_ratios(rng, 4, 8, 20)}
    zero, lo, hi = bounds_of(16)
    graph = one_node("q.linear", [(2, 6)], params, (3,), zero, (8,), 16, lo=lo, hi=hi)
    x = random_int8(rng, 3, 2, 6)
    expected = [loops.linear(p, w, bias, 3, ratio_of(params), (zero, lo, hi)) for p in x]
    np.testing.assert_array_equal(both(graph, x), expected)


@few
@given(seeds, widths)
def test_a_table_joins_its_knots_with_straight_lines(seed, bits) -> None:
    rng = np.random.default_rng(seed)
    half = 1 << (bits - 1)
    table = rng.integers(-half, half, 257).astype(np.int16)
    graph = one_node("q.table", [(7,)], {"table": table}, (0,), 0, (16,), bits)
    x = random_integers(rng, 16, 3, 7)

    def line(v: int) -> int:
        knot, rest = divmod(v + 32768, 256)
        return int(table[knot]) + ((int(table[knot + 1]) - int(table[knot])) * rest + 128) // 256

    np.testing.assert_array_equal(both(graph, x).ravel(), [line(int(v)) for v in x.ravel()])


@few
@given(seeds, widths, st.booleans())
def test_an_embedding_takes_the_nearest_row_and_requantizes_it(seed, bits, per_row) -> None:
    rng = np.random.default_rng(seed)
    w = random_int8(rng, 5, 3)
    params = {"weight": w, **random_ratios(rng, 5 if per_row else 1, 14, 20)}
    zero_x = -(1 << (bits - 1))
    graph = one_node("q.embedding", [(6,)], params, (zero_x,), OUT_ZERO, (bits,), 8, lo=LO, hi=HI)
    index = rng.integers(0, 9, (2, 6))
    x = (index + zero_x).astype(f"int{bits}")
    ratio = ratio_of(params)
    rows = [min(int(i), 4) for i in index.ravel()]
    expected = [loops.finish(int(v), ratio(k), BOUNDS) for k in rows for v in w[k]]
    np.testing.assert_array_equal(both(graph, x).ravel(), expected)


@few
@given(seeds, st.data())
def test_a_slice_takes_every_step_th_element_of_one_axis(seed, data) -> None:
    shape, axis = (3, 4, 5), data.draw(st.integers(0, 2))
    start = data.draw(st.integers(0, shape[axis] - 1))
    stop, step = data.draw(st.integers(start + 1, shape[axis])), data.draw(st.integers(1, 3))
    graph = one_node("q.slice", [shape], {}, (3,), 3, axis=axis, start=start, stop=stop, step=step)
    x = random_int8(np.random.default_rng(seed), 2, *shape)
    expected = np.moveaxis(np.moveaxis(x, axis + 1, 0)[start:stop:step], 0, axis + 1)
    np.testing.assert_array_equal(both(graph, x), expected)
