"""Real layers: a small network trained on handwritten digits, quantized and pruned."""

from __future__ import annotations

import functools
import warnings

import numpy as np
import numpy.typing as npt
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.neural_network import MLPClassifier

from smidgen.formats import Affine, Format, Leaf, Sparse


@functools.cache
def trained_weights() -> tuple[npt.NDArray[np.float32], ...]:
    """Weight matrices [out, in] of a 64-128-64-10 network."""
    x, y = load_digits(return_X_y=True)
    model = MLPClassifier((128, 64), max_iter=20, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x / 16.0, y)
    return tuple(np.ascontiguousarray(layer.T, dtype=np.float32) for layer in model.coefs_)


def quantized(weight: npt.NDArray[np.float32], bits: int) -> Affine:
    return Affine.fit(weight, bits)


def pruned(weight: npt.NDArray[np.float32], bits: int, sparsity: float) -> Sparse:
    mask = np.abs(weight) >= np.quantile(np.abs(weight), sparsity)
    return Sparse(mask, Affine.fit(np.where(mask, weight, np.float32(0)), bits))


def real_leaves() -> dict[str, Leaf]:
    """Every stream of every layer at 8, 4, 3 and 2 bits, dense and with 80% pruned."""
    formats: dict[str, Format] = {}
    for number, weight in enumerate(trained_weights()):
        for bits in (8, 4, 3, 2):
            formats[f"layer{number}/{bits}"] = quantized(weight, bits)
            formats[f"layer{number}/{bits}/pruned"] = pruned(weight, bits, 0.8)
    return {f"{name}/{leaf.name}": leaf for name, fmt in formats.items() for leaf in fmt.leaves()}
