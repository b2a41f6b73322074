"""Convolutions, pools and linear layers against plain loops."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.run.native import native_plan
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, one_node, random_int8, random_ratios, ratio_of

BOUNDS = (OUT_ZERO, LO, HI)
seeds = st.integers(0, 2**32 - 1)
small = st.integers(1, 3)
zeros = st.sampled_from([-128, -1, 0, 3, 127])
few = settings(max_examples=40)


@st.composite
def windows(draw, dilated: bool = True):
    """(space, kernel, stride, padding, dilation) of a window that fits, for one or two axes."""
    axes = []
    for _ in range(draw(st.integers(1, 2))):
        kernel, dilation = draw(st.integers(1, 4)), draw(small) if dilated else 1
        before, after = draw(st.integers(0, 4)), draw(st.integers(0, 4))
        span = dilation * (kernel - 1) + 1
        size = draw(st.integers(max(1, span - before - after), max(1, span - before - after) + 5))
        axes.append((size, kernel, draw(small), (before, after), dilation))
    return tuple(zip(*axes, strict=True))


@few
@given(windows(), seeds, small, st.integers(1, 20), small, zeros, st.booleans())
def test_convolution_equals_the_loop(window, seed, groups, per_in, per_out, zero, per_channel) -> None:
    space, kernel, stride, padding, dilation = window
    rng = np.random.default_rng(seed)
    w = random_int8(rng, groups * per_out, *kernel, per_in)
    bias = rng.integers(-50000, 50000, len(w)).astype(np.int32)
    ratios = random_ratios(rng, len(w) if per_channel else 1)
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups, "lo": LO, "hi": HI}
    shape = (*space, groups * per_in)
    graph = one_node("q.conv", [shape], {"weight": w, "bias": bias, **ratios}, (zero,), **attrs)
    x = random_int8(rng, 2, *shape)
    expected = [
        loops.conv(s, w, bias, stride, padding, dilation, groups, zero, ratio_of(ratios), BOUNDS) for s in x
    ]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


@few
@given(windows(), seeds, st.integers(2, 40), zeros, st.booleans())
def test_depthwise_convolution_equals_the_loop(window, seed, channels, zero, per_channel) -> None:
    space, kernel, stride, padding, dilation = window
    rng = np.random.default_rng(seed)
    w = random_int8(rng, channels, *kernel, 1)
    bias = rng.integers(-50000, 50000, channels).astype(np.int32)
    ratios = random_ratios(rng, channels if per_channel else 1)
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": channels}
    shape = (*space, channels)
    params = {"weight": w, "bias": bias, **ratios}
    plan = native_plan(one_node("q.conv", [shape], params, (zero,), **attrs, lo=LO, hi=HI))
    assert [call.kernel for call in plan.program.calls] == ["smg_q_depthwise"]
    x = random_int8(rng, *shape)
    expected = loops.conv(x, w, bias, *list(attrs.values()), zero, ratio_of(ratios), BOUNDS)
    np.testing.assert_array_equal(plan.run(x[None])[0], expected)


@pytest.mark.parametrize(
    ("kernel", "called"), [(9, "smg_q_depthwise"), (16, "smg_q_depthwise"), (17, "smg_q_conv")]
)
def test_a_large_depthwise_window_equals_the_loop(kernel: int, called: str) -> None:
    """Fewer channels at once, and in the end the general kernel."""
    rng = np.random.default_rng(0)
    w, bias, ratios = random_int8(rng, 6, kernel, kernel, 1), np.zeros(6, np.int32), random_ratios(rng, 6)
    attrs = {"stride": (1, 1), "padding": ((kernel // 2, kernel // 2),) * 2, "dilation": (1, 1), "groups": 6}
    params = {"weight": w, "bias": bias, **ratios}
    plan = native_plan(one_node("q.conv", [(3, 3, 6)], params, (3,), **attrs, lo=LO, hi=HI))
    assert [call.kernel for call in plan.program.calls] == [called]
    x = random_int8(rng, 3, 3, 6)
    expected = loops.conv(x, w, bias, *list(attrs.values()), 3, ratio_of(ratios), BOUNDS)
    np.testing.assert_array_equal(plan.run(x[None])[0], expected)


@few
@given(
    st.lists(st.integers(1, 3), max_size=2),
    seeds,
    st.integers(1, 70),
    st.integers(1, 9),
    zeros,
    st.booleans(),
)
def test_linear_equals_the_loop(rows, seed, features, out, zero, per_channel) -> None:
    rng = np.random.default_rng(seed)
    w, bias = random_int8(rng, out, features), rng.integers(-50000, 50000, out).astype(np.int32)
    ratios = random_ratios(rng, out if per_channel else 1)
    params = {"weight": w, "bias": bias, **ratios}
    graph = one_node("q.linear", [(*rows, features)], params, (zero,), lo=LO, hi=HI)
    x = random_int8(rng, 2, *rows, features)
    expected = [loops.linear(s, w, bias, zero, ratio_of(ratios), BOUNDS) for s in x]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


def test_an_accumulator_at_the_edge_of_32_bits_is_exact() -> None:
    """The largest layer that lowering lets through; partial sums wrap on the way."""
    features = (2**31 - 1) // (255 * 127)
    w = np.full((2, features), 127, np.int8)
    w[1] = -127
    spare = 2**31 - 1 - features * 255 * 127
    params = {"weight": w, "bias": np.array([spare, -spare], np.int32)}
    ratios = {"multiplier": np.array([65535], np.uint16), "shift": np.array([40], np.uint8)}
    graph = one_node("q.linear", [(features,)], params | ratios, (-128,), lo=-128, hi=127)
    y = native_plan(graph).run(np.full((1, features), 127, np.int8))
    assert y[0].tolist() == [
        loops.finish(v, (65535, 40), (OUT_ZERO, -128, 127)) for v in (2**31 - 1, 1 - 2**31)
    ]


@few
@given(windows(dilated=False), seeds, st.integers(1, 20))
def test_max_pool_equals_the_loop(window, seed, channels) -> None:
    space, kernel, stride, padding, _ = window
    rng = np.random.default_rng(seed)
    x = random_int8(rng, 2, *space, channels)
    graph = one_node(
        "q.max_pool", [(*space, channels)], {}, (OUT_ZERO,), kernel=kernel, stride=stride, padding=padding
    )
    expected = [loops.max_pool(s, kernel, stride, padding) for s in x]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


@few
@given(windows(dilated=False), seeds, st.integers(1, 20), zeros, st.booleans())
def test_average_pool_equals_the_loop(window, seed, channels, zero, by_count) -> None:
    space, kernel, stride, padding, _ = window
    rng = np.random.default_rng(seed)
    ratios = random_ratios(rng, int(np.prod(kernel)) if by_count else 1, 14, 20)
    attrs = {"kernel": kernel, "stride": stride, "padding": padding, "count_padding": not by_count}
    graph = one_node("q.avg_pool", [(*space, channels)], ratios, (zero,), **attrs, lo=LO, hi=HI)
    x = random_int8(rng, 2, *space, channels)
    expected = [
        loops.avg_pool(s, kernel, stride, padding, by_count, zero, ratio_of(ratios), BOUNDS) for s in x
    ]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


@few
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), seeds, st.data(), zeros)
def test_mean_over_any_axes_equals_the_loop(shape, seed, data, zero) -> None:
    axes = tuple(sorted(data.draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))))
    rng = np.random.default_rng(seed)
    ratios = random_ratios(rng, 1, 14, 20)
    graph = one_node("q.mean", [tuple(shape)], ratios, (zero,), axes=axes, keepdims=True, lo=LO, hi=HI)
    x = random_int8(rng, 2, *shape)
    expected = [loops.mean(s, axes, zero, ratio_of(ratios)(0), BOUNDS) for s in x]
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
