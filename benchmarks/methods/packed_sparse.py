"""Binary layers without 90% of their words against the same network with all of them, on MNIST.

    python benchmarks/methods/packed_sparse.py [seed ...]

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, write_results
from benchmarks.methods.rows import subset
from smidgen.codec.container import pack_smg
from smidgen.codec.streams import encode_stream
from smidgen.data.dataset import Dataset, Splits
from smidgen.formats import Binary, BinaryPacks
from smidgen.graph import Graph, GraphBuilder
from smidgen.kernels import native
from smidgen.lower import lower
from smidgen.lower.schedule import schedule
from smidgen.methods.binarize.packed_sparse import PackedSparse
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import he_normal
from smidgen.run.isa import VARIABLE
from smidgen.run.native import native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer
from smidgen.tasks.task import load_task

NAME = "methods/packed_sparse"
SEEDS = (0, 1, 2)
ROWS, VALIDATION, INPUTS, HIDDEN = 3_000, 2_000, 768, 512
RATES = (1e-3, 3e-3)
EPOCHS = (3, 13)  # the first alone, then 3 with packs chosen anew and 10 with those that are left
OPEN_SHARE = 3 / 13
DENSE, PLAIN, SORTED = "XNOR", "packs, inputs as they are", "packs, inputs sorted"
SPARSITY = 0.9
SIDE, ROUNDS = 1024, 200
HOW = f"""\
MNIST, {ROWS:,} training and {VALIDATION:,} validation images, cut to their first {INPUTS} pixels. Layers of
{HIDDEN}, {HIDDEN} and 10 outputs; the first two are binary in weights and inputs (`binarize.xnor` with
`first: binary`), the last has 8 bits. XNOR trains {EPOCHS[0]} and {EPOCHS[1]} epochs. The others lose
{SPARSITY:.0%} of their weights one by one (`binarize.packed_sparse`, `width: 1`) for the first
{EPOCHS[0]}, then as many packs of 32 of each output, rounded to whole ones (2 of 24 and 2 of 16 stay): 3
epochs with packs chosen anew, 10 with those that are left. All choose their learning rate out of {RATES}
by validation accuracy, with seed 0. Test accuracy in percent of the integer artifact, mean ± standard
deviation over {len(SEEDS)} seeds (images, weights, order). Bytes of the whole `.smg` file; those of the two
layers are signs, which packs there are, and the order of the network's inputs where they are sorted.

"""
Run = dict[str, float]
Runs = dict[str, Run]


def network(seed: int) -> Graph:
    rng, builder = np.random.default_rng(seed), GraphBuilder("digits")
    x, inputs = builder.input("input", (INPUTS,)), INPUTS
    for number in (1, 2):
        x = builder.linear(x, he_normal(rng, (HIDDEN, inputs)), None, f"linear{number}")
        one, zero = np.ones(HIDDEN, np.float32), np.zeros(HIDDEN, np.float32)
        norm = {"gamma": one, "beta": zero, "mean": zero, "variance": one}
        x = builder.op("batch_norm", [x], norm, f"norm{number}", epsilon=1e-5)
        x, inputs = builder.op("relu", [x], name=f"relu{number}"), HIDDEN
    last = he_normal(rng, (10, HIDDEN))
    return builder.graph(builder.linear(x, last, np.zeros(10, np.float32), "logits"))


def recipe(kind: str, rate: float) -> tuple[Step, ...]:
    first, second = (Fit(epochs, rate) for epochs in EPOCHS)
    if kind == DENSE:
        return (Xnor(first="binary"), first, second, AffineQuantization())
    single = PackedSparse(SPARSITY, width=1)
    packs = PackedSparse(SPARSITY, permute="greedy" if kind == SORTED else "off", open_share=OPEN_SHARE)
    return (Xnor(first="binary"), single, first, packs, second, AffineQuantization())


def cut(data: Dataset) -> Dataset:
    return Dataset(data.x.reshape(len(data), -1)[:, :INPUTS], data.y)


def scene(data: Splits, seed: int) -> Splits:
    some = subset(data, seed, ROWS, VALIDATION)
    return Splits(cut(some.train), cut(some.validation), cut(some.test), data.classes)


def accuracy(whole: Graph, data: Dataset) -> float:
    """Percent, of the integers."""
    grid = whole.values[whole.inputs[0]].grid
    assert grid is not None
    found = native_plan(whole).run(grid.quantize(data.x).astype(np.int8)).argmax(axis=1)
    return 100 * float((found == data.y).mean())


def trained(kind: str, rate: float, data: Splits, seed: int) -> Graph:
    graph = network(seed)
    whole = lower(Recipe(recipe(kind, rate)).apply(graph, Context(data, graph, seed)))
    assert whole.is_integer
    return whole


def score(kind: str, rates: tuple[float, ...], data: Splits, seed: int) -> Run:
    """The best of `rates` on validation data, of which alone test data are looked at."""
    tried = [
        (accuracy(whole, data.validation), rate, whole)
        for rate in rates
        for whole in [trained(kind, rate, data, seed)]
    ]
    validation, rate, whole = max(tried, key=lambda run: run[0])
    grid = whole.values[whole.inputs[0]].grid
    assert grid is not None
    few = grid.quantize(data.test.x[:500]).astype(np.int8)
    return {
        "rate": rate,
        "validation": validation,
        "test": accuracy(whole, data.test),
        "bytes": len(pack_smg([whole])),
        "layer bytes": layer_bytes(whole),
        "unequal": int((native_plan(whole).run(few) != run_integer(whole, few)).sum()),
    }


def layer_bytes(whole: Graph) -> int:
    """Coded bytes of the binary weights, and of the order of gathered inputs."""
    names = [name for name, fmt in whole.weights.items() if isinstance(fmt, Binary | BinaryPacks)]
    names += [node.params["indices"] for node in whole.nodes if node.op == "q.gather"]
    return sum(len(encode_stream(leaf)) for name in names for leaf in whole.weights[name].leaves())


def kernel_microseconds() -> Run:
    """Least time of a layer of SIDE inputs and outputs on one sample, by instruction set and weights."""
    rng = np.random.default_rng(0)
    weight = rng.normal(size=(SIDE, SIDE)).astype(np.float32)
    found: Run = {}
    for isa in native().supported_isas():
        for kind, signs in (("dense", Binary.fit(weight)), ("packs", BinaryPacks.fit(weight, SPARSITY))):
            os.environ[VARIABLE] = isa
            found[f"{isa} {kind}"] = _layer_microseconds(signs)
            del os.environ[VARIABLE]
    return found


def _layer_microseconds(weight: Binary | BinaryPacks) -> float:
    builder = GraphBuilder("layers")
    x = builder.input("input", (SIDE,))
    for number in (1, 2):
        x = builder.linear(builder.op("binarize", [x]), weight, None, f"linear{number}")
    graph = builder.graph(x)
    data = Dataset(
        np.random.default_rng(1).normal(size=(64, SIDE)).astype(np.float32), np.zeros(64, np.int64)
    )
    context = Context(Splits(data, data, data, 2), graph)
    program = schedule(lower(AffineQuantization().apply(graph, context)))
    which = next(i for i, call in enumerate(program.calls) if call.kernel.endswith("_bits"))
    plan = load(program.name, *serialize(program), [""] * len(program.calls))
    ports = [
        [np.zeros((1, *port.shape), port.dtype) for port in side]
        for side in (program.inputs, program.outputs)
    ]
    return 1e6 * min(float(plan.times(*ports)[which]) for _ in range(ROUNDS))


def over(runs: Runs, kind: str, field: str) -> list[float]:
    return [runs[key][field] for seed in SEEDS if (key := f"{seed}/{kind}") in runs]


def spread(values: list[float], digits: int = 2) -> str:
    return f"{mean(values):.{digits}f}" + (f" ± {stdev(values):.{digits}f}" if len(values) > 1 else "")


def verdicts(runs: Runs, times: Run) -> Iterator[str]:
    """The claims, from means over seeds."""
    holds = {True: "holds", False: "does not hold"}
    dense, plain, ordered = (mean(over(runs, kind, "test")) for kind in (DENSE, PLAIN, SORTED))
    yield f"- Packs lose at most 3 points: {holds[dense - ordered <= 3]} ({ordered - dense:+.2f})."
    gain = ordered - plain
    yield f"- Sorted inputs are worth 0.3 points: {holds[gain >= 0.3]} ({gain:+.2f})."
    for field, what in (("layer bytes", "The binary layers"), ("bytes", "The whole file")):
        share = mean(over(runs, SORTED, field)) / mean(over(runs, DENSE, field))
        yield f"- {what}: at most a fifth of the bytes: {holds[share <= 0.2]} ({share:.3f})."
    unequal = sum(over(runs, SORTED, "unequal") + over(runs, PLAIN, "unequal"))
    yield f"- The native kernel equals the reference: {holds[unequal == 0]} ({unequal:.0f} outputs differ)."
    for isa in dict.fromkeys(key.split()[0] for key in times):
        dense_us, packs_us = times[f"{isa} dense"], times[f"{isa} packs"]
        yield (
            f"- A layer of {SIDE} x {SIDE}, one sample, {isa}: {packs_us:.2f} µs instead of {dense_us:.2f} "
            f"({dense_us / packs_us:.1f} times as fast)."
        )


def report(runs: Runs, times: Run) -> None:
    rows = [
        {
            "network": kind,
            "learning rate": runs[f"0/{kind}"]["rate"],
            "test accuracy": spread(over(runs, kind, "test")),
            "bytes": spread(over(runs, kind, "bytes"), 0),
            "bytes of the binary layers": spread(over(runs, kind, "layer bytes"), 0),
        }
        for kind in (DENSE, PLAIN, SORTED)
        if f"0/{kind}" in runs
    ]
    complete = all(len(over(runs, kind, "test")) == len(SEEDS) for kind in (DENSE, PLAIN, SORTED))
    how = HOW + "\n".join(verdicts(runs, times) if complete else ())
    write_results(NAME, "Packs of binary weights", rows, how.strip(), runs=runs, times=times)


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    runs: Runs = stored.get("runs", {})
    times: Run = stored.get("times") or kernel_microseconds()
    whole: Any = None
    for seed in seeds:
        for kind in (DENSE, PLAIN, SORTED):
            if (key := f"{seed}/{kind}") in runs:
                continue
            whole = whole or load_task("mnist").load()
            rates = RATES if seed == SEEDS[0] else (runs[f"{SEEDS[0]}/{kind}"]["rate"],)
            runs[key] = score(kind, rates, scene(whole, seed), seed)
            print(key, runs[key], flush=True)
            report(runs, times)
    report(runs, times)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
