"""Shared by benchmarks of post-training methods: artifacts and their scores, runs that are stored at once."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.common import RESULTS
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.files import write_whole
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.lower import lower
from smidgen.measure.accuracy import predict
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.run.native import native_plan
from smidgen.tasks.task import load_task

SEEDS = (0, 1, 2)
Run = dict[str, float]
Runs = dict[str, Run]


def artifact(steps: Sequence[Step], graph: Graph, data: Splits, seed: int) -> tuple[Graph, int]:
    """The integers of the file that a recipe makes, read back, and the file's length in bytes."""
    packed = pack_smg([lower(Recipe(tuple(steps)).apply(graph, Context(data, graph, seed)))])
    made = unpack_smg(packed).graph
    assert made.is_integer
    return made, len(packed)


def accuracy(integers: Graph, part: Dataset) -> float:
    """Right answers of the native plan in percent."""
    return 100 * float((predict(integers, native_plan(integers).run, part.x) == part.y).mean())


def score(steps: Sequence[Step], graph: Graph, data: Splits, seed: int) -> Run:
    """Accuracy on validation and test, bytes of the file, multiplications a sample."""
    made, nbytes = artifact(steps, graph, data, seed)
    found = {"validation": accuracy(made, data.validation), "test": accuracy(made, data.test)}
    return {**found, "bytes": nbytes, "macs": sum(macs(made).values())}


def stored(name: str, keys: Iterable[str], run: Callable[[str], Mapping[str, float]]) -> Runs:
    """All runs of `keys`: those in `results/<name>.json` are read, the others done and added one by one."""
    document = kept(name)
    runs: Runs = document.setdefault("runs", {})
    for key in keys:
        if key not in runs:
            runs[key] = dict(run(key))
            write_whole(RESULTS / f"{name}.json", json.dumps(document, indent=1) + "\n")
            print(key, runs[key], flush=True)
    return runs


def kept(name: str) -> dict[str, Any]:
    """What `results/<name>.json` holds; nothing if there is none."""
    file = RESULTS / f"{name}.json"
    return dict(json.loads(file.read_text(encoding="utf-8"))) if file.exists() else {}


def over(runs: Runs, row: str, field: str = "test") -> list[float]:
    """A field of the runs `<seed>/<row>` of all seeds."""
    return [runs[f"{seed}/{row}"][field] for seed in SEEDS]


@lru_cache(1)
def data_of(task: str) -> Splits:
    """The task's data, read once."""
    return load_task(task).load()


def subset(data: Splits, seed: int, train: int, validation: int) -> Splits:
    """So many training and validation samples, drawn with `seed`, and the whole test split."""
    rng = np.random.default_rng(seed)
    some = data.train.take(rng.permutation(len(data.train))[:train])
    others = data.validation.take(rng.permutation(len(data.validation))[:validation])
    return Splits(some, others, data.test, data.classes)


def spread(values: Sequence[float], digits: int = 2) -> str:
    """Mean and standard deviation."""
    shown = f"{mean(values):,.{digits}f}"
    return f"{shown} ± {stdev(values):,.{digits}f}" if len(values) > 1 else shown


def holds(claim: bool) -> str:
    return "holds" if claim else "does not hold"
