"""Standardisation by the training rows, channel by channel."""

import numpy as np
import pytest

from smidgen.data.augment import TimeShift
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.standardise import standardised, standardised_splits


def test_channels_get_mean_0_and_deviation_1_over_the_first_part_alone() -> None:
    rng = np.random.default_rng(0)
    train, other = (rng.normal((3, -2), (5, 0.1), (n, 7, 2)).astype(np.float32) for n in (50, 20))
    found, unseen = standardised([train, other])
    np.testing.assert_allclose(found.mean((0, 1), dtype=np.float64), 0, atol=1e-6)
    np.testing.assert_allclose(found.std((0, 1), dtype=np.float64), 1, atol=1e-6)
    expected = (other - train.mean((0, 1), dtype=np.float64)) / train.std((0, 1), dtype=np.float64)
    np.testing.assert_allclose(unseen, expected, atol=1e-5)


def test_two_channel_axes_give_every_frequency_its_own_scale() -> None:
    x = np.random.default_rng(0).normal(0, [[1], [100]], (40, 9, 2, 1)).astype(np.float32)
    np.testing.assert_allclose(standardised([x], 2)[0].std((0, 1), dtype=np.float64), 1, atol=1e-6)


def test_bytes_and_many_rows_are_taken() -> None:
    x = np.random.default_rng(0).integers(0, 256, (5000, 2, 1)).astype(np.uint8)
    expected = (x - x.mean(dtype=np.float64)) / x.std(dtype=np.float64)
    np.testing.assert_allclose(standardised([x])[0], expected, atol=1e-6)


def test_what_is_constant_in_training_becomes_zero() -> None:
    assert not standardised([np.full((3, 2), 7.0, np.float32)])[0].any()


def test_labels_groups_and_augmentation_of_splits_stay() -> None:
    part = Dataset(np.ones((2, 3), np.float32), np.array([0, 1]), np.array([5, 6]))
    found = standardised_splits(Splits(part, part, part, 2, TimeShift(1)))
    assert found.augmentation == TimeShift(1)
    assert found.test.groups is part.groups
    assert found.validation.y is part.y


def test_the_whole_of_large_data_is_never_held_in_double_precision() -> None:
    import tracemalloc

    x = np.zeros((40_000, 16, 3), np.uint8)
    x[::2] = 1
    tracemalloc.start()
    scaled = standardised([x])[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < scaled.nbytes + x.size * 8 / 2
    assert scaled.max() == pytest.approx(1)
