"""Products of two computed tensors, and operators that place elements anew, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import IllegalGraph, Unsupported
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, one_node, random_int8, random_ratios, ratio_of

few = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 4)


@st.composite
def factors(draw):
    """Shapes [..., M, K] and [..., K, N] whose up to three leading axes broadcast."""
    outer = draw(st.lists(st.integers(1, 3), max_size=3))
    rows, inner, columns = draw(sizes), draw(st.integers(1, 6)), draw(st.integers(1, 35))
    lead = [tuple(draw(st.sampled_from([1, n])) for n in outer) for _ in range(2)]
    cut = draw(st.integers(0, len(outer)))
    return (*lead[0], rows, inner), (*lead[1][cut:], inner, columns)


def product(a: np.ndarray, b: np.ndarray, zeros, ratio) -> np.ndarray:
    """One sample, one output element after another."""
    lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    a, b = np.broadcast_to(a, (*lead, *a.shape[-2:])), np.broadcast_to(b, (*lead, *b.shape[-2:]))
    y = np.zeros((*lead, a.shape[-2], b.shape[-1]), np.int64)
    for *at, m, n in np.ndindex(*y.shape):
        pairs = zip(a[(*at, m)].tolist(), b[tuple(at)][:, n].tolist(), strict=True)
        acc = sum((p - zeros[0]) * (q - zeros[1]) for p, q in pairs)
        y[(*at, m, n)] = loops.finish(acc, ratio(0), (OUT_ZERO, LO, HI))
    return y


@few
@given(factors(), seeds, st.sampled_from([(100, -128), (-128, 127), (0, 3)]))
def test_a_product_equals_the_loop(shapes, seed, zeros) -> None:
    rng = np.random.default_rng(seed)
    ratios = random_ratios(rng, 1)
    graph = one_node("q.matmul", shapes, ratios, zeros, lo=LO, hi=HI)
    x = tuple(random_int8(rng, 2, *shape) for shape in shapes)
    expected = [product(a, b, zeros, ratio_of(ratios)) for a, b in zip(*x, strict=True)]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
    np.testing.assert_array_equal(run_integer(graph, x), expected)


def test_the_longest_sum_is_exact() -> None:
    """33,025 products of two values 255 away from their zero points: the last that fit into 32 bits."""
    inner = (2**31 - 1) // 255**2
    ratios = {"multiplier": np.array([65535], np.uint16), "shift": np.array([41], np.uint8)}
    graph = one_node("q.matmul", [(1, inner), (inner, 1)], ratios, (-128, 127), out_zero=0, lo=-128, hi=127)
    x = (np.full((1, 1, inner), 127, np.int8), np.full((1, inner, 1), -128, np.int8))
    expected = (-inner * 255 * 255 * 65535 + 2**40) // 2**41
    assert native_plan(graph).run(x).item() == expected == run_integer(graph, x).item()


def test_a_sum_that_could_overflow_is_refused() -> None:
    graph = one_node(
        "q.matmul",
        [(1, 33026), (33026, 1)],
        random_ratios(np.random.default_rng(0), 1),
        (-128, 127),
        lo=0,
        hi=1,
    )
    with pytest.raises(Unsupported, match="33026 products"):
        native_plan(graph)


@few
@given(st.lists(st.tuples(sizes, sizes), min_size=1, max_size=3), seeds)
def test_spreading_puts_zero_points_between_elements(axes, seed) -> None:
    shape, steps = zip(*axes, strict=True)
    graph = one_node("q.spread", [shape], {}, (-7,), out_zero=-7, steps=steps)
    x = random_int8(np.random.default_rng(seed), 2, *shape)
    expected = np.full((2, *((n - 1) * s + 1 for n, s in zip(shape, steps, strict=True))), -7)
    for at in np.ndindex(*x.shape):
        expected[(at[0], *(i * s for i, s in zip(at[1:], steps, strict=True)))] = x[at]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
    np.testing.assert_array_equal(run_integer(graph, x), expected)


@few
@given(st.lists(sizes, min_size=1, max_size=4), st.data(), seeds)
def test_gathering_takes_positions_in_their_order(shape, data, seed) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    indices = data.draw(st.lists(st.integers(0, shape[axis] - 1), min_size=1, max_size=6))
    params = {"indices": np.array(indices, np.int32)}
    graph = one_node("q.gather", [tuple(shape)], params, (-7,), out_zero=-7, axis=axis)
    x = random_int8(np.random.default_rng(seed), 2, *shape)
    expected = np.stack([x[(slice(None),) * (axis + 1) + (i,)] for i in indices], axis + 1)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
    np.testing.assert_array_equal(run_integer(graph, x), expected)


@pytest.mark.parametrize("position", [-1, 3])
def test_a_position_outside_the_axis_is_refused(position: int) -> None:
    params = {"indices": np.array([0, position], np.int32)}
    graph = one_node("q.gather", [(3,)], params, (0,), out_zero=0, axis=0)
    with pytest.raises(Unsupported, match="the axis has 3"):
        native_plan(graph)
    with pytest.raises(IllegalGraph, match="the axis has 3"):
        run_integer(graph, np.zeros((1, 3), np.int8))
