"""Masks on spectra: an invertible transform, ratios in decibels against their definitions, the ideal mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smidgen.data import masking
from smidgen.data.masking import BINS, HOP, MARGIN, WINDOW, rebuilt, samples_of, sdr, si_sdr, spectra
from smidgen.data.metrics import METRICS
from smidgen.errors import BadInput

FRAMES = 5
SAMPLES = samples_of(FRAMES)


def noise(seed: int, n: int = 3) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, SAMPLES)).astype(np.float32)


@given(st.integers(0, 999), st.integers(4, 9))
def test_a_signal_is_rebuilt_from_its_spectrum(seed: int, count: int) -> None:
    signals = np.random.default_rng(seed).normal(size=(2, samples_of(count))).astype(np.float32)
    found = spectra(signals)
    assert found.shape == (2, count, BINS)
    np.testing.assert_allclose(rebuilt(found), signals, atol=1e-5)


def test_the_spectrum_is_torch_s() -> None:
    padded = torch.from_numpy(np.pad(noise(0), ((0, 0), (MARGIN, MARGIN))))
    window = torch.hann_window(WINDOW)
    theirs = torch.stft(padded, WINDOW, HOP, window=window, center=False, return_complex=True)
    np.testing.assert_allclose(spectra(noise(0)), theirs.transpose(1, 2).numpy(), atol=1e-4)


def test_overlapping_frames_are_added_as_a_loop_adds_them() -> None:
    found = spectra(noise(1)) * np.random.default_rng(2).uniform(size=(3, FRAMES, BINS)).astype(np.float32)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(WINDOW) / WINDOW)
    made = np.zeros((3, SAMPLES + 2 * MARGIN))
    squares = np.zeros(SAMPLES + 2 * MARGIN)
    for t in range(FRAMES):
        made[:, t * HOP : t * HOP + WINDOW] += np.fft.irfft(found[:, t]) * window
        squares[t * HOP : t * HOP + WINDOW] += window**2
    inside = slice(MARGIN, -MARGIN)
    np.testing.assert_allclose(rebuilt(found), made[:, inside] / squares[inside], atol=1e-5)


def test_ratios_are_those_of_known_errors() -> None:
    clean = noise(3)
    across = noise(4)
    across -= clean * ((across * clean).sum(1) / (clean**2).sum(1))[:, None]
    across *= np.linalg.norm(clean, axis=1, keepdims=True) / np.linalg.norm(across, axis=1, keepdims=True)
    for level, decibels in ((1.0, 0.0), (0.1, 20.0), (10.0, -20.0)):
        np.testing.assert_allclose(sdr(clean, clean + level * across), decibels, atol=1e-3)
        np.testing.assert_allclose(si_sdr(clean, clean + level * across), decibels, atol=1e-3)
    np.testing.assert_allclose(sdr(clean, 0 * clean), 0, atol=1e-6)
    np.testing.assert_allclose(sdr(clean, clean), 100, atol=1e-6)


@given(st.floats(0.1, 10), st.integers(0, 99))
def test_loudness_does_not_count_in_the_scale_invariant_ratio(gain: float, seed: int) -> None:
    clean, found = noise(seed), noise(seed) + noise(seed + 1)
    louder = (gain * found).astype(np.float32)
    np.testing.assert_allclose(si_sdr(clean, louder), si_sdr(clean, found), atol=1e-4)


def test_silence_has_a_ratio() -> None:
    assert np.isfinite(sdr(0 * noise(0), noise(1))).all()
    assert np.isfinite(si_sdr(0 * noise(0), noise(1))).all()


def test_the_ideal_mask_says_where_speech_is_stronger() -> None:
    clean, other = noise(5), noise(6)
    targets = masking.targets_of(clean, clean + other)
    ideal = targets[:, : FRAMES * BINS].reshape(3, FRAMES, BINS)
    stronger = np.abs(spectra(clean)) > np.abs(spectra(other))
    assert (ideal == np.where(stronger, 1, -1)).mean() > 0.9999  # sums of float32 differ in a last bit


def test_gains_are_those_of_masked_signals() -> None:
    clean, noisy = noise(7), noise(7) + noise(8)
    targets = masking.targets_of(clean, noisy)
    metric, size = METRICS["sdr_gain"], FRAMES * BINS
    everything = np.ones((3, size), np.float32)
    assert metric.score(everything, targets) == pytest.approx(0, abs=1e-4)
    mask = np.random.default_rng(9).uniform(-1.5, 1.5, (3, size)).astype(np.float32)
    passed = (np.clip(mask, -1, 1) + 1).reshape(3, FRAMES, BINS) / 2
    expected = sdr(clean, rebuilt(passed * spectra(noisy))) - sdr(clean, noisy)
    np.testing.assert_allclose(metric.rows(mask, targets), expected, atol=1e-3)
    assert metric.score(mask, targets) == pytest.approx(expected.mean(), abs=1e-3)
    assert metric.score(targets[:, :size], targets) > 2


@pytest.mark.parametrize(("outputs", "targets"), [(257, 900), (256, 899), (0, 10)])
def test_targets_of_another_kind_are_refused(outputs: int, targets: int) -> None:
    with pytest.raises(BadInput, match=f"{outputs} outputs and {targets} targets"):
        masking.sdr_gains(np.zeros((2, outputs), np.float32), np.zeros((2, targets), np.float32))
