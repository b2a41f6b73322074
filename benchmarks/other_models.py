"""What models of another class reach on each task; write benchmarks/results/other_models.{json,md}.

    python -m benchmarks.other_models [task ...]

They are the baselines of every search (`search/baselines.py`), here alone: fitted, quantized, written, run in
integers on the test split, and linked as firmware. `benchmarks/results/tasks.md` has the networks.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import progress, write_results
from smidgen.data.dataset import Dataset, Splits
from smidgen.emit.c import CEmitter
from smidgen.emit.smg import SmgEmitter
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings
from smidgen.lower.lowering import lower
from smidgen.measure.accuracy import predict
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.search.baselines import OTHER_MODELS, baseline_networks
from smidgen.targets import load_target
from smidgen.targets.cross import measure_cross
from smidgen.tasks import load_task, task_names

SEEDS = (0, 1, 2)
HOW = (
    "Mean ± standard deviation over seeds 0 to 2. Accuracy on the test split: of the float model, and of the "
    "integers of the .smg file. File: its length. Flash: code and model, from the ELF file for a Cortex-M4."
)


def measured(splits: Splits, name: str, seed: int, folder: Path) -> dict[str, float]:
    graph = baseline_networks(splits, no_widths, FitSettings(), ())[name](seed)
    low = lower(AffineQuantization().apply(graph, Context(splits, graph, seed)))
    device = load_target("cortex-m4")
    artifact = SmgEmitter().emit(low, load_target("generic-c"), folder / "smg")
    roomy = device.model_copy(update={"flash_bytes": 1 << 26, "ram_bytes": 1 << 26})
    CEmitter().emit(low, roomy, folder / "c")
    flash = {m.name: m.value for m in measure_cross(folder / "c", roomy)}["flash_bytes"]
    found = predict(artifact.graph, artifact.run, splits.test.x)
    return {
        "float_test": real_accuracy(graph, splits.test),
        "integer_test": 100 * float(np.mean(found == splits.test.y)),
        "file_bytes": artifact.nbytes,
        "flash_bytes": flash,
    }


def no_widths(width: float, seed: int) -> Graph:
    raise AssertionError("no width is asked for")


def real_accuracy(graph: Graph, data: Dataset) -> float:
    return 100 * float(np.mean(run_float(graph, data.x).argmax(axis=1) == data.y))


def row(task: str, name: str) -> dict[str, Any]:
    splits, runs = load_task(task).load(), []
    for seed in SEEDS:
        with tempfile.TemporaryDirectory() as scratch:
            runs.append(measured(splits, name, seed, Path(scratch)))
    parts = {key: [run[key] for run in runs] for key in runs[0]}
    shown = {key: spread(values, 2 if key.endswith("test") else 0) for key, values in parts.items()}
    return {"task": task, "model": name, **shown}


def spread(values: list[float], digits: int) -> str:
    return f"{statistics.mean(values):,.{digits}f} ± {statistics.stdev(values):,.{digits}f}"


if __name__ == "__main__":
    tasks = sys.argv[1:] or [name for name in task_names() if load_task(name).labels]
    pairs = [(task, name) for task in tasks for name in OTHER_MODELS]
    rows = [row(*pair) for pair in progress(pairs, "models of another class")]
    write_results("other_models", "Models of another class", rows, HOW)
