"""Element-wise operators, softmax and operators that move bytes, against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, one_node, random_int8, random_ratios, ratio_of

BOUNDS = (OUT_ZERO, LO, HI)
seeds = st.integers(0, 2**32 - 1)
shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4)
few = settings(max_examples=40)


@st.composite
def broadcastable(draw):
    """Two shapes of up to four axes that broadcast."""
    full = draw(st.lists(st.integers(1, 4), min_size=1, max_size=4))
    cut = draw(st.integers(0, len(full) - 1))
    pair = [tuple(draw(st.sampled_from([1, n])) for n in full) for _ in range(2)]
    pair[1] = pair[1][cut:]
    return tuple(pair) if draw(st.booleans()) else tuple(reversed(pair))


@few
@given(broadcastable(), seeds, st.integers(1, 47))
def test_addition_equals_the_loop(pair, seed, shift) -> None:
    rng = np.random.default_rng(seed)
    multipliers = rng.integers(-65535, 65536, 2)
    params = {"multiplier": multipliers.astype(np.int32)}
    graph = one_node("q.add", pair, params, (100, -128), shift=shift, lo=LO, hi=HI)
    a, b = (random_int8(rng, 2, *shape) for shape in pair)
    expected = [
        loops.add(p, q, (100, -128), multipliers.tolist(), shift, BOUNDS) for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(native_plan(graph).run((a, b)), expected)


@pytest.mark.parametrize("stored", [np.int32, np.uint16])
@pytest.mark.parametrize("shift", [29, 30, 31, 47])
def test_addition_of_the_largest_terms_is_exact_at_every_shift(shift: int, stored: type) -> None:
    params = {"multiplier": np.array([65535, 65535], stored)}
    graph = one_node("q.add", [(4,), (4,)], params, (-128, -128), out_zero=0, shift=shift, lo=-128, hi=127)
    a = np.array([[127, -128, 127, 0]], np.int8)
    b = np.array([[127, -128, -128, 1]], np.int8)
    expected = loops.add(a[0], b[0], (-128, -128), (65535, 65535), shift, (0, -128, 127))
    np.testing.assert_array_equal(native_plan(graph).run((a, b))[0], expected)


@few
@given(broadcastable(), seeds)
def test_multiplication_equals_the_loop(pair, seed) -> None:
    rng = np.random.default_rng(seed)
    ratios = random_ratios(rng, 1)
    graph = one_node("q.mul", pair, ratios, (100, -128), lo=LO, hi=HI)
    a, b = (random_int8(rng, 2, *shape) for shape in pair)
    expected = [
        loops.pairs(p, q, lambda v, w: loops.finish((v - 100) * (w + 128), ratio_of(ratios)(0), BOUNDS))
        for p, q in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(native_plan(graph).run((a, b)), expected)


@few
@given(shapes, seeds, st.booleans())
def test_requantization_equals_the_loop(shape, seed, per_channel) -> None:
    rng = np.random.default_rng(seed)
    ratios = random_ratios(rng, shape[-1] if per_channel else 1, 8, 20)
    graph = one_node("q.requantize", [tuple(shape)], ratios, (-100,), lo=LO, hi=HI)
    x = random_int8(rng, 2, *shape)
    channels = np.broadcast_to(np.arange(shape[-1]), x.shape)
    expected = loops.pairs(x, channels, lambda v, c: loops.finish(v + 100, ratio_of(ratios)(c), BOUNDS))
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


def test_exact_halves_round_up_on_both_sides_of_zero() -> None:
    params = {"multiplier": np.array([1], np.uint16), "shift": np.array([1], np.uint8)}
    graph = one_node("q.requantize", [(256,)], params, (0,), out_zero=0, lo=-128, hi=127)
    x = np.arange(-128, 128, dtype=np.int8)[None]
    assert native_plan(graph).run(x)[0].tolist() == [-(-v // 2) for v in range(-128, 128)]


def test_a_table_maps_all_256_values() -> None:
    table = random_int8(np.random.default_rng(0), 256)
    graph = one_node("q.table", [(256,)], {"table": table})
    x = np.arange(-128, 128, dtype=np.int8)[None]
    assert native_plan(graph).run(x)[0].tolist() == table.tolist()


@few
@given(shapes, seeds, st.sampled_from([1, 300, 65536]))
def test_softmax_equals_the_loop(shape, seed, largest) -> None:
    rng = np.random.default_rng(seed)
    table = np.sort(rng.integers(0, largest, 256))[::-1].astype(np.uint16)
    table[0] = max(table[0], 1)
    graph = one_node("q.softmax", [tuple(shape)], {"table": table})
    x = random_int8(rng, 2, *shape)
    np.testing.assert_array_equal(native_plan(graph).run(x), [loops.softmax(s, table) for s in x])


@few
@given(shapes, seeds, st.data())
def test_masked_softmax_equals_softmax_of_what_is_kept(shape, seed, data) -> None:
    rng = np.random.default_rng(seed)
    table = np.sort(rng.integers(1, 65536, 256))[::-1].astype(np.uint16)
    cut = data.draw(st.integers(0, len(shape) - 1))
    mask = rng.integers(0, 2, [data.draw(st.sampled_from([1, n])) for n in shape[cut:]]).astype(np.uint8)
    graph = one_node("q.softmax", [tuple(shape)], {"table": table, "mask": mask})
    x = random_int8(rng, 2, *shape)
    kept = np.broadcast_to(mask, x.shape) != 0
    expected = np.full(x.shape, -128)
    for row in np.ndindex(x.shape[:-1]):
        if kept[row].any():
            expected[row][kept[row]] = loops.softmax(x[row][kept[row]], table)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
    np.testing.assert_array_equal(run_integer(graph, x), expected)


@few
@given(shapes, seeds, st.data())
def test_maxima_equal_those_of_numpy(shape, seed, data) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1, max_size=2))))
    x = random_int8(np.random.default_rng(seed), 2, *shape)
    graph = one_node("q.reduce_max", [tuple(shape)], {}, (OUT_ZERO,), axes=axes, keepdims=True)
    expected = x.max(axis=tuple(axis + 1 for axis in axes), keepdims=True)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


def test_softmax_of_65536_equal_classes_does_not_overflow() -> None:
    table = np.full(256, 65535, np.uint16)
    graph = one_node("q.softmax", [(65536,)], {"table": table})
    y = native_plan(graph).run(np.zeros((1, 65536), np.int8))
    share = (256 * 65535 + 65535 * 65536 // 2) // (65535 * 65536)
    assert np.unique(y).tolist() == [share - 128]


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=5), seeds, st.data())
def test_transpose_equals_the_loop(shape, seed, data) -> None:
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    x = random_int8(np.random.default_rng(seed), 2, *shape)
    graph = one_node("q.transpose", [tuple(shape)], {}, (OUT_ZERO,), perm=perm)
    np.testing.assert_array_equal(native_plan(graph).run(x), [loops.transpose(s, perm) for s in x])


@few
@given(shapes, seeds, st.data())
def test_padding_equals_the_loop(shape, seed, data) -> None:
    some = st.tuples(st.integers(0, 2), st.integers(0, 2))
    pads = tuple(data.draw(some) for _ in shape)
    x = random_int8(np.random.default_rng(seed), 2, *shape)
    graph = one_node("q.pad", [tuple(shape)], {}, (OUT_ZERO,), pads=pads)
    np.testing.assert_array_equal(native_plan(graph).run(x), [loops.pad(s, pads, OUT_ZERO) for s in x])


@few
@given(shapes, seeds, st.data())
def test_concatenation_equals_numpy(shape, seed, data) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    parts = [tuple(n if i == axis else size for i, size in enumerate(shape)) for n in sizes]
    rng = np.random.default_rng(seed)
    x = [random_int8(rng, 2, *part) for part in parts]
    graph = one_node("q.concat", parts, {}, (OUT_ZERO,) * len(parts), axis=axis)
    np.testing.assert_array_equal(native_plan(graph).run(x), np.concatenate(x, axis=axis + 1))


def test_reshape_between_the_callers_buffers_copies() -> None:
    graph = one_node("q.reshape", [(2, 3)], {}, (OUT_ZERO,), shape=(-1,))
    x = random_int8(np.random.default_rng(0), 4, 2, 3)
    np.testing.assert_array_equal(native_plan(graph).run(x), x.reshape(4, 6))
