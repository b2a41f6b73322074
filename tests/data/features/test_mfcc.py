"""Cepstral coefficients against SciPy's cosine transform."""

import numpy as np
import pytest
import scipy.fft
from hypothesis import given
from hypothesis import strategies as st

from smidgen.data.features import LogMel, Mfcc
from smidgen.data.features.mfcc import dct_matrix
from smidgen.errors import BadInput

BANDS = LogMel(8_000, window=256, hop=128, bands=24, fmin=20, fmax=4000)


@given(bands=st.integers(1, 64), data=st.data())
def test_the_matrix_is_scipys_orthonormal_transform(bands: int, data: st.DataObject) -> None:
    coefficients = data.draw(st.integers(1, bands))
    expected = scipy.fft.dct(np.eye(bands), type=2, norm="ortho", axis=0)[:coefficients]
    np.testing.assert_allclose(dct_matrix(coefficients, bands), expected, atol=1e-6)


def test_coefficients_are_the_first_of_the_transformed_log_mel_spectrum() -> None:
    signals = np.random.default_rng(0).uniform(-1, 1, (3, 1000)).astype(np.float32)
    found = Mfcc(BANDS, 10)(signals)
    expected = scipy.fft.dct(BANDS(signals).astype(np.float64), type=2, norm="ortho", axis=-1)[..., :10]
    assert found.dtype == np.float32
    assert found.shape == (3, 6, 10)
    np.testing.assert_allclose(found, expected, atol=1e-3)


@pytest.mark.parametrize("coefficients", [0, 25])
def test_coefficients_that_can_not_be_had_are_refused(coefficients: int) -> None:
    with pytest.raises(BadInput, match="1 to 24"):
        Mfcc(BANDS, coefficients)


def test_settings_are_described() -> None:
    assert str(Mfcc(BANDS, 10)).startswith("10 MFCCs of 24 log-mel bands, 20–4000 Hz")
