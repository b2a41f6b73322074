"""Framing, spectra and mel bands against brute force and SciPy."""

import math

import numpy as np
import pytest
import scipy.signal
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.data.features import LogMel
from smidgen.data.features.framing import fft_size, frame_count, frames, hann, power_spectra
from smidgen.data.features.mel import mel_filters, to_hertz, to_mel
from smidgen.errors import BadInput

SPEECH = LogMel(16_000, window=640, hop=320, bands=40, fmin=20, fmax=4000)


def noise(n: int, samples: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-1, 1, (n, samples)).astype(np.float32)


def filter_by_hand(band: int, bin_hz: float, bands: int, fmin: float, fmax: float) -> float:
    """Height at `bin_hz` of one triangle, from its three corners alone."""
    low_mel, high_mel = 1127 * math.log1p(fmin / 700), 1127 * math.log1p(fmax / 700)
    corners = [low_mel + (band + i) * (high_mel - low_mel) / (bands + 1) for i in range(3)]
    left, top, right = (700 * math.expm1(mel / 1127) for mel in corners)
    if left < bin_hz <= top:
        return (bin_hz - left) / (top - left)
    return (right - bin_hz) / (right - top) if top < bin_hz < right else 0.0


@given(samples=st.integers(1, 300), window=st.integers(1, 64), hop=st.integers(1, 64), n=st.integers(0, 3))
def test_frames_are_the_slices_that_lie_wholly_inside(samples: int, window: int, hop: int, n: int) -> None:
    signals = noise(n, samples)
    starts = [start for start in range(0, samples, hop) if start + window <= samples]
    assert frame_count(samples, window, hop) == len(starts)
    if not starts:
        with pytest.raises(BadInput, match="Pad the signals"):
            frames(signals, window, hop)
        return
    expected = [[signal[start : start + window] for start in starts] for signal in signals]
    np.testing.assert_array_equal(
        frames(signals, window, hop), np.asarray(expected, np.float32).reshape(n, len(starts), window)
    )


def test_one_second_at_16_khz_gives_49_frames() -> None:
    assert SPEECH(noise(1, 16_000)).shape == (1, 49, 40)


def test_the_window_is_scipys_periodic_hann() -> None:
    np.testing.assert_allclose(hann(640), scipy.signal.get_window("hann", 640), atol=1e-7)


@given(window=st.integers(2, 40), seed=st.integers(0, 99))
@settings(max_examples=30)
def test_power_spectra_are_the_squared_transform_of_the_windowed_frame(window: int, seed: int) -> None:
    signals, size = noise(2, window + 7, seed), fft_size(window)
    padded = np.zeros(size)
    padded[:window] = signals[1, 3 : 3 + window] * hann(window)
    angles = 2 * np.pi * np.outer(np.arange(size // 2 + 1), np.arange(size)) / size
    expected = (np.cos(angles) @ padded) ** 2 + (np.sin(angles) @ padded) ** 2
    np.testing.assert_allclose(power_spectra(signals, window, 3)[1, 1], expected, rtol=1e-4, atol=1e-5)


@given(window=st.integers(1, 5000))
def test_the_transform_is_the_smallest_power_of_two_that_holds_a_window(window: int) -> None:
    assert fft_size(window) / 2 < window <= fft_size(window)
    assert fft_size(window).bit_count() == 1


def test_the_mel_scale_has_its_fixed_point_at_a_kilohertz_and_goes_back() -> None:
    assert to_mel(1000) == pytest.approx(1000, abs=0.02)
    hertz = np.linspace(0, 8000, 50)
    np.testing.assert_allclose(to_hertz(to_mel(hertz)), hertz, atol=1e-9)


@pytest.mark.parametrize(("bands", "fmin", "fmax"), [(40, 20, 4000), (10, 0, 8000), (1, 300, 3000)])
def test_filters_are_triangles_between_mel_spaced_corners(bands: int, fmin: float, fmax: float) -> None:
    filters = mel_filters(16_000, 1024, bands, fmin, fmax)
    hertz = np.arange(513) * 16_000 / 1024
    expected = [[filter_by_hand(b, f, bands, fmin, fmax) for f in hertz] for b in range(bands)]
    np.testing.assert_allclose(filters, expected, atol=2e-3)  # 1127 and 700 are rounded constants


def test_a_filter_that_sees_no_bin_is_refused() -> None:
    with pytest.raises(BadInput, match="mel band 0 of 128 holds no bin"):
        mel_filters(16_000, 256, 128, 0, 8000)


def test_log_mel_is_the_logarithm_of_filtered_scipy_spectra() -> None:
    signals = noise(3, 2000)
    small = LogMel(8_000, window=256, hop=100, bands=20, fmin=50, fmax=3500)
    window = scipy.signal.get_window("hann", 256)
    _, _, complex_spectra = scipy.signal.stft(
        signals.astype(np.float64), 8_000, window, 256, 156, boundary=None, padded=False, scaling="spectrum"
    )
    power = np.abs(complex_spectra.transpose(0, 2, 1) * window.sum()) ** 2
    expected = np.log(power @ mel_filters(8_000, 256, 20, 50, 3500).T)
    found = small(signals)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_digital_silence_has_the_floor_everywhere() -> None:
    np.testing.assert_allclose(SPEECH(np.zeros((2, 16_000), np.float32)), math.log(1e-6), rtol=1e-6)


def test_a_tone_is_loudest_in_the_band_around_it() -> None:
    time = np.arange(16_000) / 16_000
    tone = np.sin(2 * np.pi * 1000 * time).astype(np.float32)[None]
    loudest = SPEECH(tone).mean(axis=1).argmax()
    centres = to_hertz(np.linspace(to_mel(20), to_mel(4000), 42))[1:-1]
    assert loudest == np.abs(centres - 1000).argmin()


@given(n=st.integers(0, 5), samples=st.integers(64, 400), bands=st.integers(1, 8))
@settings(max_examples=30)
def test_every_signal_is_treated_alone(n: int, samples: int, bands: int) -> None:
    features = LogMel(8_000, 64, 32, bands, 0, 4000)
    signals = noise(n, samples)
    found = features(signals)
    assert found.shape == (n, frame_count(samples, 64, 32), bands)
    for row in range(n):
        np.testing.assert_allclose(found[row], features(signals[row : row + 1])[0], rtol=1e-4, atol=1e-4)


def test_more_signals_than_a_block_are_all_computed() -> None:
    features = LogMel(8_000, 64, 64, 4, 0, 4000)
    signals = noise(300, 64)
    np.testing.assert_allclose(features(signals)[299], features(signals[299:])[0], rtol=1e-4)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"hop": 0}, "at least 1"),
        ({"fmin": 4000}, "0 <= fmin < fmax <= 8000"),
        ({"fmax": 9000}, "0 <= fmin < fmax <= 8000"),
    ],
)
def test_settings_that_make_no_sense_are_refused(change: dict[str, int], said: str) -> None:
    with pytest.raises(BadInput, match=said):
        LogMel(**{**vars(SPEECH), **change})


def test_settings_are_described_in_milliseconds() -> None:
    assert str(SPEECH) == "40 log-mel bands, 20–4000 Hz, of 40 ms every 20 ms"
