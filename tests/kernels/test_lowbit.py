"""Weights of 2 and 4 bits against float64 and exact integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels import lowbit

few = settings(max_examples=60)
seeds = st.integers(0, 2**32 - 1)
groups = st.sampled_from([16, 32, 48, 128])


def spread(per_group: np.ndarray, group: int, width: int) -> np.ndarray:
    """[out, groups] for every input."""
    return np.repeat(per_group, group, axis=1)[:, :width]


@few
@given(seeds, st.sampled_from([2, 4]), st.integers(1, 130), st.integers(1, 300), groups, st.integers(1, 9))
def test_a_float_product_stays_within_its_tolerance(seed, bits, out, width, group, samples) -> None:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 2**bits, (out, width))
    scales = rng.uniform(0.1, 2, (out, -(-width // group))).astype(np.float32)
    levels = rng.normal(size=2**bits).astype(np.float32)
    x = rng.normal(size=(samples, width)).astype(np.float32)
    weights = levels[codes].astype(np.float64) * spread(scales, group, width)
    error = np.abs(lowbit.weight_only(codes, scales, levels, group)(x) - x @ weights.T)
    assert (error <= width * 2.0**-23 * (np.abs(x) @ np.abs(weights).T)).all()


@few
@given(seeds, st.sampled_from([2, 4]), st.integers(1, 130), st.integers(1, 300), groups, st.integers(1, 9))
def test_an_integer_product_is_exact(seed, bits, out, width, group, samples) -> None:
    rng = np.random.default_rng(seed)
    zero = int(rng.integers(0, 2**bits))
    codes = rng.integers(0, 2**bits, (out, width))
    multipliers = rng.integers(0, 256, (out, -(-width // group)))
    x = rng.integers(-128, 128, (samples, width), dtype=np.int8)
    expected = x.astype(np.int64) @ ((codes - zero) * spread(multipliers, group, width)).T
    np.testing.assert_array_equal(lowbit.integer(codes, multipliers, zero, bits, group)(x), expected)


def test_the_largest_integers_are_exact() -> None:
    codes, x = np.full((17, 4096), 15), np.full((1, 4096), -128, np.int8)
    product = lowbit.integer(codes, np.full((17, 32), 100), 0, 4, 128)
    assert (product(x) == -128 * 15 * 100 * 4096).all()


def test_a_sum_that_could_leave_32_bits_is_refused() -> None:
    with pytest.raises(BadInput, match="could leave 32 bits"):
        lowbit.integer(np.full((1, 8192), 15), np.full((1, 64), 255), 0, 4, 128)


CODES, SCALES, LEVELS = np.zeros((3, 20), int), np.ones((3, 2)), np.arange(4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((CODES, SCALES, LEVELS, 15), "groups of 15 inputs, but a multiple of 16"),
        ((CODES, np.ones((3, 1)), LEVELS, 16), r"scales \[3, 1\], but one a group is needed: \[3, 2\]"),
        ((CODES + 4, SCALES, LEVELS, 16), "codes from 4 to 4, but 2 bits hold 0 to 3"),
        ((CODES, SCALES, np.arange(5), 16), "5 levels, but 4 or 16"),
        ((CODES * 0.5, SCALES, LEVELS, 16), "codes float64"),
    ],
)
def test_bad_weights_are_one_clear_error(arguments, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        lowbit.weight_only(*arguments)
