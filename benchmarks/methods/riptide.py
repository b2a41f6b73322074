"""Binary weights with power-of-two scales and activations of one to three bits: accuracy on MNIST, and time.

    python benchmarks/methods/riptide.py [seed ...]

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from statistics import mean
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from benchmarks.common import RESULTS, write_results
from benchmarks.kernel_cases.serial import BITS, CHANNELS, LAYERS, SIZE, conv_256
from benchmarks.kernels import rows_of, timed
from benchmarks.methods.binarize import ROWS, VALIDATION, scene, spread
from smidgen.codec.container import pack_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph
from smidgen.kernels.isa import chosen_isa
from smidgen.lower import lower
from smidgen.methods.binarize.riptide import Riptide
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.native import native_plan
from smidgen.tasks.task import load_task

NAME = "methods/riptide"
SEEDS = (0, 1, 2)
TRAINING = Fit(epochs=6, batch_size=64, patience=6)
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
Runs = dict[str, dict[str, float]]
Rows = list[dict[str, Any]]


def network(seed: int) -> Graph:
    blocks = Blocks("digits", (28, 28, 1), seed).conv(16, 3).max_pool(2).conv(32, 3).max_pool(2)
    return blocks.conv(32, 3).flatten().linear(64).classify(10)


def trained(kind: str, data: Splits, seed: int, rate: float) -> Graph:
    """The integer graph."""
    graph = network(seed)
    steps = (*KINDS[kind], replace(TRAINING, lr=rate), AffineQuantization())
    whole = lower(Recipe(steps).apply(graph, Context(data, graph, seed)))
    assert whole.is_integer
    return whole


def accuracy(whole: Graph, samples: Dataset) -> float:
    grid = whole.values[whole.inputs[0]].grid
    assert grid is not None
    found = native_plan(whole).run(grid.quantize(samples.x).astype(np.int8)).argmax(axis=1)
    return 100 * float((found == samples.y).mean())


def run(key: str, data: Splits, rates: Mapping[str, float]) -> dict[str, float]:
    """One training. `rate/KIND/RATE`: its validation accuracy; `SEED/KIND`: its test accuracy."""
    start, (what, kind, *rate) = time.process_time(), key.split("/")
    if what == "rate":
        seed = max(SEEDS) + 1
        part = scene(data, seed)
        found = {"validation": accuracy(trained(kind, part, seed, float(rate[0])), part.validation)}
    else:
        part = scene(data, int(what))
        whole = trained(kind, part, int(what), rates[kind])
        found = {"test": accuracy(whole, part.test), "bytes": len(pack_smg([whole]))}
    return {**found, "cpu_seconds": time.process_time() - start}


def best_rates(runs: Runs) -> dict[str, float]:
    """For each kind whose rates have all been tried."""
    found = {}
    for kind, tuned in TUNED.items():
        tried = {rate: runs.get(f"rate/{tuned}/{rate}") for rate in RATES}
        scores = {rate: made["validation"] for rate, made in tried.items() if made}
        if len(scores) == len(RATES):
            found[kind] = max(scores, key=lambda rate: scores[rate])
    return found


def over(runs: Runs, kind: str, field: str) -> list[float]:
    return [runs[key][field] for seed in SEEDS if (key := f"{seed}/{kind}") in runs]


def verdicts(runs: Runs, times: Rows) -> Iterator[str]:
    """The claims: accuracies from means over seeds, times from medians."""
    holds = {True: "holds", False: "does not hold"}
    for bits in BITS:
        power, exact = (over(runs, f"{bits} bits, {scales} scales", "test") for scales in ("power", "exact"))
        if len(power) == len(exact) == len(SEEDS):
            lost = mean(exact) - mean(power)
            claim = f"- {bits} bits: power-of-two scales within {MOST_LOST:g} point of exact ones"
            yield f"{claim}: {holds[lost <= MOST_LOST]} ({-lost:+.2f})."
    us = {row["candidate"]: row["median"] for row in times}
    for bits in BITS if us else ():
        fused, apart = us[f"{bits} bits, fused"], us[f"{bits} bits, unfused"]
        yield f"- {bits} bits: fused faster than unfused: {holds[fused < apart]} ({apart / fused:.2f}×)."
    for name in us:
        if not name.endswith("fused"):
            fastest, slowest = (us[f"{bits} bits, fused"] for bits in (BITS[0], BITS[-1]))
            span = f"{us[name] / fastest:.2f}× at {BITS[0]} bits, {us[name] / slowest:.2f}× at {BITS[-1]}"
            yield f"- Fused faster than {name}: {holds[slowest < us[name]]} for all bits ({span})."


def report(runs: Runs, times: Rows) -> None:
    rates = best_rates(runs)
    rows = [
        {
            "network": kind,
            "test accuracy": spread(tests) if (tests := over(runs, kind, "test")) else "not run yet",
            "bytes": spread(over(runs, kind, "bytes"), 0) if tests else "",
            "rate": rates.get(kind, ""),
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


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    runs: Runs = stored.get("runs", {})
    times: Rows = stored.get("times") or measured()
    data: Any = None
    keys = [f"rate/{kind}/{rate}" for kind in dict.fromkeys(TUNED.values()) for rate in RATES]
    keys += [f"{seed}/{kind}" for seed in seeds for kind in KINDS]
    for key in keys:
        if key not in runs:
            data = data or load_task("mnist").load()
            runs[key] = run(key, data, best_rates(runs))
            print(key, runs[key], flush=True)
            report(runs, times)
    report(runs, times)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
