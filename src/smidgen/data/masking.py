"""Speech out of noise by a mask on the noisy signal's spectrum, and how much better the result is.

A signal is cut into T overlapping frames of WINDOW samples, HOP apart, beginning before its first sample so
that each sample lies in as many; Hann's window before the transform and after it. A mask has T * BINS
entries, frame after frame.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.data.features.framing import Signals, frames, hann
from smidgen.errors import BadInput

WINDOW, HOP = 512, 128
BINS = WINDOW // 2 + 1
MARGIN = WINDOW - HOP
OVERLAP = 1.5  # the sum of the squares of Hann's window over the frames that hold a sample
_LEAST = 1e-10  # of an energy, relative: a perfect result is 100 dB

Spectra = npt.NDArray[np.complex64]  # [n, T, BINS]
Floats = npt.NDArray[np.float32]
Decibels = npt.NDArray[np.float64]  # [n]


def samples_of(count: int) -> int:
    """Samples of a signal that gives `count` frames."""
    return WINDOW + HOP * (count - 1) - 2 * MARGIN


def spectra(signals: Signals) -> Spectra:
    """[n, samples] -> [n, T, BINS]."""
    padded = np.pad(signals, ((0, 0), (MARGIN, MARGIN)))
    return np.fft.rfft(frames(padded, WINDOW, HOP) * hann(WINDOW), axis=-1).astype(np.complex64)


def rebuilt(found: Spectra) -> Signals:
    """[n, T, BINS] -> [n, samples], the inverse of `spectra`: overlapping frames are added."""
    pieces = np.fft.irfft(found, WINDOW, axis=-1) * (hann(WINDOW) / OVERLAP)
    signals = np.zeros((len(found), samples_of(found.shape[1]) + 2 * MARGIN), np.float32)
    for t in range(found.shape[1]):
        signals[:, t * HOP : t * HOP + WINDOW] += pieces[:, t]
    return signals[:, MARGIN:-MARGIN]


def sdr(clean: Signals, found: Signals) -> Decibels:
    """10 log10 of |s|^2 / |s - y|^2 for each of n signals [n, samples]."""
    s, y = clean.astype(np.float64), found.astype(np.float64)
    return _decibels((s**2).sum(axis=1), ((s - y) ** 2).sum(axis=1))


def si_sdr(clean: Signals, found: Signals) -> Decibels:
    """SDR of y to the multiple of s that is nearest to it: the loudness of y does not count.

    Ref: Le Roux et al. 2019 (arXiv 1811.02508), eq. 5.
    """
    s, y = clean.astype(np.float64), found.astype(np.float64)
    energy = (s**2).sum(axis=1, keepdims=True)
    scaled = s * (s * y).sum(axis=1, keepdims=True) / np.where(energy > 0, energy, 1)
    return _decibels((scaled**2).sum(axis=1), ((scaled - y) ** 2).sum(axis=1))


def _decibels(signal: Decibels, error: Decibels) -> Decibels:
    floor = _LEAST * np.maximum(signal, _LEAST)
    return np.asarray(10 * np.log10(np.maximum(signal, floor) / np.maximum(error, floor)))


def targets_of(clean: Signals, noisy: Signals) -> Floats:
    """What a mask is judged by, [n, k]: the ideal mask (+1 speech, -1 noise), the noisy spectrum's real and
    imaginary parts, the clean signal.

    The ideal mask says whether speech is stronger than noise: Wang 2005 (ideal binary mask).
    """
    speech, mixture = spectra(clean), spectra(noisy)
    ideal = np.where(np.abs(speech) > np.abs(mixture - speech), np.float32(1), np.float32(-1))
    flat = [part.reshape(len(clean), -1) for part in (ideal, mixture.real, mixture.imag, clean)]
    return np.concatenate(flat, axis=1).astype(np.float32)


def masked(outputs: Floats, targets: Floats) -> tuple[Signals, Signals, Signals]:
    """(clean, what the masks [n, T * BINS] in -1..1 let through, noisy), signals [n, samples].

    -1 lets nothing through, +1 all. Raises BadInput unless `targets` are those of as many frames.
    """
    size = outputs.shape[1]
    count = size // BINS
    if size % BINS or not count or targets.shape[1] != 3 * size + samples_of(count):
        found = f"{size} outputs and {targets.shape[1]} targets"
        raise BadInput("sdr_gain", found, "it judges masks by what data.masking.targets_of gives")
    real, imaginary = (targets[:, i * size : (i + 1) * size] for i in (1, 2))
    noisy = (real + 1j * imaginary).astype(np.complex64).reshape(-1, count, BINS)
    passed = (np.clip(outputs, -1, 1).reshape(noisy.shape) + 1) / 2
    return targets[:, 3 * size :], rebuilt((passed * noisy).astype(np.complex64)), rebuilt(noisy)


def sdr_gains(outputs: Floats, targets: Floats) -> Decibels:
    """By how much the masked signal's SDR is above the noisy one's, dB, for each of n rows (see `masked`)."""
    clean, found, noisy = masked(outputs, targets)
    return np.asarray(sdr(clean, found) - sdr(clean, noisy))
