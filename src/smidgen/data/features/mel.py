"""The mel scale and its bank of triangular filters."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput

Floats = npt.NDArray[np.float64]


def to_mel(hertz: npt.ArrayLike) -> Floats:
    """2595 log10(1 + f / 700). Ref: O'Shaughnessy 1987, Speech Communication: Human and Machine."""
    return 2595 * np.log10(1 + np.asarray(hertz, np.float64) / 700)


def to_hertz(mel: npt.ArrayLike) -> Floats:
    """Inverse of `to_mel`."""
    hertz: Floats = 700 * (10 ** (np.asarray(mel, np.float64) / 2595) - 1)
    return hertz


def mel_filters(
    sample_rate: int, fft_size: int, bands: int, fmin: float, fmax: float
) -> npt.NDArray[np.float32]:
    """Triangles of height 1 [bands, fft_size / 2 + 1], evenly spaced in mel from `fmin` to `fmax` Hz.

    Filter b rises from edge b to edge b + 1 and falls to edge b + 2, linearly in hertz.
    Ref: Davis, Mermelstein 1980, IEEE Trans. ASSP 28(4), fig. 1; on this scale as in HTK.

    Raises:
        BadInput: a filter between two bins of the spectrum would see nothing.
    """
    edges = to_hertz(np.linspace(to_mel(fmin), to_mel(fmax), bands + 2))
    bins = np.arange(fft_size // 2 + 1) * sample_rate / fft_size
    low, centre, high = edges[:-2, None], edges[1:-1, None], edges[2:, None]
    rising, falling = (bins - low) / (centre - low), (high - bins) / (high - centre)
    filters = np.maximum(np.minimum(rising, falling), 0).astype(np.float32)
    if not filters.any(axis=1).all():
        found = f"mel band {int(np.argmin(filters.any(axis=1)))} of {bands} holds no bin of the spectrum"
        raise BadInput("features", found, "", "Take fewer bands or a longer window")
    return filters
