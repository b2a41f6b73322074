"""The nearest codes against sorting all distances."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels.hamming import HammingSearch


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 300),
    st.sampled_from([1, 8, 9, 24, 32, 40]),
    st.integers(1, 12),
    st.integers(0, 9),
    st.sampled_from([2, 256]),
)
def test_the_nearest_codes_come_in_order(seed, count, width, nearest, queries, variety) -> None:
    rng = np.random.default_rng(seed)
    nearest = min(nearest, count)
    codes = rng.integers(0, variety, (count, width), dtype=np.uint8)
    x = rng.integers(0, variety, (queries, width), dtype=np.uint8)
    distances, indices = HammingSearch(codes, nearest)(x)
    all_distances = np.bitwise_count(codes[None] ^ x[:, None]).sum(axis=2, dtype=np.int64)
    order = np.argsort(all_distances, axis=1, kind="stable")[:, :nearest]
    np.testing.assert_array_equal(indices, order)
    np.testing.assert_array_equal(distances, np.take_along_axis(all_distances, order, 1))


def test_more_codes_than_a_cache_holds_are_searched_exactly() -> None:
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (9001, 32), dtype=np.uint8)
    distances, indices = HammingSearch(codes, 3)(codes[-5:])
    np.testing.assert_array_equal(indices[:, 0], np.arange(8996, 9001))
    assert (distances[:, 0] == 0).all()


@pytest.mark.parametrize("nearest", [0, 4])
def test_more_neighbours_than_codes_are_refused(nearest: int) -> None:
    with pytest.raises(BadInput, match=f"{nearest} nearest of 3 codes"):
        HammingSearch(np.zeros((3, 8), np.uint8), nearest)


def test_other_arrays_are_one_clear_error() -> None:
    with pytest.raises(BadInput, match=r"codes float64 \[3, 8\]"):
        HammingSearch(np.zeros((3, 8)), 1)
    with pytest.raises(BadInput, match=r"queries uint8 \[1, 9\], but uint8 \[n, 8\]"):
        HammingSearch(np.zeros((3, 8), np.uint8), 1)(np.zeros((1, 9), np.uint8))
