"""Handwritten digits, 8 x 8 pixels: 1,797 images inside scikit-learn, so that it works offline at once."""

from __future__ import annotations

from functools import partial

import numpy as np

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.split import split
from smidgen.errors import MissingExtra
from smidgen.models import mlp
from smidgen.tasks.task import Task, Training

_BRIGHTEST = 16


def read() -> Splits:
    """Inputs [8, 8, 1] in [0, 1]; 60 % train, 20 % validation, 20 % test, stratified by digit."""
    try:
        from sklearn.datasets import load_digits
    except ImportError as missing:
        raise MissingExtra("task digits", "scikit-learn", "compress") from missing
    images, digits = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / _BRIGHTEST).astype(np.float32)
    return split(Dataset(x, digits.astype(np.int64)), 10, validation_fraction=0.2, test_fraction=0.2)


TASK = Task(
    name="digits",
    description="Handwritten digits of 8 x 8 pixels",
    licence="CC BY 4.0 (UCI, Optical Recognition of Handwritten Digits)",
    caveats="Writers are not told apart, so the test images are by writers seen in training.",
    labels=tuple("0123456789"),
    input_shape=(8, 8, 1),
    training=Training(epochs=40, learning_rate=1e-3, batch_size=32),
    read=read,
    build=partial(mlp.build, sizes=(256, 128)),
)
