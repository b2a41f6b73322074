"""The Lloyd-Max quantizer: its two conditions, a known optimum, and indices as signs."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from smidgen.data.features.lloyd_max import LloydMax

VALUES = np.random.default_rng(0).exponential(size=(4_000, 3)).astype(np.float32) * np.array(
    [1, 5, 0.1], "f4"
)


def test_levels_are_the_means_of_what_is_nearest_to_them() -> None:
    quantizer = LloydMax.fit(VALUES, 3)
    found = quantizer(VALUES)
    for column, levels, places in zip(VALUES.T, quantizer.levels, found.T, strict=True):
        assert len(levels) == 8
        distance = np.abs(column[:, None].astype(np.float64) - levels)
        np.testing.assert_allclose(distance[np.arange(len(column)), places], distance.min(axis=1))
        means = [column[places == i].mean(dtype=np.float64) for i in range(8)]
        np.testing.assert_allclose(levels, means, rtol=0.02)


def test_the_levels_of_even_values_are_even() -> None:
    even = np.linspace(0, 1, 10_001, dtype=np.float32)[:, None]
    (levels,) = LloydMax.fit(even, 2).levels
    np.testing.assert_allclose(levels, [1 / 8, 3 / 8, 5 / 8, 7 / 8], atol=1e-3)


def test_the_error_is_below_that_of_even_levels() -> None:
    quantizer = LloydMax.fit(VALUES, 4)
    for i, levels in enumerate(quantizer.levels):
        column = VALUES[:, i].astype(np.float64)
        even = (np.arange(16) + 0.5) / 16 * column.max()
        errors = [np.abs(column[:, None] - given).min(axis=1) for given in (levels, even)]
        assert (errors[0] ** 2).mean() < 0.8 * (errors[1] ** 2).mean()


@given(st.integers(1, 8), st.integers(0, 99))
def test_signs_are_the_bits_of_the_indices(bits: int, seed: int) -> None:
    values = np.random.default_rng(seed).normal(size=(5, 7, 2)).astype(np.float32)
    quantizer = LloydMax.fit(values.reshape(-1, 2), bits)
    signs, indices = quantizer.signs(values), quantizer(values)
    assert signs.shape == (5, 7, 2 * bits)
    assert signs.dtype == np.float32
    weights = 1 << np.arange(bits)[::-1]
    np.testing.assert_array_equal(((signs.reshape(5, 7, 2, bits) > 0) * weights).sum(axis=-1), indices)
    assert set(np.unique(signs)) <= {-1.0, 1.0}
