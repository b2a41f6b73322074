"""Float convolutions of any stride and padding, and what follows them, against float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels.convolution import clamped, convolution, depthwise
from smidgen.run.windows import convolve

few = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@st.composite
def windows(draw):
    """(kernel, size, padding, stride) of windows that fit."""
    kernel = [draw(st.integers(1, 5)) for _ in range(2)]
    padding = [(draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in kernel]
    size = [draw(st.integers(max(1, k - sum(p)), 12)) for k, p in zip(kernel, padding, strict=True)]
    return kernel, size, padding, [draw(st.integers(1, 4)) for _ in kernel]


def error_within(y, x, weight, padding, stride, groups) -> bool:
    """Whether every sum is as close as its products allow; `weight` [out, kernel_h, kernel_w, ...]."""

    def real(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
        return convolve(x.astype(np.float64), weight.astype(np.float64), stride, padding, (1, 1), groups)

    error = np.abs(y - real(x, weight))
    return bool((error <= weight[0].size * 2.0**-23 * real(np.abs(x), np.abs(weight))).all())


@few
@given(windows(), seeds, st.integers(1, 35), st.integers(1, 70), st.integers(1, 2))
def test_a_convolution_stays_within_its_tolerance(shape, seed, channels, out, samples) -> None:
    kernel, size, padding, stride = shape
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *size, channels)).astype(np.float32)
    weight = rng.normal(size=(out, *kernel, channels)).astype(np.float32)
    y = convolution(weight.transpose(0, 3, 1, 2), size, padding, stride)(x)
    assert error_within(y, x, weight, padding, stride, 1)


@few
@given(windows(), seeds, st.integers(1, 70), st.integers(1, 2))
def test_a_depthwise_convolution_stays_within_its_tolerance(shape, seed, channels, samples) -> None:
    kernel, size, padding, stride = shape
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *size, channels)).astype(np.float32)
    weight = rng.normal(size=(channels, *kernel)).astype(np.float32)
    y = depthwise(weight, size, padding, stride)(x)
    assert error_within(y, x, weight[..., None], padding, stride, channels)


@few
@given(
    seeds, st.integers(1, 70), st.integers(1, 5), st.sampled_from([(0, np.inf), (0, 6), (-np.inf, np.inf)])
)
def test_clamping_is_exact(seed, channels, samples, bounds) -> None:
    rng = np.random.default_rng(seed)
    x, bias = (rng.normal(size=shape).astype(np.float32) * 4 for shape in ((samples, channels), (channels,)))
    np.testing.assert_array_equal(clamped(bias, *bounds)(x), np.clip(x + bias, *bounds))


def test_what_is_no_number_stays_none() -> None:
    x = np.full((2, 19), np.nan, np.float32)
    assert np.isnan(clamped(np.zeros(19), 0, 6)(x)).all()


@pytest.mark.parametrize(
    ("size", "padding", "stride"),
    [((2, 8), [(0, 0), (0, 0)], (1, 1)), ((8, 8), [(-1, 3), (0, 0)], (1, 1)), ((8, 8), [(0, 0)] * 2, (0, 1))],
)
def test_windows_that_do_not_fit_are_refused(size, padding, stride) -> None:
    with pytest.raises(BadInput, match="the kernel must fit into it, in steps of at least 1"):
        convolution(np.ones((1, 1, 3, 3)), size, padding, stride)
    with pytest.raises(BadInput, match="depthwise: an input of"):
        depthwise(np.ones((1, 3, 3)), size, padding, stride)


def test_other_weights_are_refused() -> None:
    with pytest.raises(BadInput, match=r"kernel_h, kernel_w\] is needed"):
        convolution(np.ones((1, 3, 3)), (8, 8), [(0, 0)] * 2, (1, 1))
    with pytest.raises(BadInput, match=r"kernel_h, kernel_w\] is needed"):
        depthwise(np.ones((1, 1, 3, 3)), (8, 8), [(0, 0)] * 2, (1, 1))
