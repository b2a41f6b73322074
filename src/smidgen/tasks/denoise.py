"""Spoken digits in real background noise: which bins of the spectrum hold speech, for an unseen speaker?

Ref: Kim, Maity, Kim 2019 (arXiv 1908.08898): the bits of the input, the mask, the loss.
"""

from __future__ import annotations

import numpy as np

from smidgen.data import masking
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.features.framing import Signals
from smidgen.data.features.lloyd_max import LloydMax
from smidgen.data.split import Index, divide, leave_out
from smidgen.data.table import decode_audio, read_columns
from smidgen.models import denoiser
from smidgen.tasks import speech_commands, spoken_digits
from smidgen.tasks.spoken_digits import SPEAKERS
from smidgen.tasks.task import Task, Training, Variant

FRAMES = 32
SAMPLES = masking.samples_of(FRAMES)  # 0.464 s; half of all recordings are longer and lose their end
TAKES = 20  # of the 50 recordings of each speaker and digit: what is kept in memory for all would be 800 MB
VALIDATION, TEST = ("theo",), ("yweweler",)
LEAST_NOISE = 1e-3  # RMS: what is quieter is the rounding of silence
SHAPE = (FRAMES, masking.BINS * denoiser.BITS)


def read() -> Splits:
    """Signs [32, 1028] and what masks are judged by (`data.masking.targets_of`): 800, 200 and 200 signals.

    Each recording is mixed with a noise as loud as itself (0 dB), from clips of its part alone; the sum has
    a root mean square of 1. Levels are fitted to the training signals' sizes. `groups` are speakers,
    `clusters` clips of noise.
    """
    speech, speakers = _speech()
    rows = leave_out(speakers, _numbers(VALIDATION), _numbers(TEST))
    noise = _noise()
    clips = divide(np.zeros(len(noise), np.int64), None, (0.2, 0.2), seed=0)
    rng = np.random.default_rng(0)
    mixed = [_mixed(speech[r], noise[c], rng) for r, c in zip(rows, clips, strict=True)]
    sizes = [np.abs(masking.spectra(noisy)) for _, noisy, _ in mixed]
    levels = LloydMax.fit(sizes[0].reshape(-1, masking.BINS), denoiser.BITS)
    train, validation, test = (
        Dataset(levels.signs(size), masking.targets_of(clean, noisy), speakers[r], c[clip])
        for size, (clean, noisy, clip), r, c in zip(sizes, mixed, rows, clips, strict=True)
    )
    return Splits(train, validation, test, None, metric="sdr_gain", loss="mask_error")


def _mixed(speech: Signals, noise: Signals, rng: np.random.Generator) -> tuple[Signals, Signals, Index]:
    """(clean, noisy, row of the noise), at 0 dB; noisy has a root mean square of 1."""
    starts = rng.integers(0, noise.shape[1] - SAMPLES + 1, len(speech))
    chosen = rng.integers(0, len(noise), len(speech))
    cut = np.stack([noise[i, start : start + SAMPLES] for i, start in zip(chosen, starts, strict=True)])
    noisy: Signals = speech + cut * (_level(speech) / _level(cut))
    scale = _level(noisy)
    return speech / scale, noisy / scale, chosen


def _level(signals: Signals) -> Signals:
    """Root mean squares [n, 1]."""
    levels: Signals = np.sqrt(np.mean(signals**2, axis=1, keepdims=True))
    return levels


def _speech() -> tuple[Signals, Index]:
    """(signals [n, SAMPLES], the place of each one's speaker in SPEAKERS)."""
    path = spoken_digits.file()
    columns = read_columns(path, ("audio", "speaker", "file"))
    kept = [row for row, name in enumerate(columns["file"]) if spoken_digits.take_of(name) < TAKES]
    audio = [columns["audio"][row] for row in kept]
    speakers = np.asarray([SPEAKERS.index(columns["speaker"][row]) for row in kept], np.int64)
    return decode_audio(audio, spoken_digits.SAMPLE_RATE, SAMPLES, str(path)), speakers


def _noise() -> Signals:
    """Clips of background noise, at the sample rate of the speech."""
    path = speech_commands.file()
    columns = read_columns(path, ("audio", "label"))
    audio = [a for a, label in zip(columns["audio"], columns["label"], strict=True) if label == "silence"]
    clips = decode_audio(audio, speech_commands.SAMPLE_RATE, speech_commands.SAMPLES, str(path))
    heard = clips[_level(clips)[:, 0] > LEAST_NOISE]
    half = np.fft.rfft(heard, axis=1)[:, : heard.shape[1] // 4 + 1]  # below 4 kHz
    return (np.fft.irfft(half, axis=1) / 2).astype(np.float32)


def _numbers(names: tuple[str, ...]) -> tuple[int, ...]:
    return tuple(SPEAKERS.index(name) for name in names)


TASK = Task(
    name="denoise",
    description="Spoken digits in background noise at 0 dB: a mask on the spectrum (unseen speaker)",
    licence="CC BY-SA 4.0 (Free Spoken Digit Dataset, Z. Jackson), CC BY 4.0 (Speech Commands v2, P. Warden)",
    caveats="One speaker validates and one tests, four train; 20 of 50 recordings each, cut to 0.46 s. Noise "
    "clips differ between the parts but are cut from the same few recordings.",
    labels=(),
    input_shape=SHAPE,
    training=Training(epochs=20, learning_rate=2e-3, batch_size=10),
    read=read,
    build=denoiser.gru,
    metric="sdr_gain",
    variants={"dense": Variant(denoiser.dense, Training(epochs=20, learning_rate=2e-3, batch_size=10))},
    features=f"sizes of {masking.BINS} bins of {masking.WINDOW} samples every {masking.HOP}, "
    f"{denoiser.BITS} bits each (Lloyd-Max)",
)
