"""Requantization against exact rationals."""

from fractions import Fraction
from math import floor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from smidgen.numerics import bfloat16_up, quantize_multiplier, requantize, round_half_up

positive = st.floats(min_value=2.0**-30, max_value=2.0**14, allow_nan=False)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2**16 - 1), st.integers(1, 47))
def test_requantize_is_half_up_of_the_exact_ratio(acc: int, multiplier: int, shift: int) -> None:
    exact = floor(Fraction(acc * multiplier, 2**shift) + Fraction(1, 2))
    assert int(requantize(acc, multiplier, shift)) == exact


@given(positive)
def test_multiplier_is_within_2_to_minus_16_of_the_ratio(real: float) -> None:
    multiplier, shift = quantize_multiplier(real)
    assert 2**15 <= multiplier < 2**16
    assert 1 <= shift <= 47
    assert abs(Fraction(multiplier, 2**shift) / Fraction(real) - 1) <= Fraction(1, 2**16)


def test_a_tiny_ratio_keeps_the_largest_shift() -> None:
    multiplier, shift = quantize_multiplier(2.0**-40)
    assert (multiplier, shift) == (2**7, 47)


@pytest.mark.parametrize("real", [0.0, -1.0, float("nan"), float("inf"), 2.0**15])
def test_an_impossible_ratio_is_refused(real: float) -> None:
    with pytest.raises(ValueError, match="multiplier"):
        quantize_multiplier(real)


def test_rounding_is_half_up_for_both_signs() -> None:
    assert round_half_up([-1.5, -0.5, 0.5, 1.5, 2.4999]).tolist() == [-1.0, 0.0, 1.0, 2.0, 2.0]


@given(st.floats(min_value=2.0**-100, max_value=2.0**100, width=32))
def test_bfloat16_up_is_the_next_representable_scale(x: float) -> None:
    up = bfloat16_up(np.float32(x))
    assert int(up.view(np.uint32)) & 0xFFFF == 0
    assert np.float32(x) <= up <= np.float32(x) * np.float32(1.008)
