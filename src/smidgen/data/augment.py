"""Random variations of training samples: what must not change the class."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Batch = npt.NDArray[np.float32]


class Augmentation(ABC):
    """Subclasses are frozen dataclasses; their `repr` identifies them where results are kept."""

    @abstractmethod
    def __call__(self, x: Batch, rng: np.random.Generator) -> Batch:
        """A varied copy of samples [n, ...], same shape."""


@dataclass(frozen=True)
class CropAndFlip(Augmentation):
    """Images [n, H, W, C]: shifted by up to `pad` pixels both ways, zeros moving in; half of them mirrored.

    Ref: He et al. 2015, arXiv 1512.03385, 4.2.
    """

    pad: int = 4

    def __call__(self, x: Batch, rng: np.random.Generator) -> Batch:
        n, height, width, _ = x.shape
        padded = np.pad(x, ((0, 0), (self.pad, self.pad), (self.pad, self.pad), (0, 0)))
        top, left = rng.integers(0, 2 * self.pad + 1, (2, n, 1))
        columns = np.tile(np.arange(width), (n, 1))
        mirrored = rng.random(n) < 0.5
        columns[mirrored] = columns[mirrored, ::-1]
        rows = top + np.arange(height)
        varied: Batch = padded[np.arange(n)[:, None, None], rows[:, :, None], (left + columns)[:, None, :]]
        return varied


@dataclass(frozen=True)
class TimeShift(Augmentation):
    """Sequences [n, T, ...]: moved by up to `most` steps earlier or later, the first or last step repeated.

    Ref: Warden 2018, arXiv 1804.03209, 5.9 (shifts of up to 100 ms).
    """

    most: int

    def __call__(self, x: Batch, rng: np.random.Generator) -> Batch:
        n, steps = x.shape[:2]
        shift = rng.integers(-self.most, self.most + 1, (n, 1))
        sources = np.clip(np.arange(steps) + shift, 0, steps - 1)
        varied: Batch = x[np.arange(n)[:, None], sources]
        return varied
