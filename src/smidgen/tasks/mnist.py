"""MNIST: handwritten digits of 28 x 28 pixels, official test split."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.source import RemoteFile, fetch, find
from smidgen.data.split import hold_out
from smidgen.errors import BadFile
from smidgen.models import lenet, lstm, mlp, resnet8
from smidgen.tasks.task import Task, Training, Variant

# The copy that Keras publishes; the digest is the one that Keras checks.
_PUBLISHED = RemoteFile(
    "mnist.npz",
    "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz",
    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1",
)
_VALIDATION_FRACTION = 0.1
_TRAIN_ROWS, _TEST_ROWS = 60_000, 10_000

Bytes = npt.NDArray[np.uint8]


def read() -> Splits:
    """Inputs [28, 28, 1] in [0, 1]: 54,000 train, 6,000 validation (stratified), 10,000 test.

    From `mnist_train.npz` and `mnist_test.npz` (arrays x, y) where they are found, else from `mnist.npz`.
    """
    train_file, test_file = find("mnist_train.npz"), find("mnist_test.npz")
    if train_file and test_file:
        train, test = _dataset(train_file, "", _TRAIN_ROWS), _dataset(test_file, "", _TEST_ROWS)
    else:
        both = fetch(_PUBLISHED)
        train, test = _dataset(both, "_train", _TRAIN_ROWS), _dataset(both, "_test", _TEST_ROWS)
    rest, validation = hold_out(train, (_VALIDATION_FRACTION,), seed=0)
    return Splits(train.take(rest), train.take(validation), test, 10)


def _dataset(path: Path, suffix: str, rows: int) -> Dataset:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            x, y = arrays[f"x{suffix}"], arrays[f"y{suffix}"]
    except Exception as problem:
        raise BadFile(str(path), f"it can't be read ({problem})", "", "Fetch it again") from problem
    if x.shape != (rows, 28, 28) or x.dtype != np.uint8 or y.shape != (rows,):
        raise BadFile(str(path), f"x is {x.dtype} {list(x.shape)}", f"MNIST is uint8 [{rows}, 28, 28]")
    return Dataset((x[..., None] / np.float32(255)).astype(np.float32), y.astype(np.int64))


TASK = Task(
    name="mnist",
    description="Handwritten digits of 28 x 28 pixels (MNIST)",
    licence="CC BY-SA 3.0 (Y. LeCun, C. Cortes)",
    caveats="Official test split; validation is a tenth of the training images, stratified by digit.",
    labels=tuple("0123456789"),
    input_shape=(28, 28, 1),
    training=Training(epochs=8, learning_rate=3e-3, batch_size=128),
    read=read,
    build=lenet.build,
    variants={
        "resnet8": Variant(resnet8.build, Training(epochs=3, learning_rate=3e-3, batch_size=128)),
        "mlp": Variant(
            partial(mlp.build, sizes=(1024, 1024)), Training(epochs=8, learning_rate=1e-3, batch_size=128)
        ),
        "lstm": Variant(lstm.build, Training(epochs=5, learning_rate=3e-3, batch_size=128)),
    },
)
