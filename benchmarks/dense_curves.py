"""Dense networks of every width, int8: the curve that a compressed network has to beat.

Every network is trained from scratch with its task's settings, then quantized to int8 without fine-tuning and
written as a `.smg`. Sizes are lengths of those files, accuracies those of their integers in the native plan.
Every network is stored at once: a second start goes on from there.

    python benchmarks/dense_curves.py [task ...]
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, dense_file, dense_runs, identity_of
from smidgen.api import network
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.files import write_whole
from smidgen.graph.cost import macs
from smidgen.learn.fit import float_logits
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.models.layers import parameter_count
from smidgen.run.cpu import cpu_name
from smidgen.tasks import Task, load_task

SEEDS = (0, 1, 2)
WIDTHS = (0.125, 0.25, 0.35, 0.5, 0.75, 1.0, 1.5)
PLANS = {
    "digits": WIDTHS,
    "watch": WIDTHS,
    "spoken_digits": (0.25, 0.5, 1.0),
    "spoken_digits:dscnn": WIDTHS[:-1],
    "speech_commands": WIDTHS[:-1],
    "speech_commands:gru": (0.25, 0.5, 1.0),
    "mnist": WIDTHS[:-1],
    "cifar10": (0.25, 0.5, 1.0),
}
HOW = f"""\
Trained from scratch with the task's own settings, then int8 after training without fine-tuning. Bytes of the
real `.smg`; accuracy in percent on the test split, of the file's integers run natively; drop: float32 minus
int8, points. Mean ± standard deviation over {len(SEEDS)} seeds. Settings were chosen on validation."""


def run(task: Task, splits: Splits, width: float, seed: int) -> dict[str, Any]:
    """One trained network: its cost, and its accuracy before and after quantization."""
    start = time.process_time()
    graph = task.baseline(splits, width=width, seed=seed)
    seconds = time.process_time() - start
    packed = pack_smg([lower(AffineQuantization().apply(graph, Context(splits, graph, seed)))])
    read = network(unpack_smg(packed).graph)
    assert read.backend == "native"
    scores = {}
    for name, part in (("validation", splits.validation), ("test", splits.test)):
        scores[f"float_{name}"] = _percent(float_logits(graph, part.x).argmax(axis=1), part)
        scores[name] = _percent(read.predict(part.x), part)
    return {
        "width": width,
        "seed": seed,
        "parameters": parameter_count(graph),
        "macs": sum(macs(graph).values()),
        "file_bytes": len(packed),
        **scores,
        "training_cpu_seconds": seconds,
    }


def _percent(found: np.ndarray, part: Dataset) -> float:
    return 100 * float((found == part.y).mean())


def missing(names: list[str]) -> Iterator[tuple[str, float, int]]:
    """(task, width, seed) of every network that is not stored yet, narrow ones first."""
    for name in names:
        done = {(r["width"], r["seed"]) for r in dense_runs(name, identity_of(load_task(name)))}
        yield from ((name, w, s) for w in PLANS[name] for s in SEEDS if (w, s) not in done)


def store(task: Task, found: dict[str, Any]) -> None:
    identity = identity_of(task)
    runs = [*dense_runs(task.name, identity), found]
    runs.sort(key=lambda r: (r["width"], r["seed"]))
    data = {"task": task.name, "how": HOW, **identity, "cpu": cpu_name(), "runs": runs}
    write_whole(dense_file(task.name), json.dumps(data, indent=1) + "\n")


def page(names: list[str]) -> str:
    """All curves as Markdown tables."""
    lines = ["# Dense networks by width", "", HOW, ""]
    for name in names:
        task, runs = load_task(name), dense_runs(name)
        if not runs:
            continue
        lines += [f"## {name}", "", f"{task.description}. {task.caveats}", ""]
        lines += [
            "| width | parameters | MACs | file, bytes | float32 | int8 | drop | seeds |",
            "|" + "---|" * 8,
        ]
        lines += [_line([r for r in runs if r["width"] == w]) for w in sorted({r["width"] for r in runs})]
        lines.append("")
    return "\n".join([*lines, f"Machine: {cpu_name()}. Script: `benchmarks/dense_curves.py`.", ""])


def _line(runs: list[dict[str, Any]]) -> str:
    first = runs[0]
    cells = [f"{first['width']:g}", f"{first['parameters']:,}", f"{first['macs']:,}"]
    cells.append(_spread([r["file_bytes"] for r in runs], 0))
    cells += [_spread([r[key] for r in runs], 2) for key in ("float_test", "test")]
    cells.append(_spread([r["float_test"] - r["test"] for r in runs], 2))
    return f"| {' | '.join([*cells, str(len(runs))])} |"


def _spread(values: list[float], digits: int) -> str:
    if len(values) < 2:
        return f"{values[0]:,.{digits}f}"
    return f"{mean(values):,.{digits}f} ± {stdev(values):,.{digits}f}"


def main(names: list[str]) -> None:
    """Cheap tasks first; the time left supposes that work grows with MACs x samples x epochs."""
    listed = list(missing(names))
    works = [_work(*item) for item in listed]
    start, done, loaded = time.monotonic(), 0.0, ("", None)
    for (name, width, seed), work in zip(listed, works):
        task = load_task(name)
        splits = loaded[1] if loaded[0] == name and loaded[1] is not None else task.load()
        loaded = (name, splits)
        store(task, run(task, splits, width, seed))
        write_whole(RESULTS / "dense_curves.md", page(list(PLANS)))
        done += work
        left = (time.monotonic() - start) * (sum(works) - done) / done
        print(f"{name} x{width:g}, seed {seed}; about {timedelta(seconds=round(left))} left", flush=True)


def _work(name: str, width: float, seed: int) -> float:
    """Proportional to the training time; small networks cost more than their MACs."""
    task = load_task(name)
    samples = {"mnist": 54_000, "cifar10": 45_000}.get(name.partition(":")[0], 2_500)
    return task.training.epochs * samples * (sum(macs(task.model(width)).values()) + 2e5)


if __name__ == "__main__":
    main(sys.argv[1:] or list(PLANS))
