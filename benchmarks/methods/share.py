"""Deep Compression on LeNet-300-100: what pruning, weight sharing and coding each take off the file.

Claims of Han, Mao, Dally 2016 (arXiv 1510.00149), tried on MNIST: the coded file is at least 20 times smaller
than the float weights at a loss of at most one point; sizes fall with every stage; trained centroids are at
least as accurate as clustered ones. Every run is stored at once: a second start goes on from there.

    python benchmarks/methods/share.py [seed ...]
"""

from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from statistics import mean
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS
from benchmarks.methods.rows import SEEDS, spread
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Splits
from smidgen.files import write_whole
from smidgen.formats import Dense, Integer
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.lower import lower
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe, describe
from smidgen.methods.share.codebook import WeightSharing
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models import mlp
from smidgen.run.cpu import cpu_name
from smidgen.run.native import native_plan
from smidgen.tasks.task import load_task

FILE = RESULTS / "methods/share.json"
DENSE = FitSettings(epochs=6, lr=1e-3)
PRUNE = Recipe((GlobalMagnitude(0.92, schedule="gradual"), Fit(epochs=6)))  # the paper keeps 8% as well
TUNING = Fit(epochs=3)
BITS = (5, 3, 2)
GZIP = 16 + zlib.MAX_WBITS
HOW = """\
Sizes in bytes, accuracy in percent, both mean ± standard deviation over {seeds} seeds (initial weights, order
of samples). fp32: all weights and biases, 4 bytes each. gzip: level 9. int8 + gzip: weights, biases and
multipliers of the network quantized to int8 after training. pruned: positions and float32 weights. packed:
pruned and shared, every stream at its fixed width, without entropy coding. file: all of the
`.smg`. Accuracies of `int8` and below are of the integers in the file, read back; files were unpacked and
their weights compared with those in memory, bit for bit. Untuned: before the last {epochs} epochs."""
Runs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Start:
    """What all variants of a seed begin with."""

    dense: Graph
    pruned: Graph


def steps() -> Iterator[Step]:
    """Weight sharing, and uniform quantization with as many bits to compare it with."""
    for bits in BITS:
        yield WeightSharing(linear_bits=bits)
        yield AffineQuantization(bits=bits)


def gzip_bytes(data: bytes) -> int:
    packer = zlib.compressobj(9, wbits=GZIP)
    return len(packer.compress(data) + packer.flush())


def float_bytes(graph: Graph) -> bytes:
    return b"".join(np.ascontiguousarray(fmt.decode()).tobytes() for fmt in graph.weights.values())


def integer_bytes(graph: Graph) -> bytes:
    """Weights as int8, biases, multipliers and shifts of an integer graph."""
    parts = []
    for fmt in graph.weights.values():
        whole = fmt.integers()
        array = fmt.array if isinstance(fmt, Dense | Integer) else whole.values if whole else fmt.decode()
        parts.append(np.ascontiguousarray(array).tobytes())
    return b"".join(parts)


def percent(outputs: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float((outputs.argmax(axis=1) == labels).mean())


def artifact(graph: Graph, data: Splits) -> dict[str, Any]:
    """The file of a quantized network: its size, its accuracy, and whether it holds the same weights."""
    integer = lower(graph)
    packed = pack_smg([integer])
    read = unpack_smg(packed).graph
    grid = read.values[read.inputs[0]].grid
    assert grid is not None
    assert all(np.array_equal(read.weights[n].decode(), w.decode()) for n, w in integer.weights.items())
    plan = native_plan(read)
    return {
        "file": len(packed),
        "packed": sum(fmt.stored_bytes() for fmt in integer.weights.values()),
        "gzip": gzip_bytes(integer_bytes(integer)),
        **{
            split: percent(plan.run(grid.quantize(part.x).astype(np.int8)), part.y)
            for split, part in (("validation", data.validation), ("test", data.test))
        },
    }


def start(data: Splits, seed: int) -> Start:
    dense = fit(mlp.build((28, 28, 1), 10, seed=seed, sizes=(300, 100)), data, DENSE, seed=seed)
    return Start(dense, PRUNE.apply(dense, Context(data, dense, seed)))


def common_rows(begin: Start, data: Splits, seed: int) -> Runs:
    """What is not a variant of the last stage."""
    whole = float_bytes(begin.dense)
    int8 = AffineQuantization().apply(begin.dense, Context(data, begin.dense, seed))
    pruned = sum(fmt.stored_bytes() for fmt in begin.pruned.weights.values())
    return {
        f"{seed}/fp32": {
            "file": len(whole),
            "gzip": gzip_bytes(whole),
            "test": percent(float_logits(begin.dense, data.test.x), data.test.y),
        },
        f"{seed}/int8": artifact(int8, data),
        f"{seed}/pruned": {
            "file": pruned,
            "test": percent(float_logits(begin.pruned, data.test.x), data.test.y),
        },
    }


def variant(begin: Start, step: Step, data: Splits, seed: int) -> dict[str, Any]:
    ctx = Context(data, begin.dense, seed)
    untuned = step.apply(begin.pruned, ctx)
    found = artifact(TUNING.apply(untuned, ctx), data)
    return {**found, "untuned": artifact(untuned, data)["test"]}


def run(seeds: tuple[int, ...]) -> Runs:
    """All runs: those in the file are read, the others done and added."""
    runs: Runs = json.loads(FILE.read_text()) if FILE.exists() else {}
    data = load_task("mnist").load()
    for seed in seeds:
        todo = {key: s for s in steps() if (key := f"{seed}/{describe(s)}") not in runs}
        if not todo:
            continue
        begin = start(data, seed)
        runs |= common_rows(begin, data, seed)
        for key, step in todo.items():
            runs[key] = variant(begin, step, data, seed)
            write_whole(FILE, json.dumps(runs, indent=1) + "\n")
            print(key, runs[key], flush=True)
    return runs


def complete(runs: Runs) -> Runs:
    """The runs of seeds for which all steps are done."""
    done = [seed for seed in SEEDS if all(f"{seed}/{describe(step)}" in runs for step in steps())]
    return {key: run for key, run in runs.items() if int(key.split("/")[0]) in done}


def over(runs: Runs, what: str, field: str) -> list[float]:
    return [float(runs[f"{seed}/{what}"][field]) for seed in SEEDS if f"{seed}/{what}" in runs]


def row(runs: Runs, label: str, sizes: list[float], tests: list[float], untuned: list[float]) -> str:
    ratio = mean(over(runs, "fp32", "file")) / mean(sizes)
    before = spread(untuned, 2) if untuned else ""
    accuracy = spread(tests, 2) if tests else ""
    return f"| {label} | {spread(sizes, 0)} | {ratio:.1f} | {accuracy} | {before} |"


def table(runs: Runs) -> Iterator[str]:
    yield "| what | bytes | times smaller | test accuracy | untuned |"
    yield "|---|---|---|---|---|"
    whole, int8, none = over(runs, "fp32", "test"), over(runs, "int8", "test"), list[float]()
    yield row(runs, "fp32", over(runs, "fp32", "file"), whole, none)
    yield row(runs, "fp32 + gzip", over(runs, "fp32", "gzip"), whole, none)
    yield row(runs, "int8 + gzip", over(runs, "int8", "gzip"), int8, none)
    yield row(runs, "int8, file", over(runs, "int8", "file"), int8, none)
    yield row(runs, "pruned", over(runs, "pruned", "file"), over(runs, "pruned", "test"), none)
    for step in steps():
        what = describe(step)
        if tests := over(runs, what, "test"):
            yield row(runs, f"pruned, {what}, packed", over(runs, what, "packed"), tests, none)
            before = over(runs, what, "untuned")
            yield row(runs, f"pruned, {what}, file", over(runs, what, "file"), tests, before)


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, each for the paper's own setting: 5 bits an index."""
    shared = describe(WeightSharing())
    size = mean(over(runs, shared, "file"))
    ratio = mean(over(runs, "fp32", "file")) / size
    drop = mean(over(runs, "fp32", "test")) - mean(over(runs, shared, "test"))
    stages = [over(runs, "fp32", "file"), over(runs, "pruned", "file")]
    stages += [over(runs, shared, "packed"), over(runs, shared, "file")]
    falls = all(a > b for seed in zip(*stages, strict=True) for a, b in pairwise(seed))
    yield f"- 20 times smaller: {ratio:.1f} times, {_holds(ratio >= 20)}."
    yield f"- At most one point lost: {drop:+.2f} points, {_holds(drop <= 1)}."
    yield f"- Sizes fall with every stage, for every seed: {_holds(falls)}."
    for bits in BITS:
        what = describe(WeightSharing(linear_bits=bits))
        gain = mean(over(runs, what, "test")) - mean(over(runs, what, "untuned"))
        yield f"- Trained over clustered centroids at {bits} bits: {gain:+.2f} points, {_holds(gain >= 0)}."
    for bits in BITS:
        yield _against_affine(runs, bits)


def _against_affine(runs: Runs, bits: int) -> str:
    shared, affine = describe(WeightSharing(linear_bits=bits)), describe(AffineQuantization(bits=bits))
    size = mean(over(runs, shared, "file")) - mean(over(runs, affine, "file"))
    gain = mean(over(runs, shared, "test")) - mean(over(runs, affine, "test"))
    return f"- Shared against uniform at {bits} bits: {size:+,.0f} bytes, {gain:+.2f} points."


def _holds(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def page(runs: Runs) -> str:
    """The report in Markdown."""
    claims = (__doc__ or "").split(" Every run")[0].splitlines()[2:]
    done = len(over(runs, "fp32", "file"))
    head = ["# Trained weight sharing", "", *claims, "", HOW.format(seeds=done, epochs=TUNING.epochs), ""]
    tail = ["", f"Machine: {cpu_name()}. Script: `benchmarks/methods/share.py`.", ""]
    return "\n".join([*head, *table(runs), "", *verdicts(runs), *tail])


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    if runs := complete(run(seeds)):
        write_whole(RESULTS / "methods/share.md", page(runs))


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
