"""What the activation operators mean on real numbers, in NumPy, for any float dtype."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from smidgen.numerics import Array


def sigmoid(x: Array) -> Array:
    """1 / (1 + e^-x) without overflow."""
    half = 0.5 * np.tanh(0.5 * np.asarray(x, dtype=np.float64)) + 0.5
    return half.astype(np.asarray(x).dtype)


ACTIVATION_FUNCTIONS: Mapping[str, Callable[[Array], Array]] = {
    "relu": lambda x: np.maximum(x, 0),
    "relu6": lambda x: np.clip(x, 0, 6),
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "hardsigmoid": lambda x: np.clip(x / 6 + 0.5, 0, 1),
    "hardswish": lambda x: x * np.clip(x / 6 + 0.5, 0, 1),
}
