"""Mel-frequency cepstral coefficients: the coarse shape of a log-mel spectrum in a few numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.data.features.framing import Signals, Spectra
from smidgen.data.features.log_mel import LogMel
from smidgen.errors import BadInput


def dct_matrix(coefficients: int, bands: int) -> npt.NDArray[np.float32]:
    """The first rows [coefficients, bands] of the orthonormal DCT-II.

    D[k, b] = sqrt(2 / bands) cos(pi k (2b + 1) / (2 bands)), row 0 divided by sqrt(2).
    Ref: Ahmed, Natarajan, Rao 1974, IEEE Trans. Computers C-23, eq. 1.
    """
    k, b = np.arange(coefficients)[:, None], np.arange(bands)
    matrix: npt.NDArray[np.float64] = np.sqrt(2 / bands) * np.cos(np.pi * k * (2 * b + 1) / (2 * bands))
    matrix[0] /= np.sqrt(2)
    return matrix.astype(np.float32)


@dataclass(frozen=True)
class Mfcc:
    """The first `coefficients` of the DCT-II of `log_mel`, without liftering.

    Raises:
        BadInput: fewer than one coefficient or more than bands.

    Ref: Davis, Mermelstein 1980, IEEE Trans. ASSP 28(4), eq. 1.
    """

    log_mel: LogMel
    coefficients: int

    def __post_init__(self) -> None:
        if not 1 <= self.coefficients <= self.log_mel.bands:
            found = f"{self.coefficients} coefficients"
            raise BadInput("features", found, f"1 to {self.log_mel.bands} can be had from as many bands")

    def __call__(self, signals: Signals) -> Spectra:
        """Features [n, T, coefficients] float32 of signals [n, samples] in [-1, 1]."""
        features: Spectra = self.log_mel(signals) @ dct_matrix(self.coefficients, self.log_mel.bands).T
        return features

    def __str__(self) -> str:
        return f"{self.coefficients} MFCCs of {self.log_mel}"
