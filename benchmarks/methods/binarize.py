"""Binary weights, and binary activations with them, against the same network in 8 bits, on MNIST.

    python benchmarks/methods/binarize.py [seed ...]

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, write_results
from benchmarks.methods.rows import subset
from smidgen.codec.container import pack_smg
from smidgen.data.dataset import Splits
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.binarize.bwn import BinaryWeights
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.native import native_plan
from smidgen.tasks.task import load_task

NAME = "methods/binarize"
SEEDS = (0, 1, 2)
ROWS, VALIDATION = 6_000, 1_000
TRAINING = Fit(epochs=6, lr=3e-3, batch_size=64, patience=6)
KINDS: dict[str, tuple[Step, ...]] = {
    "8 bits": (),
    "BWN": (BinaryWeights(),),
    "BWN, a scale a tensor": (BinaryWeights("tensor"),),
    "XNOR": (Xnor(),),
}
HOW = f"""\
MNIST, {ROWS:,} training and {VALIDATION:,} validation images. A network of three convolutions (32, 64, 64
channels) and two linear layers (128, 10), from random weights: `binarize.*` (nothing for the first row), then
{TRAINING.epochs} epochs of training at one learning rate ({TRAINING.lr}), the best on validation kept, then
`quantize.affine` at 8 bits. The first and the last layer keep 8 bits everywhere. Test accuracy in percent of
the integer artifact, mean ± standard deviation over {len(SEEDS)} seeds (images, weights, order); bytes of the
whole `.smg` file.

"""
Runs = dict[str, dict[str, float]]


def network(seed: int) -> Graph:
    blocks = Blocks("digits", (28, 28, 1), seed).conv(32, 3).max_pool(2).conv(64, 3).max_pool(2)
    return blocks.conv(64, 3).flatten().linear(128).classify(10)


def score(steps: tuple[Step, ...], data: Splits, seed: int) -> dict[str, float]:
    graph = network(seed)
    made = Recipe((*steps, TRAINING, AffineQuantization())).apply(graph, Context(data, graph, seed))
    whole = lower(made)
    grid = whole.values[whole.inputs[0]].grid
    assert whole.is_integer
    assert grid is not None
    found = native_plan(whole).run(grid.quantize(data.test.x).astype(np.int8)).argmax(axis=1)
    return {"test": 100 * float((found == data.test.y).mean()), "bytes": len(pack_smg([whole]))}


def over(runs: Runs, kind: str, field: str) -> list[float]:
    return [runs[key][field] for seed in SEEDS if (key := f"{seed}/{kind}") in runs]


def spread(values: list[float], digits: int = 2) -> str:
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, from means over seeds."""
    whole, bwn, tensor, xnor = (mean(over(runs, kind, "test")) for kind in KINDS)
    holds = {True: "holds", False: "does not hold"}
    yield f"- 8 bits ≥ BWN ≥ XNOR: {holds[whole >= bwn >= xnor]} ({whole:.2f}, {bwn:.2f}, {xnor:.2f})."
    yield f"- BWN within 2 points of 8 bits: {holds[bwn >= whole - 2]} ({bwn - whole:+.2f})."
    yield f"- A scale a filter is no worse than one a tensor: {holds[bwn >= tensor]} ({bwn - tensor:+.2f})."


def report(runs: Runs) -> None:
    rows = [
        {
            "network": kind,
            "test accuracy": spread(over(runs, kind, "test")),
            "bytes": spread(over(runs, kind, "bytes"), 0),
        }
        for kind in KINDS
        if over(runs, kind, "test")
    ]
    complete = all(len(over(runs, kind, "test")) == len(SEEDS) for kind in KINDS)
    how = HOW + "\n".join(verdicts(runs) if complete else ())
    write_results(NAME, "Binary weights and activations", rows, how.strip(), runs=runs)


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    runs: Runs = json.loads(file.read_text(encoding="utf-8"))["runs"] if file.exists() else {}
    whole: Any = None
    for seed in seeds:
        for kind, steps in KINDS.items():
            if (key := f"{seed}/{kind}") in runs:
                continue
            whole = whole or load_task("mnist").load()
            runs[key] = score(steps, subset(whole, seed, ROWS, VALIDATION), seed)
            print(key, runs[key], flush=True)
            report(runs)
    report(runs)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
