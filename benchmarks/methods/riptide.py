"""Binary weights with power-of-two scales and activations of one to three bits: accuracy on MNIST, and time.

    python benchmarks/methods/riptide.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import partial
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.common import write_results
from benchmarks.kernel_cases.serial import BITS, CHANNELS, LAYERS, SIZE, conv_256
from benchmarks.kernels import rows_of, timed
from benchmarks.methods.binarize import ROWS, VALIDATION
from benchmarks.methods.rows import (
    SEEDS,
    Run,
    Runs,
    accuracy,
    artifact,
    data_of,
    holds,
    kept,
    over,
    spread,
    stored,
    subset,
)
from smidgen.data.dataset import Splits
from smidgen.graph import Graph
from smidgen.kernels.isa import chosen_isa
from smidgen.methods.binarize.riptide import Riptide
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks

NAME = "methods/riptide"
TRAINING = Fit(epochs=6, batch_size=64, patience=6)
TUNING_SEED = 3
RATES = (1e-3, 3e-3, 1e-2)
REFERENCE = "8 bits"
KINDS: dict[str, tuple[Step, ...]] = {
    REFERENCE: (),
    **{
        f"{bits} bits, {scales} scales": (Riptide(bits=bits, scales=scales),)
        for bits in BITS
        for scales in ("exact", "power")
    },
}
# Whose rate each kind takes: one tried at as many rates, so that exact scales and powers are tuned alike.
TUNED = {REFERENCE: REFERENCE} | {
    kind: f"2 bits, {kind.split(', ')[1]}" for kind in KINDS if kind != REFERENCE
}
MOST_LOST = 1.0  # points
HOW = f"""\
**Accuracy.** MNIST, {ROWS:,} training and {VALIDATION:,} validation images. A network of three convolutions
(16, 32, 32 channels) and two linear layers (64, 10), from random weights: `binarize.riptide` (nothing for
the first row), then {TRAINING.epochs} epochs of training, the best on validation kept, then
`quantize.affine` at 8 bits. The first and the last layer keep 8 bits everywhere. `power` scales are the
method: sizes of weights and normalization are powers of two, without gain and offset; `exact` ones are mean
sizes and a BatchNorm with both. Each trains with the gradient of its own paper, so the difference is that of
two methods, not of the rounding alone. The reference and both kinds of scales (at 2 bits) have tried the
rates {RATES} with a seed of their own; the best on validation is used. Test accuracy in percent of the
integer artifact, mean ± standard deviation over {len(SEEDS)} seeds (images, weights, order); bytes of
the whole `.smg` file.

**Time.** {LAYERS} convolutions 3×3 in a chain, {CHANNELS} to {CHANNELS} channels on {SIZE}×{SIZE}, one image,
from int8 to int8. One thread; candidates take turns; medians of processor time with the 10th and 90th
percentile. `fused`: each layer writes the planes that the next one reads. `unfused`: the same kernel makes
int8, then a 1×1 convolution a channel (ShiftNorm), a requantization (clip, round) and a packing of planes.
The other runtimes compute the same convolutions in their own numbers, with ReLU. `of the first` is how many
times longer a row takes.

"""
Rows = list[dict[str, Any]]


def network(seed: int) -> Graph:
    blocks = Blocks("digits", (28, 28, 1), seed).conv(16, 3).max_pool(2).conv(32, 3).max_pool(2)
    return blocks.conv(32, 3).flatten().linear(64).classify(10)


def trained(kind: str, data: Splits, seed: int, rate: float) -> tuple[Graph, int]:
    """The integers, and the bytes of their file."""
    steps = (*KINDS[kind], replace(TRAINING, lr=rate), AffineQuantization())
    return artifact(steps, network(seed), data, seed)


def tried(key: str) -> Run:
    """`rate/KIND/RATE`: the validation accuracy of one training."""
    start, (_, kind, rate) = time.process_time(), key.split("/")
    data = subset(data_of("mnist"), TUNING_SEED, ROWS, VALIDATION)
    made, _ = trained(kind, data, TUNING_SEED, float(rate))
    return {"validation": accuracy(made, data.validation), "cpu_seconds": time.process_time() - start}


def final(rates: Mapping[str, float], key: str) -> Run:
    """`SEED/KIND`: test accuracy and bytes of one training at the kind's rate."""
    start, (seed, kind) = time.process_time(), key.split("/")
    data = subset(data_of("mnist"), int(seed), ROWS, VALIDATION)
    made, nbytes = trained(kind, data, int(seed), rates[kind])
    found = {"test": accuracy(made, data.test), "bytes": nbytes}
    return {**found, "cpu_seconds": time.process_time() - start}


def best_rates(runs: Runs) -> dict[str, float]:
    """By kind, the best on validation."""
    return {
        kind: max(RATES, key=lambda rate: runs[f"rate/{tuned}/{rate}"]["validation"])
        for kind, tuned in TUNED.items()
    }


def verdicts(runs: Runs, times: Rows) -> Iterator[str]:
    """The claims: accuracies from means over seeds, times from medians."""
    for bits in BITS:
        power, exact = (mean(over(runs, f"{bits} bits, {scales} scales")) for scales in ("power", "exact"))
        lost = exact - power
        claim = f"- {bits} bits: power-of-two scales within {MOST_LOST:g} point of exact ones"
        yield f"{claim}: {holds(lost <= MOST_LOST)} ({-lost:+.2f})."
    us = {row["candidate"]: row["median"] for row in times}
    for bits in BITS:
        fused, apart = us[f"{bits} bits, fused"], us[f"{bits} bits, unfused"]
        yield f"- {bits} bits: fused faster than unfused: {holds(fused < apart)} ({apart / fused:.2f}×)."
    for name in us:
        if not name.endswith("fused"):
            fastest, slowest = (us[f"{bits} bits, fused"] for bits in (BITS[0], BITS[-1]))
            span = f"{us[name] / fastest:.2f}× at {BITS[0]} bits, {us[name] / slowest:.2f}× at {BITS[-1]}"
            yield f"- Fused faster than {name}: {holds(slowest < us[name])} for all bits ({span})."


def report(runs: Runs, times: Rows) -> None:
    rates = best_rates(runs)
    rows = [
        {
            "network": kind,
            "test accuracy": spread(over(runs, kind)),
            "bytes": spread(over(runs, kind, "bytes"), 0),
            "rate": rates[kind],
        }
        for kind in KINDS
    ]
    seconds = sum(made["cpu_seconds"] for made in runs.values())
    spent = f"\n\nAll trainings took {seconds / 60:.0f} processor minutes.\n\n"
    how = HOW + "\n".join(verdicts(runs, times)) + spent + "\n".join(time_table(times))
    write_results(NAME, "Riptide", rows, how, runs=runs, times=times, isa=chosen_isa())


def time_table(times: Rows) -> Iterator[str]:
    yield "| layers | µs | of the first |"
    yield "|---|---|---|"
    for row in times:
        yield f"| {row['candidate']} | {row['us']} | {row['ratio']} |"


def measured() -> Rows:
    case = conv_256()
    times = timed(case)
    return [
        {**row, "ratio": row["times faster"], "median": float(np.median(times[row["candidate"]]))}
        for row in rows_of("serial", case, times)
    ]


def main() -> None:
    torch.set_num_threads(1)
    times = kept(NAME).get("times") or measured()
    runs = stored(
        NAME, (f"rate/{kind}/{rate}" for kind in dict.fromkeys(TUNED.values()) for rate in RATES), tried
    )
    keys = (f"{seed}/{kind}" for seed in SEEDS for kind in KINDS)
    report(stored(NAME, keys, partial(final, best_rates(runs))), times)


if __name__ == "__main__":
    main()
