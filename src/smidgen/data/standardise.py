"""Inputs with mean 0 and deviation 1 in every channel, judged by the training rows alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Splits

_ROWS_AT_ONCE = 4096
Floats = npt.NDArray[np.float32]


def standardised_splits(splits: Splits, channel_axes: int = 1) -> Splits:
    """The same splits with their inputs standardised: see `standardised`."""
    parts = (splits.train, splits.validation, splits.test)
    scaled = standardised([part.x for part in parts], channel_axes)
    train, validation, test = (replace(part, x=x) for part, x in zip(parts, scaled))
    return replace(splits, train=train, validation=validation, test=test)


def standardised(parts: Sequence[npt.NDArray[Any]], channel_axes: int = 1) -> list[Floats]:
    """(x - mean) / deviation of arrays [n, ..., C], float32; both [C], over the first of `parts`.

    The last `channel_axes` axes have statistics of their own: 2 for spectrograms [n, T, F, 1], whose
    frequencies differ. What is constant becomes 0.
    """
    train = parts[0]
    axes = tuple(range(train.ndim - channel_axes))
    mean, deviation = train.mean(axes, dtype=np.float64), train.std(axes, dtype=np.float64)
    deviation[deviation == 0] = 1
    return [_scaled(part, mean, deviation) for part in parts]


def _scaled(x: npt.NDArray[Any], mean: npt.NDArray[Any], deviation: npt.NDArray[Any]) -> Floats:
    """In blocks: the float64 intermediate of a whole data set can take gigabytes."""
    scaled = np.empty(x.shape, np.float32)
    for start in range(0, len(x), _ROWS_AT_ONCE):
        block = slice(start, start + _ROWS_AT_ONCE)
        scaled[block] = (x[block] - mean) / deviation
    return scaled
