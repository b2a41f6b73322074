"""Real inputs for pretrained models: labelled photographs, upscaled CIFAR-10, speech in background noise."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from benchmarks.pretrained_models import package
from smidgen.data.masking import si_sdr
from smidgen.data.source import find
from smidgen.data.table import decode_audio, read_columns

SIZE, RATE = 224, 16_000
Floats = npt.NDArray[np.float32]
Labels = npt.NDArray[np.int64]


def cifar10_rows(split: str, count: int) -> list[tuple[bytes, int]]:
    """The first images of a split of CIFAR-10 (JPEG), encoded, with their labels 0 to 9."""
    columns = read_columns(_table(f"cifar10_{split}.parquet"), ("image", "label"))
    return list(zip(columns["image"], map(int, columns["label"])))[:count]


def upscaled_cifar10(split: str, count: int) -> Floats:
    """[n, 3, 224, 224] in 0..1. Out of the domain of a network for ImageNet: 32×32 pixels of detail."""
    return np.stack(
        [_planes(_open(content).resize((SIZE, SIZE))) for content, _ in cifar10_rows(split, count)]
    )


def labelled_photographs() -> tuple[Floats, Labels]:
    """foolbox's 20 images of ImageNet classes [20, 3, 224, 224] in 0..1: 256 wide, centre cut."""
    files = sorted((package("foolbox") / "data").glob("imagenet_*.jpg"))
    images, labels = [], [int(file.stem.rpartition("_")[2]) for file in files]
    for file in files:
        image = _open(file.read_bytes())
        scale = 256 / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        left, top = (width - SIZE) // 2, (height - SIZE) // 2
        cut = image.resize((width, height)).crop((left, top, left + SIZE, top + SIZE))
        images.append(_planes(cut))
    return np.stack(images), np.array(labels, np.int64)


def speech_in_noise(count: int, snr_db: float, seed: int = 0) -> tuple[Floats, Floats]:
    """(clean, noisy), each [n, 16000]: words of Speech Commands, its `silence` clips (real noise) added.

    Words and noise are drawn by `seed`, with replacement for the noise; noise has the loudness that makes
    `snr_db`.
    """
    columns = read_columns(_table("speech_commands_test.parquet"), ("audio", "label"))
    rng, labels = np.random.default_rng(seed), np.array(columns["label"])
    words = rng.choice(np.flatnonzero((labels != "silence") & (labels != "unknown")), count, replace=False)
    silences = rng.choice(np.flatnonzero(labels == "silence"), count)
    clean, noise = (
        decode_audio([columns["audio"][row] for row in rows], RATE, RATE, "speech_commands")
        for rows in (words, silences)
    )
    gain = np.sqrt((clean**2).sum(1) / np.maximum((noise**2).sum(1), 1e-9) / 10 ** (snr_db / 10))
    return clean, clean + gain[:, None] * noise


def si_sdr_db(estimate: Floats, clean: Floats) -> npt.NDArray[np.float64]:
    """Scale-invariant signal-to-distortion ratio of signals without their means, dB [n]."""
    e, s = (a - a.mean(axis=-1, keepdims=True) for a in (estimate, clean))
    return si_sdr(s, e)


def _table(name: str) -> Path:
    found = find(name)
    if found is None:
        raise SystemExit(f"{name} is needed: put it into a folder and point SMIDGEN_DATA at that")
    return found


def _open(content: bytes) -> Any:
    from PIL import Image

    return Image.open(io.BytesIO(content)).convert("RGB")


def _planes(image: Any) -> Floats:
    return np.moveaxis(np.asarray(image, np.float32) / 255, -1, 0)
