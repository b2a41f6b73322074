"""Train each task's uncompressed baseline with several seeds; write benchmarks/results/tasks.{json,md}.

    python benchmarks/tasks.py [task ...]

What the dense width curves hold already is not trained again. Architectures and settings were chosen on
validation; the test split is only read here. `watch` and `spoken_digits` also run their folds, where everyone
is a test subject once: few people say little about people in general.
"""

from __future__ import annotations

import json
import os
import platform
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.common import dense_runs, identity_of
from smidgen.data.dataset import Dataset, Splits
from smidgen.files import write_whole
from smidgen.graph import Graph
from smidgen.learn.fit import float_logits
from smidgen.models import linear
from smidgen.models.layers import parameter_count
from smidgen.tasks import Task, load_task, spoken_digits, task_names, watch

SEEDS = (0, 1, 2)
FOLDS = {"watch": watch.folds, "spoken_digits": spoken_digits.folds}
RESULTS = Path(__file__).parent / "results"


def accuracy(graph: Graph, data: Dataset) -> float:
    return float(np.mean(float_logits(graph, data.x).argmax(axis=1) == data.y))


def measure(task: Task) -> dict[str, Any]:
    """One row: accuracy over seeds (mean, standard deviation), size, training time; the linear baseline."""
    splits = task.load()
    known = {run["seed"]: run for run in dense_runs(task.name, identity_of(task)) if run["width"] == 1}
    runs = [taken(known[seed]) if seed in known else train(task, splits, seed) for seed in SEEDS]
    row: dict[str, Any] = {
        "task": task.name,
        "model": task.model().name,
        "parameters": parameter_count(task.model()),
        "samples": [len(splits.train), len(splits.validation), len(splits.test)],
        "linear_test_accuracy": accuracy(linear.fit(splits), splits.test),
        **summary("validation_accuracy", [run["validation"] for run in runs]),
        **summary("test_accuracy", [run["test"] for run in runs]),
        **summary("training_cpu_seconds", [run["seconds"] for run in runs]),
    }
    if task.name in FOLDS:
        tested = [train(task, fold, seed=0)["test"] for fold in FOLDS[task.name]()]
        row |= {"folds": len(tested), **summary("folds_test_accuracy", tested)}
    print(json.dumps(row), flush=True)
    return row


def taken(run: dict[str, Any]) -> dict[str, float]:
    """The same network out of the dense width curve, as `train` tells it."""
    scores = {part: run[f"float_{part}"] / 100 for part in ("validation", "test")}
    return {"seconds": run["training_cpu_seconds"], **scores}


def train(task: Task, splits: Splits, seed: int) -> dict[str, float]:
    start = time.process_time()
    graph = task.baseline(splits, seed=seed)
    seconds = time.process_time() - start
    return {
        "seconds": seconds,
        "validation": accuracy(graph, splits.validation),
        "test": accuracy(graph, splits.test),
    }


def summary(name: str, values: list[float]) -> dict[str, float]:
    return {f"{name}_mean": statistics.mean(values), f"{name}_sd": statistics.stdev(values)}


def page(results: dict[str, Any]) -> str:
    """The table in Markdown."""
    head = [
        "# Uncompressed baselines",
        "",
        f"float32, mean ± standard deviation over {len(results['seeds'])} seeds, accuracy in %. "
        f"{results['threads']} thread, torch {results['torch']}. Written by `benchmarks/tasks.py`.",
        "",
        "| task | model | parameters | validation | test | linear model, test | training, CPU s |",
        "|---|---|---|---|---|---|---|",
    ]
    rows = results["tasks"]
    return "\n".join([*head, *map(table_line, rows), *map(remark, rows)]) + "\n"


def table_line(row: dict[str, Any]) -> str:
    cells = (
        row["task"],
        row["model"],
        f"{row['parameters']:,}",
        percent(row, "validation_accuracy"),
        percent(row, "test_accuracy"),
        f"{100 * row['linear_test_accuracy']:.2f}",
        f"{row['training_cpu_seconds_mean']:.1f}",
    )
    return f"| {' | '.join(cells)} |"


def remark(row: dict[str, Any]) -> str:
    text = f"\n**{row['task']}**: {load_task(row['task']).caveats}"
    if "folds_test_accuracy_mean" not in row:
        return text
    found = percent(row, "folds_test_accuracy")
    folds = f"{row['folds']} folds, where each person is tested once"
    return f"{text} Over the {folds}: {found} (deviation between folds)."


def percent(row: dict[str, Any], name: str) -> str:
    return f"{100 * row[name + '_mean']:.2f} ± {100 * row[name + '_sd']:.2f}"


def main(names: list[str]) -> None:
    """Write after each task; tasks that are not named keep the rows they have."""
    torch.set_num_threads(1)  # more only spin on networks this small, and times would hang on the neighbours
    path = RESULTS / "tasks.json"
    old = json.loads(path.read_text())["tasks"] if path.exists() else []
    rows = {row["task"]: row for row in old}
    for name in names or [name for name in task_names() if load_task(name).labels]:
        rows[name] = measure(load_task(name))
        results = {
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "machine": f"{platform.machine()}, {os.cpu_count()} logical cores",
            "seeds": list(SEEDS),
            "tasks": [rows[done] for done in sorted(rows)],
        }
        write_whole(path, json.dumps(results, indent=1) + "\n")
        write_whole(RESULTS / "tasks.md", page(results))


if __name__ == "__main__":
    main(sys.argv[1:])
