"""Low-rank factorization against the same architecture made narrower, both in int8.

    python benchmarks/methods/factorize.py [seed ...]

Every run is stored at once: a second start goes on from there.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from statistics import mean, stdev
from typing import Any

import torch

from benchmarks.common import RESULTS, write_results
from benchmarks.methods.rows import SEEDS, spread
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Splits
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit
from smidgen.lower import lower
from smidgen.measure.accuracy import accuracy, predict
from smidgen.methods.factorize.responses import ResponsePCA
from smidgen.methods.factorize.svd import TruncatedSVD
from smidgen.methods.post_training import weight_names
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models import cnn1d, lenet
from smidgen.run.native import native_plan
from smidgen.tasks.task import Build, load_task

NAME = "methods/factorize"
KEEPS = (0.5, 0.25, 0.1)
METHODS: dict[str, Callable[[float], Step]] = {
    "svd": lambda keep: TruncatedSVD(keep, "weights"),
    "responses": lambda keep: ResponsePCA(keep, "weights", samples=1024),
}
TRAIN_ROWS = 20_000
HOW = """\
LeNet-300-100 on the first {rows:,} training images of MNIST, and the 1-D CNN of the task watch. A share
`keep` of the weights stays: factored after training (`svd`, `responses`) and fine-tuned, or the same
architecture at the width that has as many weights, trained from scratch for as many epochs in all. Then
int8 after training. Bytes: the whole `.smg`. Accuracy: test split, percent, of the integers in the file
read back; untuned: before the last epochs. Mean ± standard deviation over {seeds} seeds (initial weights,
order of samples); better or worse: the mean difference, paired by seed, is beyond twice its standard error.

"""
Runs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Case:
    """A task, its architecture, and how long it is trained and fine-tuned."""

    build: Build
    shape: tuple[int, ...]
    training: FitSettings
    tuning: FitSettings


CASES = {
    "mnist": Case(lenet.build_300_100, (28, 28, 1), FitSettings(6, 1e-3), FitSettings(3, 1e-3)),
    "watch": Case(cnn1d.build, (200, 6), FitSettings(10, 3e-3, 32), FitSettings(5, 1e-3, 32)),
}


def weights_of(graph: Graph) -> int:
    return sum(math.prod(graph.weights[name].shape) for name in weight_names(graph))


def width_for(build: Callable[[float], Graph], weights: float) -> float:
    """The width whose network has nearly this many weights."""
    low, high = 0.01, 1.0
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if weights_of(build(middle)) < weights else (low, middle)
    return high


def artifact(graph: Graph, data: Splits, seed: int) -> dict[str, Any]:
    """Size and test accuracy of the int8 file."""
    packed = pack_smg([lower(AffineQuantization().apply(graph, Context(data, graph, seed)))])
    read = unpack_smg(packed).graph
    plan = native_plan(read)
    found = accuracy(predict(read, plan.run, data.test.x), data.test.y)
    return {"bytes": len(packed), "test": found.value}


def runs_of(task: str, data: Splits, seed: int, done: Runs) -> Iterator[tuple[str, dict[str, Any]]]:
    """The runs of one seed that are not done yet, by name."""
    case = CASES[task]

    def build(width: float) -> Graph:
        return case.build(case.shape, data.classes, width, seed)

    dense = fit(build(1.0), data, case.training, seed=seed)
    yield f"{task}/{seed}/dense", artifact(dense, data, seed)
    tune = Fit(case.tuning.epochs, case.tuning.lr, case.tuning.batch_size)
    ctx = Context(data, dense, seed)
    for keep in KEEPS:
        for method, step in METHODS.items():
            if (key := f"{task}/{seed}/{method}/{keep}") not in done:
                untuned = step(keep).apply(dense, ctx)
                tuned = Recipe((tune,)).apply(untuned, ctx)
                yield key, artifact(tuned, data, seed) | {"untuned": artifact(untuned, data, seed)["test"]}
        if (key := f"{task}/{seed}/narrow/{keep}") not in done:
            small = build(width_for(build, keep * weights_of(dense)))
            longer = replace(case.training, epochs=case.training.epochs + case.tuning.epochs)
            yield key, artifact(fit(small, data, longer, seed=seed), data, seed)


def loaded(task: str) -> Splits:
    data = load_task(task).load()
    return replace(data, train=data.train.head(TRAIN_ROWS))


def over(runs: Runs, task: str, what: str, field: str) -> list[float]:
    keys = (f"{task}/{seed}/{what}" for seed in SEEDS)
    return [float(runs[key][field]) for key in keys if field in runs.get(key, {})]


def row(runs: Runs, task: str, what: str) -> dict[str, str]:
    method, _, keep = what.partition("/")
    untuned = over(runs, task, what, "untuned")
    return {
        "task": task,
        "network": method,
        "keep": keep,
        "bytes": spread(over(runs, task, what, "bytes"), 0),
        "test accuracy": spread(over(runs, task, what, "test")),
        "untuned": spread(untuned) if untuned else "",
    }


def verdict(runs: Runs, task: str, method: str, keep: float) -> str:
    """Factored and fine-tuned against narrow, paired by seed."""
    pairs = zip(
        over(runs, task, f"{method}/{keep}", "test"), over(runs, task, f"narrow/{keep}", "test"), strict=True
    )
    gains = [a - b for a, b in pairs]
    error = stdev(gains) / math.sqrt(len(gains)) if len(gains) > 1 else math.inf
    word = "no clear difference" if abs(mean(gains)) < 2 * error else "better" if mean(gains) > 0 else "worse"
    sizes = [mean(over(runs, task, f"{what}/{keep}", "bytes")) for what in (method, "narrow")]
    saved = f"{sizes[0] - sizes[1]:+,.0f} bytes"
    return f"- {task}, {method}, keep {keep}, against narrow: {spread(gains)} points, {saved}: {word}."


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    runs: Runs = json.loads(file.read_text())["runs"] if file.exists() else {}
    for task in CASES:
        data = loaded(task)
        for seed in seeds:
            if all(f"{task}/{seed}/{what}/{keep}" in runs for what in (*METHODS, "narrow") for keep in KEEPS):
                continue
            for key, found in runs_of(task, data, seed, runs):
                runs[key] = found
                print(key, found, flush=True)
                report(runs)
    report(runs)


def report(runs: Runs) -> None:
    kinds = [f"{method}/{keep}" for keep in KEEPS for method in (*METHODS, "narrow")]
    found = [(task, what) for task in CASES for what in ("dense", *kinds) if over(runs, task, what, "test")]
    whole = [
        (task, method, keep)
        for task in CASES
        for keep in KEEPS
        for method in METHODS
        if len(over(runs, task, f"narrow/{keep}", "test")) == len(SEEDS)
    ]
    how = HOW.format(rows=TRAIN_ROWS, seeds=len(SEEDS)) + "\n".join(verdict(runs, *each) for each in whole)
    rows = [row(runs, task, what) for task, what in found]
    write_results(NAME, "Low-rank factorization", rows, how.strip(), runs=runs)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
