"""Global magnitude pruning against uniform pruning, and what the minimum per layer saves.

Claims of Gupta et al. 2022 (arXiv 2209.14624), tried on small networks: one global threshold is at least as
good as equal sparsity in every layer at 95%; at 99.5% it empties layers and the network fails, and a minimum
per layer (MT) wins back at least 10 points. Every run is stored at once: a second start goes on from there.

    python benchmarks/methods/prune.py [task ...]
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from smidgen.data.dataset import Dataset, Splits
from smidgen.files import write_whole
from smidgen.formats import Sparse
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.methods.prune.global_magnitude import GlobalMagnitude, prunable, sparsity_of
from smidgen.methods.recipe import Recipe, describe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.tasks.task import load_task

RESULTS = Path(__file__).parents[1] / "results/methods"
SEEDS = (0, 1, 2)
SCHEDULES = ("one_shot", "gradual")
MINIMUMS = (0.02, 0.05, 0.08)  # percent of all weights; the best on validation is compared
HIGH, EXTREME = 0.95, 0.995


@dataclass(frozen=True)
class Setup:
    """Training of a task: the same for the dense network and after pruning."""

    epochs: int
    lr: float
    train_rows: int


SETUPS = {
    "digits": Setup(60, 3e-3, 10_000),
    "watch": Setup(15, 3e-3, 10_000),
    "mnist": Setup(6, 2e-3, 12_000),
}
READING = """\
Test accuracy in percent, mean ± standard deviation over {seeds} seeds (initial weights, order of samples),
of float networks. The pruned networks train with the settings of the dense one. MT: the best of three
minimums on validation, in percent of all weights. MACs: multiply-accumulates whose weight is not zero, in
percent of the dense network's: work that a sparse kernel could skip, not a measured speed-up. Equal sparsity
is not equal work: where a global threshold spares convolutions, it keeps more of it than a uniform one. Off:
the largest distance from the asked sparsity, in percentage points. Kept: weights left by layer, seed 0."""
Runs = dict[str, dict[str, Any]]


def steps() -> Iterator[GlobalMagnitude]:
    for schedule in SCHEDULES:
        for sparsity in (HIGH, EXTREME):
            for scope in ("global", "uniform"):
                yield GlobalMagnitude(sparsity, schedule=schedule, scope=scope)
        for minimum in MINIMUMS:
            yield GlobalMagnitude(EXTREME, minimum, schedule)


def accuracy(graph: Graph, data: Dataset) -> float:
    """Percent correct of the float network, which is what these recipes make."""
    return 100 * float((float_logits(graph, data.x).argmax(axis=1) == data.y).mean())


def macs(graph: Graph) -> int:
    """Multiply-accumulates with a nonzero weight, of one sample."""
    layers = [node for node in graph.nodes if node.op in ("conv", "linear")]
    return sum(
        math.prod(graph.values[node.output].shape[:-1])
        * np.count_nonzero(graph.weights[node.params["weight"]].decode())
        for node in layers
    )


def measure(dense: Graph, step: GlobalMagnitude, data: Splits, setup: Setup, seed: int) -> dict[str, Any]:
    recipe = Recipe((step, Fit(setup.epochs, setup.lr)))
    graph = recipe.apply(dense, Context(data, dense, seed))
    weights = [w for name in prunable(graph) if isinstance(w := graph.weights[name], Sparse)]
    return {
        "validation": accuracy(graph, data.validation),
        "test": accuracy(graph, data.test),
        "sparsity": sparsity_of(weights),
        "kept": [int(w.mask.sum()) for w in weights],
        "macs_percent": 100 * macs(graph) / macs(dense),
    }


def run(tasks: list[str], path: Path) -> Runs:
    """All runs of `tasks`, those in `path` read and the others done and added."""
    runs: Runs = json.loads(path.read_text()) if path.exists() else {}
    for name in tasks:
        setup, task = SETUPS[name], load_task(name)
        whole = task.load()
        data = Splits(whole.train.head(setup.train_rows), whole.validation, whole.test, whole.classes)
        for seed in SEEDS:
            todo = {key: s for s in steps() if (key := f"{name}/{seed}/{describe(s)}") not in runs}
            if not todo:
                continue
            dense = fit(task.model(seed=seed), data, FitSettings(setup.epochs, setup.lr), seed=seed)
            runs[f"{name}/{seed}/dense"] = {"test": accuracy(dense, data.test), "rows": len(data.train)}
            for key, step in todo.items():
                runs[key] = measure(dense, step, data, setup, seed)
                write_whole(path, json.dumps(runs, indent=1) + "\n")
                print(key, f"{runs[key]['test']:.1f}%", runs[key]["kept"], flush=True)
    return runs


def over_seeds(runs: Runs, task: str, what: str, field: str = "test") -> list[float]:
    return [float(runs[f"{task}/{seed}/{what}"][field]) for seed in SEEDS]


def spread(values: list[float]) -> str:
    return f"{mean(values):.1f} ± {stdev(values):.1f}"


def best_minimum(runs: Runs, task: str, schedule: str) -> GlobalMagnitude:
    """Chosen on validation."""
    choices = [GlobalMagnitude(EXTREME, minimum, schedule) for minimum in MINIMUMS]
    return max(choices, key=lambda step: mean(over_seeds(runs, task, describe(step), "validation")))


def rows(runs: Runs, task: str) -> Iterator[str]:
    for schedule in SCHEDULES:
        chosen = [s for s in steps() if s.schedule == schedule and not s.minimum_percent]
        for step in (*chosen, best_minimum(runs, task, schedule)):
            found = [runs[f"{task}/{seed}/{describe(step)}"] for seed in SEEDS]
            kept = ", ".join(map(str, found[0]["kept"]))
            label = f"{step.scope}, MT {step.minimum_percent:g}%" if step.minimum_percent else step.scope
            off = max(abs(100 * (run["sparsity"] - step.sparsity)) for run in found)
            yield (
                f"| {schedule} | {100 * step.sparsity:g}% | {label} | {spread([r['test'] for r in found])} | "
                f"{spread([r['macs_percent'] for r in found])} | {off:.3f} | {kept} |"
            )


def verdicts(runs: Runs, task: str) -> Iterator[str]:
    chance = 100 / load_task(task).classes
    for schedule in SCHEDULES:

        def test(step: GlobalMagnitude) -> float:
            return mean(over_seeds(runs, task, describe(step)))

        high, extreme = (GlobalMagnitude(sparsity, schedule=schedule) for sparsity in (HIGH, EXTREME))
        gain = test(high) - test(replace(high, scope="uniform"))
        above = test(extreme) - chance
        rescue = test(best_minimum(runs, task, schedule)) - test(extreme)
        yield (
            f"- {schedule}: global − uniform at 95% is {gain:+.1f} points, so global ≥ uniform "
            f"{_verdict(gain >= 0)}; global at 99.5% is {above:+.1f} points from chance, so collapse "
            f"(within 10) {_verdict(above < 10)}; MT − global at 99.5% is {rescue:+.1f} points, so a rescue "
            f"of 10 {_verdict(rescue >= 10)}."
        )


def _verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def page(runs: Runs, tasks: list[str]) -> str:
    """The report in Markdown."""
    claims = (__doc__ or "").split(" Every run")[0].splitlines()[2:]
    lines = ["# Global magnitude pruning", "", *claims, "", READING.format(seeds=len(SEEDS))]
    for task in tasks:
        count = runs[f"{task}/0/dense"]["rows"]
        setup = SETUPS[task]
        lines += [
            "",
            f"## {task}: {count} training samples, {setup.epochs} epochs",
            "",
            f"Dense: {spread(over_seeds(runs, task, 'dense'))}. {load_task(task).caveats}",
            "",
            "| schedule | sparsity | threshold | test accuracy | MACs | off | kept |",
            "|---|---|---|---|---|---|---|",
            *rows(runs, task),
            "",
            *verdicts(runs, task),
        ]
    return "\n".join(lines) + "\n"


def main(tasks: list[str]) -> None:
    torch.set_num_threads(1)
    RESULTS.mkdir(parents=True, exist_ok=True)
    runs = run(tasks, RESULTS / "prune.json")
    done = [task for task in SETUPS if all(f"{task}/{seed}/dense" in runs for seed in SEEDS)]
    write_whole(RESULTS / "prune.md", page(runs, done))


if __name__ == "__main__":
    main(sys.argv[1:] or list(SETUPS))
