"""Affine weights: decode against exact arithmetic, ranges, group multiples."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadFile
from smidgen.formats import Affine, from_parts, to_parts
from smidgen.formats.affine import qmax_of


def weights(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@settings(max_examples=30)
@given(st.integers(0, 999), st.integers(2, 8), st.sampled_from(["tensor", "channel", "group"]))
def test_error_is_at_most_half_a_step(seed: int, bits: int, granularity: str) -> None:
    w = weights(seed, (5, 3, 7))
    fmt = Affine.fit(w, bits, granularity, group_size=4)
    step = np.broadcast_to(fmt.spacing(), (fmt.scale.size, w.size // fmt.scale.size)).reshape(w.shape)
    assert (np.abs(fmt.decode() - w) <= step / 2 * (1 + 1e-5)).all()


@given(st.integers(0, 99), st.integers(2, 8), st.booleans())
@settings(max_examples=30)
def test_decode_is_the_exact_product_of_integer_and_scale(seed: int, bits: int, symmetric: bool) -> None:
    fmt = Affine.fit(weights(seed, (3, 6)), bits, "channel", symmetric)
    zeros = np.zeros(3, int) if fmt.zero is None else fmt.zero
    for i, j in np.ndindex(3, 6):
        exact = (int(fmt.symbols[i, j]) - int(zeros[i])) * Fraction(float(fmt.scale[i]))
        assert Fraction(float(fmt.decode()[i, j])) == exact


def test_symmetric_integers_avoid_the_lowest_value() -> None:
    for bits in range(2, 9):
        fmt = Affine.fit(weights(bits, (8, 40)), bits)
        assert np.abs(fmt.symbols).max() == qmax_of(bits)


def test_group_multiples_keep_integers_in_int8() -> None:
    w = weights(0, (4, 128)) * np.linspace(0.01, 1, 128, dtype=np.float32)
    fmt = Affine.fit(w, 4, "group", group_size=16)
    assert fmt.multiples is not None
    assert len(np.unique(fmt.multiples)) > 3
    products = fmt.symbols.astype(int) * np.repeat(fmt.multiples, 16, axis=1)
    assert np.array_equal(fmt.integers().values, products)


def test_groups_fit_better_than_channels_when_ranges_differ() -> None:
    w = weights(0, (4, 128)) * np.linspace(0.01, 1, 128, dtype=np.float32)
    errors = {
        g: np.square(Affine.fit(w, 4, g, group_size=16).decode() - w).mean() for g in ("channel", "group")
    }
    assert errors["group"] < errors["channel"] / 2


def test_least_squares_range_beats_minmax_with_an_outlier() -> None:
    w = weights(0, (2, 400))
    w[:, 0] = 12
    errors = {rule: np.square(Affine.fit(w, 3, rule=rule).decode() - w).mean() for rule in ("minmax", "mse")}
    assert errors["mse"] < errors["minmax"]


def test_a_dead_channel_shares_the_scale_floor() -> None:
    w = np.zeros((2, 4), np.float32)
    w[0] = [1, -1, 0.5, 0.25]
    fmt = Affine.fit(w, 8)
    assert fmt.scale[1] >= fmt.scale[0] / 1025
    assert not fmt.decode()[1].any()


@pytest.mark.parametrize(
    ("bits", "granularity", "symmetric"), [(1, "channel", True), (9, "channel", True), (4, "group", False)]
)
def test_impossible_settings_are_refused(bits: int, granularity: str, symmetric: bool) -> None:
    with pytest.raises(ValueError):
        Affine.fit(weights(0, (2, 8)), bits, granularity, symmetric)


@pytest.mark.parametrize(
    ("key", "value"),
    [("bits", 9), ("bits", "4"), ("scales", 7), ("group_size", -1), ("shape", [3, -1]), ("shape", None)],
)
def test_a_corrupt_description_is_refused(key: str, value: object) -> None:
    meta, leaves = to_parts(Affine.fit(weights(0, (3, 6)), 4))
    with pytest.raises(BadFile):
        from_parts({**meta, key: value}, {leaf.name: leaf.symbols for leaf in leaves})


def test_a_symbol_outside_its_bits_is_refused() -> None:
    meta, leaves = to_parts(Affine.fit(weights(0, (3, 6)), 4))
    streams = {leaf.name: leaf.symbols.copy() for leaf in leaves}
    streams["symbols"][0] = 9
    with pytest.raises(BadFile, match="4 bits"):
        from_parts(meta, streams)
