"""Augmentations give what can be had by hand, nothing else, and leave their input alone."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.data.augment import Augmentation, CropAndFlip, TimeShift


def samples(*shape: int) -> np.ndarray:
    """All entries differ and none is zero."""
    return np.arange(1, np.prod(shape) + 1, dtype=np.float32).reshape(shape)


def crops(image: np.ndarray, pad: int) -> set[bytes]:
    """All shifted images, plain and mirrored."""
    height, width, _ = image.shape
    padded = np.pad(image, ((pad, pad), (pad, pad), (0, 0)))
    shifted = [padded[i : i + height, j : j + width] for i in range(2 * pad + 1) for j in range(2 * pad + 1)]
    return {view.tobytes() for crop in shifted for view in (crop, crop[:, ::-1])}


def shifts(sequence: np.ndarray, most: int) -> set[bytes]:
    padded = np.concatenate([sequence[:1].repeat(most, 0), sequence, sequence[-1:].repeat(most, 0)])
    return {padded[i : i + len(sequence)].tobytes() for i in range(2 * most + 1)}


@given(seed=st.integers(0, 999), pad=st.integers(0, 3), height=st.integers(1, 5), width=st.integers(1, 5))
@settings(max_examples=30)
def test_images_are_shifted_and_mirrored(seed: int, pad: int, height: int, width: int) -> None:
    x = samples(4, height, width, 2)
    for before, after in zip(x, CropAndFlip(pad)(x, np.random.default_rng(seed))):
        assert after.tobytes() in crops(before, pad)


@given(seed=st.integers(0, 999), most=st.integers(0, 4), steps=st.integers(1, 6))
@settings(max_examples=30)
def test_sequences_are_shifted_and_their_ends_repeated(seed: int, most: int, steps: int) -> None:
    x = samples(4, steps, 2, 1)
    for before, after in zip(x, TimeShift(most)(x, np.random.default_rng(seed))):
        assert after.tobytes() in shifts(before, most)


@pytest.mark.parametrize(
    ("augmentation", "shape", "count"), [(CropAndFlip(1), (3, 3, 1), 18), (TimeShift(2), (6, 1), 5)]
)
def test_every_variation_comes_up(augmentation: Augmentation, shape: tuple[int, ...], count: int) -> None:
    many = np.repeat(samples(1, *shape), 500, axis=0)
    assert len({row.tobytes() for row in augmentation(many, np.random.default_rng(0))}) == count


@pytest.mark.parametrize(("augmentation", "shape"), [(CropAndFlip(), (8, 8, 3)), (TimeShift(2), (9, 2))])
def test_the_same_random_numbers_give_the_same_samples_and_the_input_stays(
    augmentation: Augmentation, shape: tuple[int, ...]
) -> None:
    x = samples(5, *shape)
    first, second = (augmentation(x, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(x, samples(5, *shape))
    assert first.shape == x.shape
    assert first.dtype == np.float32
