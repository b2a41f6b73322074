"""Signal to noise, against NumPy on all samples at once."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.probe.signal import Signal, decibels


def tensors(seed: int, n: int = 40, noise: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    a = rng.normal(size=(n, 3, 4))
    return a, a + noise * rng.normal(size=a.shape)


def collected(a: np.ndarray, b: np.ndarray, size: int) -> Signal:
    signal = Signal()
    for start in range(0, len(a), size):
        signal.update(a[start : start + size], b[start : start + size])
    return signal


@settings(max_examples=25)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 50))
def test_batches_of_any_size_give_the_ratio_of_all_samples(seed: int, size: int) -> None:
    a, b = tensors(seed)
    expected = 10 * np.log10((a**2).sum() / ((b - a) ** 2).sum())
    assert math.isclose(collected(a, b, size).sqnr_db, expected, rel_tol=1e-9)


def test_equal_tensors_have_no_noise_and_silence_no_ratio() -> None:
    a, _ = tensors(0)
    assert collected(a, a, 8).sqnr_db == math.inf
    assert math.isnan(collected(0 * a, 0 * a, 8).sqnr_db)
    assert decibels(0.0, 1.0) == -math.inf


def test_the_worst_channel_is_where_the_noise_is() -> None:
    a, b = tensors(1)
    b[..., 2] += 3
    assert collected(a, b, 8).worst_channel == 2


def test_scaled_channels_are_noticed_and_undone() -> None:
    a, b = tensors(2, noise=0.001)
    gains = np.array([0.25, 1.0, 4.0, 2.0])
    scaled = collected(a, b * gains, 16)
    assert scaled.rescaled
    np.testing.assert_allclose(scaled.gains, gains, rtol=1e-3)
    assert scaled.sqnr_db < 5 < 55 < scaled.unscaled_db


def test_rounding_is_not_taken_for_scaling() -> None:
    a, _ = tensors(3)
    assert not collected(a, np.round(a * 2) / 2, 16).rescaled
