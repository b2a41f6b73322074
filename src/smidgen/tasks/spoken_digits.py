"""Spoken digits of six speakers (Free Spoken Digit Dataset), official test split.

Ref: Jackson et al. 2018, doi 10.5281/zenodo.1342401.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from smidgen.data.augment import TimeShift
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.features import LogMel, Mfcc
from smidgen.data.source import need
from smidgen.data.split import Index, leave_out
from smidgen.data.standardise import standardised_splits
from smidgen.data.table import decode_audio, read_columns
from smidgen.models import dscnn, gru
from smidgen.tasks.task import Task, Training, Variant

LABELS = tuple("0123456789")
SPEAKERS = ("george", "jackson", "lucas", "nicolas", "theo", "yweweler")
SAMPLE_RATE = SAMPLES = 8_000  # one second; one recording in 150 is longer and loses its end
FEATURES = Mfcc(LogMel(SAMPLE_RATE, window=320, hop=160, bands=40, fmin=20, fmax=4000), coefficients=10)
SHAPE = (49, 10, 1)
TEST_BELOW, VALIDATION_BELOW = 5, 10  # of a recording's number, 0–49 for each speaker and digit
_FILE = "spoken_digits.parquet"
_SHA256 = "15b4d87c5f89f75e74648104d928ec2b2a39b4c041016b31ee14ab7917b44865"
_ORIGIN = "the Free Spoken Digit Dataset with its recordings as FLAC (columns audio, label, speaker, file)"


def read() -> Splits:
    """MFCCs [49, 10, 1], standardised by coefficient: 2,400 train, 300 validation, 300 test.

    Recordings 0–4 of each speaker and digit are the official test set; 5–9 validate.
    """
    data, number = recordings()
    return _splits(data, leave_out(number, range(TEST_BELOW, VALIDATION_BELOW), range(TEST_BELOW)))


def folds() -> Iterator[Splits]:
    """Six splits, in each of which another speaker is the test set and the next one validates."""
    data, _ = recordings()
    assert data.groups is not None
    for speaker in range(len(SPEAKERS)):
        yield _splits(data, leave_out(data.groups, ((speaker + 1) % len(SPEAKERS),), (speaker,)))


def recordings() -> tuple[Dataset, Index]:
    """All recordings [49, 10, 1], unscaled, `groups` the place in SPEAKERS; and the number of each, 0–49."""
    path = file()
    columns = read_columns(path, ("audio", "label", "speaker", "file"))
    signals = decode_audio(columns["audio"], SAMPLE_RATE, SAMPLES, str(path))
    labels = np.asarray(columns["label"], np.int64)
    speakers = np.asarray([SPEAKERS.index(speaker) for speaker in columns["speaker"]], np.int64)
    numbers = [take_of(name) for name in columns["file"]]
    return Dataset(FEATURES(signals)[..., None], labels, speakers), np.asarray(numbers, np.int64)


def file() -> Path:
    """The table of recordings. Raises BadInput if it can't be had."""
    return need(_FILE, _SHA256, _ORIGIN)


def take_of(name: str) -> int:
    """The number, 0–49, in a recording's file name `<digit>_<speaker>_<number>.wav`."""
    return int(name.removesuffix(".wav").rpartition("_")[2])


def _splits(data: Dataset, parts: tuple[Index, Index, Index]) -> Splits:
    train, validation, test = (data.take(rows) for rows in parts)
    return standardised_splits(Splits(train, validation, test, len(LABELS), TimeShift(5)), channel_axes=2)


TASK = Task(
    name="spoken_digits",
    description="Spoken digits of six people",
    licence="CC BY-SA 4.0 (Free Spoken Digit Dataset, Z. Jackson)",
    caveats="Official test split (recordings 0–4): all six speakers are heard in training, so accuracy on "
    "other people is lower.",
    labels=LABELS,
    input_shape=SHAPE,
    training=Training(epochs=20, learning_rate=3e-3, batch_size=32),
    read=read,
    build=gru.build,
    variants={"dscnn": Variant(dscnn.build, Training(epochs=20, learning_rate=3e-3, batch_size=32))},
    features=str(FEATURES),
)
