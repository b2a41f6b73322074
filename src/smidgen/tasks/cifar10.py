"""CIFAR-10 (JPEG): small photographs of ten kinds of things, recompressed, official test split.

Ref: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.data.augment import CropAndFlip
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.source import need
from smidgen.data.split import divide
from smidgen.data.standardise import standardised
from smidgen.data.table import decode_images, read_columns
from smidgen.models import mobilenet, resnet8
from smidgen.tasks.task import Task, Training, Variant

LABELS = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SHAPE = (32, 32, 3)
_TRAIN = ("cifar10_train.parquet", "49b6b00e44718853805716667314b03aa51dc2c5ed9bd50c926bcba24a3ff966")
_TEST = ("cifar10_test.parquet", "b2e56d587912571d6da72e42d687749dc2505c8871809b7cb5ab50e27bf5dfba")
_ORIGIN = "this task uses a copy of CIFAR-10 with its images as JPEG, in cifar10_{train,test}.parquet"
_VALIDATION_FRACTION = 0.1


def read() -> Splits:
    """Inputs [32, 32, 3], standardised: 45,000 train, 5,000 validation (stratified), 10,000 test."""
    pixels, labels = _images(*_TRAIN)
    test_pixels, test_labels = _images(*_TEST)
    rest, held = divide(labels, None, (_VALIDATION_FRACTION,), seed=0)
    train, validation, test = standardised([pixels[rest], pixels[held], test_pixels])
    return Splits(
        Dataset(train, labels[rest]),
        Dataset(validation, labels[held]),
        Dataset(test, test_labels),
        len(LABELS),
        CropAndFlip(),
    )


def _images(name: str, sha256: str) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    path = need(name, sha256, _ORIGIN)
    columns = read_columns(path, ("image", "label"))
    return decode_images(columns["image"], SHAPE, str(path)), np.asarray(columns["label"], np.int64)


TASK = Task(
    name="cifar10",
    description="Photographs of 32 x 32 pixels, ten classes: CIFAR-10 (JPEG)",
    licence="no licence stated (A. Krizhevsky, CIFAR-10)",
    caveats="CIFAR-10 (JPEG) is recompressed at low quality: accuracies are below those on CIFAR-10 itself "
    "and do not compare with papers. Official test split; validation is a tenth of the training images.",
    labels=LABELS,
    input_shape=SHAPE,
    training=Training(epochs=12, learning_rate=5e-3, batch_size=128),
    read=read,
    build=resnet8.build,
    variants={"mobilenet": Variant(mobilenet.build, Training(epochs=12, learning_rate=5e-3, batch_size=128))},
)
