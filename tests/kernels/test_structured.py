"""Structured products against the matrices that they stand for, and how arrays are taken."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels import structured

few = settings(max_examples=60)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 100)
small = st.integers(1, 40)
samples = st.integers(1, 10)


def close(kernel, matrix: np.ndarray, rng: np.random.Generator, n: int, absolute: np.ndarray) -> None:
    """The kernel computes matrix @ x; |absolute| bounds the magnitude of what is summed."""
    x = rng.normal(size=(n, matrix.shape[1])).astype(np.float32)
    error = np.abs(kernel(x) - x.astype(np.float64) @ matrix.T)
    assert (error <= 2 * matrix.shape[1] * 2.0**-23 * (np.abs(x) @ absolute.T) + 1e-30).all()


def random(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.normal(size=shape).astype(np.float32)


@few
@given(seeds, sizes, sizes, samples)
def test_dense(seed, out, width, n) -> None:
    rng = np.random.default_rng(seed)
    weight = random(rng, out, width)
    close(structured.dense(weight), weight, rng, n, np.abs(weight))


@few
@given(seeds, sizes, sizes, st.integers(1, 20), samples)
def test_low_rank(seed, out, width, rank, n) -> None:
    rng = np.random.default_rng(seed)
    left, right = random(rng, out, rank), random(rng, rank, width)
    absolute = np.abs(left) @ np.abs(right) * (1 + rank / width)
    close(structured.low_rank(left, right), left.astype(float) @ right, rng, n, absolute)


@few
@given(seeds, small, small, small, small, st.integers(1, 3))
def test_kronecker(seed, out_b, in_b, out_c, in_c, n) -> None:
    rng = np.random.default_rng(seed)
    b, c = random(rng, out_b, in_b), random(rng, out_c, in_c)
    matrix = np.kron(b.astype(float), c)
    close(structured.kronecker(b, c), matrix, rng, n, np.abs(matrix))


@few
@given(seeds, st.integers(1, 40), st.integers(1, 40), st.integers(1, 5), st.integers(1, 30), samples)
def test_hmd(seed, full, lower, blocks, part, n) -> None:
    rng = np.random.default_rng(seed)
    upper, left = random(rng, full, blocks * part), random(rng, blocks, lower)
    right = random(rng, blocks * part)
    below = np.concatenate(
        [np.outer(c, d) for c, d in zip(left, right.reshape(blocks, part), strict=True)], axis=1
    )
    matrix = np.concatenate([upper, below]).astype(float)
    close(structured.hmd(upper, left, right), matrix, rng, n, np.abs(matrix) * 2)


@few
@given(seeds, st.integers(0, 11), st.integers(1, 3))
def test_hadamard(seed, power, n) -> None:
    size = 2**power
    both = np.arange(size)[:, None] & np.arange(size)
    signs = np.array([(-1) ** int(v).bit_count() for v in range(size)])
    matrix = signs[both] * 0.5
    close(structured.hadamard(size, 0.5), matrix, np.random.default_rng(seed), n, np.abs(matrix))


def test_a_normalised_transform_is_its_own_inverse() -> None:
    x = random(np.random.default_rng(0), 512)
    transform = structured.hadamard(512, 512**-0.5)
    np.testing.assert_allclose(transform(transform(x)), x, atol=1e-5)


def test_arrays_with_gaps_and_misaligned_ones_are_taken() -> None:
    kernel = structured.dense(np.eye(20, dtype=np.float32))
    wide = np.arange(80, dtype=np.float32).reshape(2, 40)
    np.testing.assert_array_equal(kernel(wide[:, ::2]), wide[:, ::2])
    shifted = np.zeros(81, np.uint8)[1:].view(np.float32)
    shifted[:] = np.arange(20)
    np.testing.assert_array_equal(kernel(shifted), np.arange(20))


def test_no_samples_give_no_results() -> None:
    assert structured.dense(np.ones((3, 2)))(np.empty((0, 2), np.float32)).shape == (0, 3)


@pytest.mark.parametrize(
    ("x", "out", "message"),
    [
        (np.ones(3, np.float32), None, r"float32 \[3\], but float32 \[n, 2\] is needed"),
        (np.ones(2), None, r"float64 \[2\]"),
        (np.ones((1, 1, 2), np.float32), None, r"float32 \[1, 1, 2\]"),
        (np.ones(2, np.float32), np.ones(4, np.float32), r"out of float32 \[4\]"),
        (np.ones(2, np.float32), np.ones(6, np.float32)[::2], r"out of float32 \[3\], .* contiguous"),
    ],
)
def test_other_arrays_are_one_clear_error(x, out, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        structured.dense(np.ones((3, 2)))(x, out)


def test_a_result_over_its_input_is_refused() -> None:
    x = np.ones(4, np.float32)
    with pytest.raises(BadInput, match="apart from x"):
        structured.hadamard(4)(x, x)


@pytest.mark.parametrize("size", [0, 3, -4])
def test_only_powers_of_two_are_transformed(size: int) -> None:
    with pytest.raises(BadInput, match="a power of two"):
        structured.hadamard(size)


def test_factors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(BadInput, match="one rank"):
        structured.low_rank(np.ones((2, 3)), np.ones((2, 3)))
    with pytest.raises(BadInput, match="3 equal parts"):
        structured.hmd(np.ones((2, 4)), np.ones((3, 2)), np.ones(4))
    with pytest.raises(BadInput, match="a matrix"):
        structured.kronecker(np.ones(4), np.ones((2, 2)))
