"""Binary layers without 90% of their words against the same network with all of them, on MNIST.

    python benchmarks/methods/packed_sparse.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import partial
from statistics import mean

import numpy as np
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
    kept,
    over,
    spread,
    stored,
    subset,
)
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
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import he_normal
from smidgen.run.isa import VARIABLE
from smidgen.run.native import native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer

NAME = "methods/packed_sparse"
ROWS, VALIDATION, INPUTS, HIDDEN = 3_000, 2_000, 768, 512
RATES = (1e-3, 3e-3)
EPOCHS = (3, 13)  # the first alone, then 3 with packs chosen anew and 10 with those that are left
OPEN_SHARE = 3 / 13
KINDS = DENSE, PLAIN, SORTED = "XNOR", "packs, inputs as they are", "packs, inputs sorted"
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


def scene(seed: int) -> Splits:
    some = subset(data_of("mnist"), seed, ROWS, VALIDATION)
    return Splits(cut(some.train), cut(some.validation), cut(some.test), some.classes)


def tried(key: str) -> Run:
    """`rate/KIND/RATE`: the validation accuracy of one training with the first seed."""
    _, kind, rate = key.split("/")
    data = scene(SEEDS[0])
    made, _ = artifact(recipe(kind, float(rate)), network(SEEDS[0]), data, SEEDS[0])
    return {"validation": accuracy(made, data.validation)}


def best_rate(runs: Runs, kind: str) -> float:
    return max(RATES, key=lambda rate: runs[f"rate/{kind}/{rate}"]["validation"])


def final(tuned: Runs, key: str) -> Run:
    """`SEED/KIND`: one training at the kind's rate."""
    seed, kind = key.split("/")
    data = scene(int(seed))
    made, nbytes = artifact(recipe(kind, best_rate(tuned, kind)), network(int(seed)), data, int(seed))
    grid = made.values[made.inputs[0]].grid
    assert grid is not None
    few = grid.quantize(data.test.x[:500]).astype(np.int8)
    return {
        "test": accuracy(made, data.test),
        "bytes": nbytes,
        "layer bytes": layer_bytes(made),
        "unequal": int((native_plan(made).run(few) != run_integer(made, few)).sum()),
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


def verdicts(runs: Runs, times: Run) -> Iterator[str]:
    """The claims, from means over seeds."""
    dense, plain, ordered = (mean(over(runs, kind)) for kind in KINDS)
    yield f"- Packs lose at most 3 points: {holds(dense - ordered <= 3)} ({ordered - dense:+.2f})."
    gain = ordered - plain
    yield f"- Sorted inputs are worth 0.3 points: {holds(gain >= 0.3)} ({gain:+.2f})."
    for field, what in (("layer bytes", "The binary layers"), ("bytes", "The whole file")):
        share = mean(over(runs, SORTED, field)) / mean(over(runs, DENSE, field))
        yield f"- {what}: at most a fifth of the bytes: {holds(share <= 0.2)} ({share:.3f})."
    unequal = sum(over(runs, SORTED, "unequal") + over(runs, PLAIN, "unequal"))
    yield f"- The native kernel equals the reference: {holds(unequal == 0)} ({unequal:.0f} outputs differ)."
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
            "learning rate": best_rate(runs, kind),
            "test accuracy": spread(over(runs, kind)),
            "bytes": spread(over(runs, kind, "bytes"), 0),
            "bytes of the binary layers": spread(over(runs, kind, "layer bytes"), 0),
        }
        for kind in KINDS
    ]
    how = HOW + "\n".join(verdicts(runs, times))
    write_results(NAME, "Packs of binary weights", rows, how, runs=runs, times=times)


def main() -> None:
    torch.set_num_threads(1)
    times = kept(NAME).get("times") or kernel_microseconds()
    tuned = stored(NAME, (f"rate/{kind}/{rate}" for kind in KINDS for rate in RATES), tried)
    keys = (f"{seed}/{kind}" for seed in SEEDS for kind in KINDS)
    report(stored(NAME, keys, partial(final, tuned)), times)


if __name__ == "__main__":
    main()
