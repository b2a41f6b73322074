"""Fast convolutions: identities over rationals, and results against the direct sum in float64."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels import C_SOURCES
from smidgen.kernels.cook_toom import c_header, cook_toom
from smidgen.kernels.winograd import FORMS, direct, fastest, tiles, winograd

KERNELS = [(3, 3), (3, 1), (1, 3), (7, 1), (1, 7)]


def times(matrix, vector: list[Fraction]) -> list[Fraction]:
    return [sum((a * b for a, b in zip(row, vector, strict=True)), Fraction(0)) for row in matrix]


@given(st.integers(1, 6), st.integers(1, 7), st.data())
def test_the_transforms_give_the_convolution_exactly(outputs, taps, data) -> None:
    numbers = st.fractions(-9, 9, max_denominator=9)
    inputs = data.draw(st.lists(numbers, min_size=outputs + taps - 1, max_size=outputs + taps - 1))
    weights = data.draw(st.lists(numbers, min_size=taps, max_size=taps))
    made = cook_toom(outputs, taps)
    products = [a * b for a, b in zip(times(made.filter, weights), times(made.input, inputs), strict=True)]
    expected = [sum(inputs[i + k] * w for k, w in enumerate(weights)) for i in range(outputs)]
    assert times(made.output, products) == expected


@pytest.mark.parametrize("sizes", [(0, 3), (2, 0), (7, 7)])
def test_sizes_out_of_range_are_refused(sizes) -> None:
    with pytest.raises(ValueError, match="sizes from 1 on"):
        cook_toom(*sizes)


def test_the_committed_matrices_are_the_generated_ones() -> None:
    committed = (C_SOURCES.parent / "simd" / "winograd_matrices.h").read_text()
    assert committed == c_header(FORMS)


def plain_sum(x: np.ndarray, weight: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    """[n, h, w, in], [out, in, kh, kw] -> [n, ..., out] in float64."""
    (pad_h, pad_w), (kernel_h, kernel_w) = padding, weight.shape[2:]
    padded = np.pad(x.astype(np.float64), ((0, 0), (pad_h, pad_h), (pad_w, pad_w), (0, 0)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (kernel_h, kernel_w), axis=(1, 2))
    return np.einsum("nyxihw,oihw->nyxo", windows, weight.astype(np.float64))


@settings(max_examples=60)
@given(st.sampled_from(KERNELS), st.data(), st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_a_fast_convolution_is_close_to_the_direct_one(kernel, data, seed, samples) -> None:
    tile = data.draw(st.sampled_from(tiles(*kernel)))
    padding = tuple(data.draw(st.integers(0, 3)) for _ in kernel)
    size = tuple(data.draw(st.integers(max(1, k - 2 * p), 13)) for k, p in zip(kernel, padding, strict=True))
    channels, out = data.draw(st.integers(1, 35)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *size, channels)).astype(np.float32)
    weight = rng.normal(size=(out, channels, *kernel)).astype(np.float32)
    y = winograd(weight, size, padding, tile)(x)
    magnitude = plain_sum(np.abs(x), np.abs(weight), padding).max()
    assert np.abs(y - plain_sum(x, weight, padding)).max() <= 1e-5 * magnitude


@pytest.mark.parametrize("shape", [(2, 2, 5, 5), (2, 2, 1, 1), (2, 2, 3, 7), (2, 2, 3)])
def test_other_kernels_are_refused(shape) -> None:
    with pytest.raises(BadInput, match="3x3, 3x1, 1x3, 7x1, 1x7 is needed"):
        winograd(np.ones(shape), (8, 8), (0, 0), 2)


def test_other_tiles_and_smaller_images_are_refused() -> None:
    with pytest.raises(BadInput, match="tiles of 4"):
        winograd(np.ones((1, 1, 1, 7)), (8, 8), (0, 0), 4)
    with pytest.raises(BadInput, match="an input of 2x8"):
        winograd(np.ones((1, 1, 3, 3)), (2, 8), (0, 0), 2)


@settings(max_examples=40)
@given(st.data(), st.integers(0, 2**32 - 1), st.integers(1, 2))
def test_the_direct_convolution_stays_within_its_tolerance(data, seed, samples) -> None:
    kernel = tuple(data.draw(st.integers(1, 5)) for _ in range(2))
    padding = tuple(data.draw(st.integers(0, 3)) for _ in kernel)
    size = tuple(data.draw(st.integers(max(1, k - 2 * p), 9)) for k, p in zip(kernel, padding, strict=True))
    channels, out = data.draw(st.integers(1, 35)), data.draw(st.integers(1, 70))
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(samples, *size, channels)).astype(np.float32)
    weight = rng.normal(size=(out, channels, *kernel)).astype(np.float32)
    error = np.abs(direct(weight, size, padding)(x) - plain_sum(x, weight, padding))
    products = channels * kernel[0] * kernel[1]
    assert (error <= products * 2.0**-23 * plain_sum(np.abs(x), np.abs(weight), padding)).all()


@pytest.mark.parametrize("quick", [0, 1, 2])
def test_the_fastest_kernel_is_the_one_that_took_the_shortest(
    quick: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Timings are given: direct, F(2), F(4)."""
    seconds = iter([1.0 - (i == quick) for i in range(3)])
    monkeypatch.setattr("smidgen.kernels.call._seconds", lambda kernel, x: next(seconds))
    weight = np.random.default_rng(0).normal(size=(3, 2, 3, 3))
    chosen = fastest(weight, (8, 8), (1, 1))
    expected = direct(weight, (8, 8), (1, 1)) if quick == 0 else winograd(weight, (8, 8), (1, 1), 2 * quick)
    x = np.ones((8, 8, 2), np.float32)
    np.testing.assert_array_equal(chosen(x), expected(x))


def test_the_fastest_kernel_of_an_unusual_size_is_the_direct_one() -> None:
    assert fastest(np.ones((1, 1, 5, 5)), (8, 8), (2, 2)).name == "convolution"
