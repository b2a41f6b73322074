"""Small trained networks that benchmarks of post-training methods begin with, kept under `runs/trained/`.

    python benchmarks/methods/trained.py [seed ...]

trains what is lacking. A kept network is a float `.smg` file; delete it to train again.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch

from benchmarks.methods.rows import SEEDS
from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.models.layers import Blocks
from smidgen.tasks.task import load_task

CACHE = Path(__file__).parents[2] / "runs/trained"
TRAIN_ROWS, OTHER_ROWS = 20_000, 5_000
SETTINGS = FitSettings(epochs=12, lr=4e-3, batch_size=128)
ABOUT = f"""\
five layers with BatchNorm: 3 x 3 convolutions of 32, 64, 64 and 128 channels (strides 2, 2, 1, 2), ReLU, a
global mean, a linear layer; 132k parameters, 5 million multiplications. {SETTINGS.epochs} epochs on
{TRAIN_ROWS:,} training images, shifted and mirrored; {OTHER_ROWS:,} validation and as many test images"""


def network(shape: tuple[int, ...], classes: int, seed: int) -> Graph:
    """The network on images [H, W, C], untrained."""
    blocks = Blocks("strided", shape, seed).conv(32, 3, 2).conv(64, 3, 2).conv(64, 3).conv(128, 3, 2)
    return blocks.global_mean().classify(classes)


@lru_cache(1)
def trained(task: str, seed: int) -> tuple[Graph, Splits]:
    """The float network of a task of images, trained with `seed` (rows, weights, order), and its data."""
    data = _rows(load_task(task).load(), seed)
    file = CACHE / f"{task}-{seed}.smg"
    if file.exists():
        return read_smg(file).graph, data
    assert data.classes is not None
    graph = network(data.train.inputs.shape[1:], data.classes, seed)
    made = fit(graph, data, SETTINGS, seed=seed, report=_say)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_smg(file, [made])
    return made, data


def _rows(whole: Splits, seed: int) -> Splits:
    rng = np.random.default_rng(seed)
    most = (TRAIN_ROWS, OTHER_ROWS, OTHER_ROWS)
    parts = [
        _some(part, n, rng) for part, n in zip((whole.train, whole.validation, whole.test), most, strict=True)
    ]
    return Splits(*parts, whole.classes, whole.augmentation)


def _some(part: Dataset, n: int, rng: np.random.Generator) -> Dataset:
    return part.take(rng.permutation(len(part))[:n])


def _say(done: float, message: str) -> None:
    print(f"{done:4.0%} {message}", flush=True)


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    for seed in seeds:
        graph, data = trained("cifar10", seed)
        right = float_logits(graph, data.validation.x).argmax(axis=1) == data.validation.y
        print(f"cifar10, seed {seed}: {100 * right.mean():.2f}% on validation", flush=True)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
