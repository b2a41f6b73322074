"""A signal cut into overlapping frames, and the power spectrum of each."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput

Signals = npt.NDArray[np.float32]  # [n, samples], amplitudes in [-1, 1]
Spectra = npt.NDArray[np.float32]  # [n, frames, ...]


def frame_count(samples: int, window: int, hop: int) -> int:
    """Frames that lie wholly inside: 1 + floor((samples - window) / hop), 0 for a signal below one window."""
    return max((samples - window) // hop + 1, 0)


def frames(signals: Signals, window: int, hop: int) -> Spectra:
    """Frames [n, T, window] of signals [n, samples], a view without copies; nothing is padded.

    Frame t holds the samples t * hop to t * hop + window - 1. `window` and `hop` are in samples, at least 1.

    Raises:
        BadInput: a signal is shorter than one window.
    """
    if signals.shape[-1] < window:
        found, expected = f"signals of {signals.shape[-1]} samples", f"a window takes {window}"
        raise BadInput("features", found, expected, "Pad the signals or shorten the window")
    windows: Spectra = np.lib.stride_tricks.sliding_window_view(signals, window, axis=-1)[:, ::hop]
    return windows


def hann(window: int) -> npt.NDArray[np.float32]:
    """Periodic Hann window [window]: 1/2 - 1/2 cos(2 pi i / window). Ref: Harris 1978, eq. 27a."""
    angle = 2 * np.pi * np.arange(window) / window
    return (0.5 - 0.5 * np.cos(angle)).astype(np.float32)


def fft_size(window: int) -> int:
    """The smallest power of two that holds a window; the rest is zeros."""
    return 1 << (window - 1).bit_length()


def power_spectra(signals: Signals, window: int, hop: int) -> Spectra:
    """|DFT of each Hann-windowed frame|^2, [n, T, fft_size / 2 + 1]; bin k is k * rate / fft_size hertz."""
    spectrum = np.fft.rfft(frames(signals, window, hop) * hann(window), fft_size(window), axis=-1)
    power: Spectra = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
    return power
