"""Inputs with mean 0 and deviation 1 in every channel, judged by the training rows alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Splits

_ROWS_AT_ONCE = 4096
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]


def standardised_splits(splits: Splits, channel_axes: int = 1) -> Splits:
    """The same splits with their inputs standardised: see `standardised`."""
    parts = (splits.train, splits.validation, splits.test)
    scaled = standardised([part.x for part in parts], channel_axes)
    train, validation, test = (replace(part, inputs=x) for part, x in zip(parts, scaled))
    return replace(splits, train=train, validation=validation, test=test)


def standardised(parts: Sequence[npt.NDArray[Any]], channel_axes: int = 1) -> list[Floats]:
    """(x - mean) / deviation of arrays [n, ..., C], float32; both [C], over the first of `parts`.

    The last `channel_axes` axes have statistics of their own: 2 for spectrograms [n, T, F, 1], whose
    frequencies differ. What is constant becomes 0.
    """
    mean, deviation = _statistics(parts[0], tuple(range(parts[0].ndim - channel_axes)))
    scaled = [np.empty(part.shape, np.float32) for part in parts]
    for part, out in zip(parts, scaled):
        for block in _blocks(part):
            out[block] = (part[block] - mean) / deviation
    return scaled


def _statistics(x: npt.NDArray[Any], axes: tuple[int, ...]) -> tuple[Doubles, Doubles]:
    """Mean and deviation over `axes`, in two passes; a deviation of 0 becomes 1."""
    mean: Doubles = x.mean(axes, dtype=np.float64)
    squares = [np.square(x[block] - mean).sum(axes) for block in _blocks(x)]
    deviation: Doubles = np.sqrt(np.sum(squares, axis=0) / prod(x.shape[axis] for axis in axes))
    return mean, np.where(deviation == 0, 1, deviation)


def _blocks(x: npt.NDArray[Any]) -> Iterator[slice]:
    """The float64 intermediate of a whole data set can take gigabytes."""
    for start in range(0, len(x), _ROWS_AT_ONCE):
        yield slice(start, start + _ROWS_AT_ONCE)
