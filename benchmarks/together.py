"""All methods in one search, on real data for three devices: what is left on the frontier, and what is not.

Each search is one `smidgen compress` with everything at its default but the time, on one core, and without
baselines: the dense networks are those of benchmarks/results/dense. The time also sets how long candidates
train. The uncompressed network of a task is trained once. A search that was stopped goes on, a finished one
is read again.

    python -m benchmarks.together [cifar10-x86-64 cifar10-cortex-m7 speech_commands-cortex-m4]
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np

import smidgen
from benchmarks.common import RESULTS, dense_runs, table
from smidgen.api.subject import KEPT, prepare
from smidgen.data.dataset import Dataset
from smidgen.files import write_whole
from smidgen.methods.recipe import Recipe, step_names
from smidgen.methods.tune.fit import Fit
from smidgen.report.model import Point, Report, Score, read_report
from smidgen.run.cpu import cpu_name
from smidgen.search.frontier import hypervolume, non_dominated
from smidgen.search.space import LEFT_OUT, TRAINING, WITHOUT_DATA
from smidgen.tasks import load_task

FOLDER = Path("runs/together")
USEFUL_POINTS = 10.0  # a network further below the uncompressed one is of no use
HOW = f"""\
`smidgen compress TASK -t DEVICE --no-baselines --workers 1 --time T`, all methods allowed. The frontier is
that of validation accuracy against size (bytes of the `.smg` on x86-64, flash of code and data on a
device), down to {USEFUL_POINTS:g} points below the uncompressed network. Accuracies are the integers', mean
± sd over as many seeds as the search had time for; test data were opened after it. Latency is measured on
x86-64, elsewhere modelled from emulated instructions. Over dense: test accuracy minus that of dense int8
networks of as many bytes (a line between the widths of `dense_curves.md` in the logarithm of bytes, 3
seeds); – below the smallest.

Of each method: candidates that had it (a recipe has several methods), those that could not be built, and
those on the frontier. Over dense: of its network that is best by that measure on validation, seed 0. Above
or below dense networks: by more than two standard errors of the test split, else level with them. Share: how
much of the frontier's hypervolume (points × ln bytes) is lost without the networks that have the method.

The searches on CIFAR-10 were stopped after 60 and 38 minutes and continued for the rest of the time, the
first with the order of first recipes that the others had from the start: every method before variations."""


@dataclass(frozen=True)
class Search:
    """One command."""

    task: str
    target: str
    time: str

    @property
    def name(self) -> str:
        return f"{self.task}-{self.target}"

    @property
    def finished(self) -> bool:
        return (FOLDER / self.name / "report.json").exists()

    def run(self) -> Report:
        """The report, after the search if there is none yet."""
        folder = FOLDER / self.name
        if not self.finished:
            prepare(self.task, None, FOLDER / self.task)
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(FOLDER / self.task / KEPT, folder / KEPT)
            command = [sys.executable, "-m", "smidgen", "compress", self.task, "-t", self.target]
            command += ["--no-baselines", "--workers", "1", "--time", self.time, "--out", str(folder)]
            subprocess.run(command, check=True)
        return read_report(folder / "report.json")


SEARCHES = (
    Search("cifar10", "x86-64", "82m"),
    Search("cifar10", "cortex-m7", "71m"),
    Search("speech_commands", "cortex-m4", "30m"),
)


@dataclass(frozen=True)
class Dense:
    """Dense int8 networks by width: sizes in bytes, ascending, and accuracies of both splits in percent."""

    sizes: tuple[float, ...]
    validation: tuple[float, ...]
    test: tuple[float, ...]

    @classmethod
    def of(cls, task: str) -> Dense:
        runs = dense_runs(task)
        widths = sorted({run["width"] for run in runs})
        by_width = [[run for run in runs if run["width"] == width] for width in widths]

        def means(key: str) -> tuple[float, ...]:
            return tuple(mean(run[key] for run in same) for same in by_width)

        return cls(means("file_bytes"), means("validation"), means("test"))

    def holds(self, nbytes: float) -> bool:
        """Whether there are dense networks as small as that."""
        return nbytes >= self.sizes[0]

    def lead(self, nbytes: float, accuracy: float, of: tuple[float, ...]) -> float:
        """`accuracy` minus that of dense networks of `nbytes`, on the line through `of`."""
        return accuracy - float(np.interp(np.log(nbytes), np.log(self.sizes), of))


def searched_methods() -> list[str]:
    """All that a search with data may choose from."""
    return [name for name in step_names() if name not in (*LEFT_OUT, *WITHOUT_DATA, TRAINING)]


def has(method: str, label: str) -> bool:
    return any(step.split("(")[0] == method for step in label.split(" → "))


def useful(report: Report) -> list[Point]:
    """Networks that are not far worse than the uncompressed one."""
    worst = report.uncompressed.validation.mean - USEFUL_POINTS
    return [point for point in report.points if point.validation.mean > worst]


def size_frontier(report: Report) -> list[Point]:
    """The best validation accuracy for every size, smallest first."""
    points = useful(report)
    kept = non_dominated([p.validation.mean for p in points], [report.cost(p) for p in points])
    return sorted((points[i] for i in kept), key=report.cost)


def volume(report: Report, points: Sequence[Point]) -> float:
    """Hypervolume of `points` on the report's size axis up to its largest network, points × ln bytes."""
    gains, costs = [p.validation.mean for p in points], [report.cost(p) for p in points]
    worst = report.uncompressed.validation.mean - USEFUL_POINTS
    return hypervolume(gains, costs, worst, max(report.cost(p) for p in report.points))


def frontier_rows(report: Report, dense: Dense) -> Iterator[dict[str, Any]]:
    for point in size_frontier(report):
        nbytes = report.cost(point, "file_bytes")
        lead = dense.lead(nbytes, point.test.mean, dense.test) if point.test and dense.holds(nbytes) else None
        yield {
            "network": point.label + (" **(chosen)**" if point.chosen else ""),
            **({"flash": round(report.cost(point))} if report.size_axis == "flash_bytes" else {}),
            "file": round(nbytes),
            "RAM": round(report.cost(point, "ram_bytes")),
            "ms": f"{report.cost(point, 'latency_ms'):.3g}",
            "validation %": score(point.validation),
            "test %": "" if point.test is None else score(point.test),
            "seeds": point.validation.seeds,
            "over dense": signed(lead),
        }


def score(found: Score) -> str:
    return f"{found.mean:.2f}" + (f" ± {found.sd:.2f}" if found.seeds > 1 else "")


def signed(points: float | None) -> str:
    return "–" if points is None else f"{points:+.2f}"


def method_rows(report: Report, dense: Dense, test: Dataset, folder: Path) -> Iterator[dict[str, Any]]:
    frontier, whole = size_frontier(report), volume(report, report.points)
    for method in searched_methods():
        own = [p for p in report.points if has(method, p.label)]
        failures = [d.reason for d in report.dropped if d.status == "failed" and has(method, d.label)]
        lost = whole - volume(report, [p for p in report.points if p not in own])
        kept = sum(point in own for point in frontier)
        lead, error = test_lead(report, own, dense, test, folder)
        yield {
            "method": method,
            "tried": len(own),
            "failed": len(failures),
            "on the frontier": kept,
            "over dense": signed(lead),
            "share": f"{lost / whole:.1%}" if kept else "",
            "verdict": verdict(kept, lead, error) if own else (failures or ["not tried"])[0],
        }


def test_lead(
    report: Report, points: Sequence[Point], dense: Dense, test: Dataset, folder: Path
) -> tuple[float | None, float]:
    """Over dense on test of the point that is best over dense on validation, with its standard error."""
    nbytes = {p.id: report.cost(p, "file_bytes") for p in points}
    comparable = [p for p in points if dense.holds(nbytes[p.id])]
    if not comparable:
        return None, 0.0
    best = max(comparable, key=lambda p: dense.lead(nbytes[p.id], p.validation.mean, dense.validation))
    share = float((smidgen.open(folder / best.artifact / "model.smg").predict(test.x) == test.y).mean())
    return dense.lead(nbytes[best.id], 100 * share, dense.test), 100 * math.sqrt(
        share * (1 - share) / len(test)
    )


def verdict(kept: int, lead: float | None, error: float) -> str:
    """In words: on the frontier or not, and beside dense networks of its size."""
    if lead is None:
        against = "smaller than any dense network"
    else:
        level = abs(lead) <= 2 * error
        against = f"{'level with' if level else 'above' if lead > 0 else 'below'} dense networks"
    return f"{'survives' if kept else 'does not'}, {against}"


def findings(search: Search, report: Report) -> dict[str, Any]:
    """What one search found, as the results file keeps it."""
    dense, base = Dense.of(search.task), report.uncompressed
    test = load_task(search.task).load().test
    return {
        "task": search.task,
        "target": search.target,
        "time": search.time,
        "candidates": len(report.points),
        "epochs": sorted(epochs(point) for point in report.points),
        "failed": sum(found.status == "failed" for found in report.dropped),
        "uncompressed_validation": base.validation.mean,
        "uncompressed_test": base.test.mean if base.test else None,
        "frontier": list(frontier_rows(report, dense)),
        "methods": list(method_rows(report, dense, test, FOLDER / search.name)),
        "networks": [
            {"network": p.label, "cost": report.cost(p), "validation": p.validation.mean}
            for p in report.points
        ],
    }


def epochs(point: Point) -> int:
    """How long a candidate was trained, all its trainings together."""
    return sum(step.epochs for step in Recipe.from_yaml(point.recipe_yaml).steps if isinstance(step, Fit))


def section(found: dict[str, Any]) -> Iterator[str]:
    """Lines of the page about one search."""
    yield f"## {found['task']} for {found['target']}, {found['time']}"
    yield ""
    trained = found["epochs"]
    middle = trained[(len(trained) - 1) // 2]
    yield f"{found['candidates']} candidates built, {found['failed']} failed; trained for {trained[0]} to"
    yield f"{trained[-1]} epochs, half of them for at most {middle}. The uncompressed network has"
    yield f"{found['uncompressed_validation']:.2f}% on validation, {found['uncompressed_test']:.2f}% on test."
    kept = (row["method"] for row in found["methods"] if row["on the frontier"])
    yield f"On the frontier: {', '.join(f'`{method}`' for method in kept)}."
    for part in ("frontier", "methods"):
        yield from ("", *table(found[part]))
    yield ""


def write(rows: list[dict[str, Any]]) -> None:
    lines = ["# All methods together", "", HOW, "", *(line for found in rows for line in section(found))]
    lines += [f"Machine: {cpu_name()}. Script: `benchmarks/together.py`.", ""]
    write_whole(RESULTS / "together.md", "\n".join(lines))
    write_whole(RESULTS / "together.json", json.dumps({"cpu": cpu_name(), "rows": rows}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("searches", nargs="*", default=[search.name for search in SEARCHES])
    asked = parser.parse_args()
    for search in SEARCHES:
        if search.name in asked.searches:
            search.run()
    write([findings(search, search.run()) for search in SEARCHES if search.finished])


if __name__ == "__main__":
    main()
