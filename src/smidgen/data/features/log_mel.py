"""Log-mel spectrogram: how much energy a signal has in each band of hearing, frame by frame."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smidgen.data.features.framing import Signals, Spectra, fft_size, frame_count, power_spectra
from smidgen.data.features.mel import mel_filters
from smidgen.errors import BadInput

FLOOR = 1e-6  # far below speech, whose bands lie around 1: digital silence becomes log(1e-6) and not -inf
_SIGNALS_AT_ONCE = 256


@dataclass(frozen=True)
class LogMel:
    """log(max(power spectrum · mel filters, 1e-6)), natural logarithm.

    Attributes:
        sample_rate: samples a second.
        window, hop: length of a frame and distance of their starts, in samples.
        bands: number of mel filters.
        fmin, fmax: where the first filter begins and the last ends, Hz; at most half the sample rate.

    Raises:
        BadInput: settings that make no sense.

    Ref: Davis, Mermelstein 1980, IEEE Trans. ASSP 28(4).
    """

    sample_rate: int
    window: int
    hop: int
    bands: int
    fmin: float
    fmax: float

    def __post_init__(self) -> None:
        if min(self.sample_rate, self.window, self.hop, self.bands) < 1:
            raise BadInput("features", str(self), "rate, window, hop and bands must be at least 1")
        if not 0 <= self.fmin < self.fmax <= self.sample_rate / 2:
            found = f"{self.fmin:g} to {self.fmax:g} Hz"
            raise BadInput("features", found, f"0 <= fmin < fmax <= {self.sample_rate / 2:g} is needed")

    def __call__(self, signals: Signals) -> Spectra:
        """Features [n, T, bands] float32 of signals [n, samples] in [-1, 1]. Raises BadInput if too short."""
        count = frame_count(signals.shape[1], self.window, self.hop)
        features = np.empty((len(signals), count, self.bands), np.float32)
        filters = mel_filters(self.sample_rate, fft_size(self.window), self.bands, self.fmin, self.fmax)
        for start in range(0, max(len(signals), 1), _SIGNALS_AT_ONCE):  # spectra are large
            block = slice(start, start + _SIGNALS_AT_ONCE)
            power = power_spectra(signals[block], self.window, self.hop)
            energy = power.reshape(-1, power.shape[-1]) @ filters.T  # one product, not one for each signal
            features[block] = np.log(np.maximum(energy, FLOOR)).reshape(features[block].shape)
        return features

    def __str__(self) -> str:
        length, step = (f"{1000 * n / self.sample_rate:g} ms" for n in (self.window, self.hop))
        return f"{self.bands} log-mel bands, {self.fmin:g}–{self.fmax:g} Hz, of {length} every {step}"
