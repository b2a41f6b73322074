"""Shoulder exercises from a smartwatch: which of seven does this window of motion show, for an unseen person?

Ref: Burns et al. 2018, arXiv 1802.01489 (the study that recorded the data).
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.source import verify
from smidgen.data.split import leave_out
from smidgen.data.standardise import standardised_splits
from smidgen.errors import MissingExtra
from smidgen.models import cnn1d
from smidgen.tasks.task import Task, Training

WINDOW, STEP = 200, 100  # samples; 50 a second
CHANNELS = 6  # acceleration x, y, z; angular velocity x, y, z
SUBJECTS = tuple(range(1, 11))
VALIDATION_SUBJECTS, TEST_SUBJECTS = (7, 8), (9, 10)
_SHA256 = "eb122f23cdf06ef6bd6c6c5312958ec5cf9d038e2e6d457b8081662c75a42537"


def read() -> Splits:
    """Windows [200, 6]; subjects 1–6 train, 7 and 8 validate, 9 and 10 test."""
    return divided(windows(), VALIDATION_SUBJECTS, TEST_SUBJECTS)


def folds() -> Iterator[Splits]:
    """Five splits, in each of which two other subjects are the test set and the next two validate."""
    data, pairs = windows(), [SUBJECTS[i : i + 2] for i in range(0, len(SUBJECTS), 2)]
    for i, test in enumerate(pairs):
        yield divided(data, pairs[(i + 1) % len(pairs)], test)


def windows() -> Dataset:
    """All windows, unscaled, overlapping by half; `groups` are subjects (1–10), `clusters` recordings."""
    recordings = _recordings()
    x, y, subjects, numbers = [], [], [], []
    rows = zip(recordings["X"], recordings["y"], recordings["subject"])
    for number, (signal, label, subject) in enumerate(rows):
        starts = range(0, len(signal) - WINDOW + 1, STEP)
        x += [signal[start : start + WINDOW] for start in starts]
        y += [label] * len(starts)
        subjects += [subject] * len(starts)
        numbers += [number] * len(starts)
    ids = (np.asarray(column, np.int64) for column in (y, subjects, numbers))
    return Dataset(np.asarray(x, np.float32), *ids)


def divided(data: Dataset, validation: tuple[int, ...], test: tuple[int, ...]) -> Splits:
    """By subject, then standardised: each channel has mean 0 and deviation 1 over the training windows."""
    assert data.groups is not None
    train, held, unseen = (data.take(index) for index in leave_out(data.groups, validation, test))
    return standardised_splits(Splits(train, held, unseen, len(TASK.labels)))


def _recordings() -> dict[str, Any]:
    """The file inside the package; importing seglearn itself would need pandas."""
    package = importlib.util.find_spec("seglearn")
    if package is None or package.origin is None:
        raise MissingExtra("task watch", "seglearn", "tasks")
    path = Path(package.origin).parent / "data" / "watch_dataset.npy"
    verify(path, _SHA256)
    # Recordings differ in length, so the file is a pickle. Its digest was just checked: no surprises.
    found: dict[str, Any] = np.load(path, allow_pickle=True).item()
    return found


TASK = Task(
    name="watch",
    description="Seven shoulder exercises from a smartwatch (windows of 4 s, unseen people)",
    licence="BSD 3-Clause (seglearn)",
    caveats="Split by subject: 6 train, 2 validate, 2 test. Windows of a recording overlap by half.",
    labels=("PEN", "ABD", "FEL", "IR", "ER", "TRAP", "ROW"),
    input_shape=(WINDOW, CHANNELS),
    training=Training(epochs=15, learning_rate=3e-3, batch_size=32),
    read=read,
    build=cnn1d.build,
)
