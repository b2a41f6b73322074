"""A real but tiny problem: which corner of a small image is bright."""

from __future__ import annotations

import numpy as np
import torch

from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph, GraphBuilder
from smidgen.learn.fit import FitSettings, fit

torch.set_num_threads(1)  # tensors this small are slower on two
SHAPE = (8, 8, 1)
CLASSES = 4


def dataset(n: int, seed: int, shape: tuple[int, ...] = SHAPE) -> Dataset:
    rng = np.random.default_rng(seed)
    y = rng.integers(0, CLASSES, n)
    x = rng.normal(size=(n, *shape)).astype(np.float32)
    for image, label in zip(x, y, strict=True):
        top, left = divmod(int(label), 2)
        image[4 * top : 4 * top + 4, 4 * left : 4 * left + 4] += 0.8
    return Dataset(x, y)


def splits(shape: tuple[int, ...] = SHAPE, seed: int = 0) -> Splits:
    return Splits(
        dataset(400, seed, shape), dataset(200, seed + 1, shape), dataset(150, seed + 2, shape), CLASSES
    )


def fresh(width: float = 1.0, seed: int = 0) -> Graph:
    rng = np.random.default_rng(seed)
    b, channels = GraphBuilder("corners"), max(round(12 * width), 1)
    x = b.conv(
        b.input("x", SHAPE), rng.normal(size=(channels, 3, 3, 1)) / 3, np.zeros(channels), stride=2, padding=1
    )
    x = b.flatten(b.op("relu", [x]))
    return b.graph(b.linear(x, rng.normal(size=(CLASSES, 16 * channels)) / 14, np.zeros(CLASSES), "logits"))


def trained(data: Splits) -> Graph:
    return fit(fresh(), data, FitSettings(epochs=3, lr=3e-3, batch_size=32))
