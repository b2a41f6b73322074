"""Binary weights, and binary activations with them, against the same network in 8 bits, on MNIST.

    python benchmarks/methods/binarize.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import torch

from benchmarks.common import write_results
from benchmarks.methods.rows import (
    SEEDS,
    Run,
    Runs,
    accuracy,
    artifact,
    data_of,
    holds,
    over,
    spread,
    stored,
    subset,
)
from smidgen.graph import Graph
from smidgen.methods.binarize.bwn import BinaryWeights
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks

NAME = "methods/binarize"
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


def network(seed: int) -> Graph:
    blocks = Blocks("digits", (28, 28, 1), seed).conv(32, 3).max_pool(2).conv(64, 3).max_pool(2)
    return blocks.conv(64, 3).flatten().linear(128).classify(10)


def run(key: str) -> Run:
    seed, kind = key.split("/")
    data = subset(data_of("mnist"), int(seed), ROWS, VALIDATION)
    steps = (*KINDS[kind], TRAINING, AffineQuantization())
    made, nbytes = artifact(steps, network(int(seed)), data, int(seed))
    return {"test": accuracy(made, data.test), "bytes": nbytes}


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, from means over seeds."""
    whole, bwn, tensor, xnor = (mean(over(runs, kind)) for kind in KINDS)
    yield f"- 8 bits ≥ BWN ≥ XNOR: {holds(whole >= bwn >= xnor)} ({whole:.2f}, {bwn:.2f}, {xnor:.2f})."
    yield f"- BWN within 2 points of 8 bits: {holds(bwn >= whole - 2)} ({bwn - whole:+.2f})."
    yield f"- A scale a filter is no worse than one a tensor: {holds(bwn >= tensor)} ({bwn - tensor:+.2f})."


def main() -> None:
    torch.set_num_threads(1)
    runs = stored(NAME, (f"{seed}/{kind}" for seed in SEEDS for kind in KINDS), run)
    rows = [
        {
            "network": kind,
            "test accuracy": spread(over(runs, kind)),
            "bytes": spread(over(runs, kind, "bytes"), 0),
        }
        for kind in KINDS
    ]
    write_results(NAME, "Binary weights and activations", rows, HOW + "\n".join(verdicts(runs)), runs=runs)


if __name__ == "__main__":
    main()
