"""Spoken commands of one second: which of ten words is it, another word, or silence, from an unseen speaker?

Ref: Warden 2018, arXiv 1804.03209.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from smidgen.data.augment import TimeShift
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.features import LogMel, Mfcc
from smidgen.data.source import need
from smidgen.data.split import divide
from smidgen.data.standardise import standardised_splits
from smidgen.data.table import decode_audio, read_columns
from smidgen.models import dscnn, gru
from smidgen.tasks.task import Task, Training, Variant

WORDS = ("yes", "no", "up", "down", "left", "right", "on", "off", "stop", "go")
LABELS = (*WORDS, "unknown", "silence")
SAMPLE_RATE = SAMPLES = 16_000  # one second
# Frames of 40 ms every 20 ms and 10 coefficients, as in Zhang et al. 2017, arXiv 1711.07128.
FEATURES = Mfcc(LogMel(SAMPLE_RATE, window=640, hop=320, bands=40, fmin=20, fmax=4000), coefficients=10)
SHAPE = (49, 10, 1)
HELD_OUT = (0.2, 0.2)  # validation, test
NOBODY = -1
_FILE = "speech_commands_test.parquet"
_SHA256 = "6d24060147d18e873526b0c270ad02f578ed770008283b0952b668861c4992a9"
_ORIGIN = "the 12-class test set of Speech Commands v2 with its clips as FLAC (columns audio, label, speaker)"


def read() -> Splits:
    """MFCCs [49, 10, 1], standardised by coefficient.

    Speakers are divided 60 : 20 : 20 by the number of their clips, clips of silence at random.
    """
    data = clips()
    assert data.groups is not None
    spoken, silent = np.flatnonzero(data.groups != NOBODY), np.flatnonzero(data.groups == NOBODY)
    by_speaker = divide(data.y[spoken], data.groups[spoken], HELD_OUT, seed=0)
    at_random = divide(data.y[silent], None, HELD_OUT, seed=0)
    parts = (np.union1d(spoken[s], silent[r]) for s, r in zip(by_speaker, at_random))
    train, validation, test = (data.take(rows) for rows in parts)
    return standardised_splits(Splits(train, validation, test, len(LABELS), TimeShift(5)), channel_axes=2)


def clips() -> Dataset:
    """All clips [49, 10, 1], unscaled; `groups` numbers the speakers (silence: NOBODY)."""
    path = file()
    columns = read_columns(path, ("audio", "label", "speaker"))
    signals = decode_audio(columns["audio"], SAMPLE_RATE, SAMPLES, str(path))
    speakers = sorted(set(columns["speaker"]) - {""})
    numbers = {"": NOBODY} | {speaker: number for number, speaker in enumerate(speakers)}
    groups = np.asarray([numbers[speaker] for speaker in columns["speaker"]], np.int64)
    labels = np.asarray([LABELS.index(label) for label in columns["label"]], np.int64)
    return Dataset(FEATURES(signals)[..., None], labels, groups)


def file() -> Path:
    """The table of clips. Raises BadInput if it can't be had."""
    return need(_FILE, _SHA256, _ORIGIN)


TASK = Task(
    name="speech_commands",
    description="Ten spoken commands, other words and silence (unseen speakers)",
    licence="CC BY 4.0 (Speech Commands v2, P. Warden)",
    caveats="Only the official test set, split by speaker (60 : 20 : 20): far less training data than usual, "
    "so numbers do not compare with papers. Silence is cut from the same noise in all parts.",
    labels=LABELS,
    input_shape=SHAPE,
    training=Training(epochs=30, learning_rate=3e-3, batch_size=64),
    read=read,
    build=dscnn.build,
    variants={"gru": Variant(gru.build, Training(epochs=30, learning_rate=3e-3, batch_size=64))},
    features=str(FEATURES),
)
