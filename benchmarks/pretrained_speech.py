"""Streaming denoising frame by frame with explicit states, as the pretrained networks' own packages do it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from benchmarks.pretrained_data import Floats
from benchmarks.pretrained_models import Arrays

Frame = Callable[[Arrays], Arrays]  # (frames [n, ...], states...) -> (frames, states...)
BLOCK, SHIFT = 512, 128


@dataclass
class Stage:
    """One network of a stream: its states are carried from frame to frame, its inputs can be recorded."""

    run: Frame
    states: Arrays
    recorded: list[Arrays] | None = None
    calls: int = field(default=0, init=False)

    def __call__(self, frame: Floats) -> Floats:
        x = (frame.astype(np.float32), *self.states)
        if self.recorded is not None and self.calls % 3 == 0:
            self.recorded.append(x)
        self.calls += 1
        made, *states = self.run(x)
        self.states = tuple(np.asarray(state).reshape(old.shape) for state, old in zip(states, self.states))
        return np.asarray(made)


def per_sample(run: Frame) -> Frame:
    """A network with a fixed batch of one, for many streams at once."""

    def each(x: Arrays) -> Arrays:
        made = [run(tuple(a[i : i + 1] for a in x)) for i in range(len(x[0]))]
        return tuple(np.concatenate(column) for column in zip(*made))

    return each


def across(run: Frame, axes: tuple[int, ...]) -> Frame:
    """A network for one stream whose inputs have their batch along `axes`, for many with the batch first."""

    def each(x: Arrays) -> Arrays:
        streams = []
        for i in range(len(x[0])):
            given = tuple(np.moveaxis(a[i : i + 1], 0, axis) for a, axis in zip(x, axes, strict=True))
            streams.append([np.moveaxis(y, axis, 0) for y, axis in zip(run(given), axes, strict=True)])
        return tuple(np.concatenate(column) for column in zip(*streams))

    return each


def gtcrn(noisy: Floats, network: Stage) -> Floats:
    """A complex mask on the spectrum, frame by frame; windows of the square root of Hann's, overlap-add.

    Noisy [n, samples] -> denoised, aligned with it. Ref: Rong et al. 2024 (ICASSP, GTCRN).
    """
    n, length = noisy.shape
    half, window = BLOCK // 2, np.sqrt(np.hanning(BLOCK)).astype(np.float32)
    padded = np.pad(noisy, ((0, 0), (half, BLOCK)))
    made, weight = np.zeros_like(padded), np.full(padded.shape[1], 1e-8, np.float32)
    for start in range(0, length + half, half):
        spectrum = np.fft.rfft(padded[:, start : start + BLOCK] * window)
        parts = np.stack([spectrum.real, spectrum.imag], -1).astype(np.float32)[:, :, None]
        real, imaginary = np.moveaxis(network(parts).reshape(n, -1, 2), -1, 0)
        made[:, start : start + BLOCK] += np.fft.irfft(real + 1j * imaginary) * window
        weight[start : start + BLOCK] += window**2
    return (made / weight)[:, half:][:, :length]


def dtln(noisy: Floats, spectral: Stage, temporal: Stage) -> Floats:
    """Dual-signal transformation LSTM: a mask on magnitudes, then one on learned features; overlap-add.

    Noisy [n, samples] -> denoised, aligned with it. Ref: Westhausen, Meyer 2020 (arXiv 2005.07551).
    """
    n, length = noisy.shape
    padded = np.pad(noisy, ((0, 0), (BLOCK - SHIFT, BLOCK)))
    made = np.zeros_like(padded)
    for start in range(0, length + BLOCK - SHIFT, SHIFT):
        spectrum = np.fft.rfft(padded[:, start : start + BLOCK])
        mask = spectral(np.abs(spectrum)[:, None, :]).reshape(n, -1)
        block = np.fft.irfft(spectrum * mask)
        made[:, start : start + BLOCK] += temporal(block[:, None, :]).reshape(n, -1)
    return made[:, BLOCK - SHIFT :][:, :length]
