"""Does each method push the frontier of accuracy against file size? Writes results/verdict.{json,md}.

    python -m benchmarks.verdict [task ...] [--methods name ...]

Every network is kept in runs/benchmark-verdict, one file a task, arm and seed: a second start goes on from
there. Tasks that are not named keep the rows they have.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress, TaskID

from benchmarks.arms import Entry, arm, baseline, methods
from benchmarks.common import RESULTS, progress, write_results
from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Splits
from smidgen.emit.smg import SmgArtifact
from smidgen.errors import MissingExtra
from smidgen.files import write_whole
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit
from smidgen.lower import lower
from smidgen.measure.accuracy import predict
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.search.verdict import Corner, Runs, Verdict, judge
from smidgen.tasks.task import Task, load_task

FOLDER = Path("runs/benchmark-verdict")
BASELINE, CLONE = "baseline", "clone of the baseline"
NULL_TRIALS = 200
USEFUL_POINTS = 10.0  # a network further below the best dense one is of no use
READING = """\
gain = HV(B ∪ T) − HV(B ∪ B′) in percentage points × ln(bytes); low: its lower 5% bound; gap: mean distance
in points to the most accurate dense network that is no larger (– if all are smaller than any). A method
pushes the frontier if low > 0. B, B′: dense networks of four widths in int8, {seeds} seeds each; T: four
networks of the method, from the trained networks of B′, in int8 but where the method has bits of its own
(`quantize.ocs` splits for 4); all trained equally long (epochs before, and with the recipe: {budgets}).
Test accuracy of the integers, real files. Of no use and not counted: less than the best dense network's
accuracy − {useful:g} points, or above twice the largest one's size. One verdict in twenty may praise a
method that does nothing: {rows} verdicts are below. Null rate: {null}."""


@dataclass(frozen=True)
class Setup:
    """Training budget and data of a task, the same for all arms."""

    epochs: int
    recipe_epochs: int
    lr: float
    batch_size: int
    train_rows: int = 4000
    test_rows: int = 1000
    seeds: int = 5

    @property
    def training(self) -> Fit:
        return Fit(self.recipe_epochs, self.lr / 2, self.batch_size)


SETUPS = {
    "digits": Setup(30, 10, 3e-3, 64),
    "watch": Setup(10, 4, 3e-3, 64),
    "mnist": Setup(4, 2, 3e-3, 64),
    "speech_commands": Setup(10, 4, 3e-3, 64),
}
OTHER = Setup(10, 4, 3e-3, 64)


class Lab:
    """Trains and measures the networks of one task, each once."""

    def __init__(self, task: Task, setup: Setup, folder: Path) -> None:
        whole = task.load()
        train, test = whole.train.head(setup.train_rows), whole.test.head(setup.test_rows)
        self.data = Splits(train, whole.validation, test, whole.classes)
        self._task, self.setup, self._folder = task, setup, folder / task.name

    def model(self) -> Graph:
        return self._task.model()

    def runs(self, name: str, entries: Sequence[Entry], seeds: Sequence[int]) -> Iterator[dict[str, Any]]:
        """One record a seed: `bytes` [K], `right` [K] packed bits in hex, or `failed`, why there are none."""
        for seed in seeds:
            path = self._folder / f"{name}-{seed}.json"
            asked = {"setup": asdict(self.setup), "recipes": [[e.width, e.recipe.to_yaml()] for e in entries]}
            record = json.loads(path.read_text()) if path.exists() else {}
            if record.get("asked") != asked:
                record = {"asked": asked, **self._attempt(entries, seed)}
                write_whole(path, json.dumps(record) + "\n")
            yield record

    def _attempt(self, entries: Sequence[Entry], seed: int) -> dict[str, Any]:
        try:
            built = [self._build(entry, seed) for entry in entries]
        except (MissingExtra, OSError):
            raise  # the machine's trouble, not the method's
        except Exception as problem:
            return {"failed": f"{type(problem).__name__}: {problem}"}
        sizes, right, notes = zip(*built, strict=True)
        return {"bytes": sizes, "right": right, "notes": sorted(set().union(*notes))}

    def _build(self, entry: Entry, seed: int) -> tuple[int, str, list[str]]:
        dense = self._dense(entry.width, seed)
        ctx = Context(self.data, dense, seed)
        lowered = lower(entry.recipe.apply(dense, ctx))
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.smg"
            write_smg(path, [lowered])
            artifact = SmgArtifact(path)
            right = predict(artifact.graph, artifact.run, self.data.test.x) == self.data.test.y
            return path.stat().st_size, np.packbits(right).tobytes().hex(), ctx.notes

    def _dense(self, width: float, seed: int) -> Graph:
        setup = self.setup
        path = self._folder / f"dense-{width:g}-{seed}-{setup.epochs}-{setup.train_rows}.smg"
        if not path.exists():
            settings = FitSettings(setup.epochs, setup.lr, setup.batch_size)
            path.parent.mkdir(parents=True, exist_ok=True)
            write_smg(path, [fit(self._task.model(width, seed), self.data, settings, seed=seed)])
        return read_smg(path).graph

    def arm(self, name: str, entries: Sequence[Entry], seeds: Sequence[int]) -> Runs | str:
        """The arm's runs, or why there are none."""
        records = list(self.runs(name, entries, seeds))
        if failed := [record["failed"] for record in records if "failed" in record]:
            return str(failed[0])
        n = len(self.data.test)
        right = [[_unpacked(bits, n) for bits in record["right"]] for record in records]
        cost = np.array([record["bytes"] for record in records], np.float64)
        return Runs(np.swapaxes(np.array(right), 0, 1), cost.T)


def _unpacked(bits: str, n: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    return np.unpackbits(np.frombuffer(bytes.fromhex(bits), np.uint8))[:n].astype(bool)


def corner_of(dense: Runs) -> Corner:
    """From B alone, so no method moves it."""
    return Corner(float(dense.accuracy.max()) - USEFUL_POINTS, 2 * float(dense.mean_cost.max()))


def part(runs: Runs, seeds: Sequence[int]) -> Runs:
    """The runs of some seeds."""
    return Runs(runs.right[:, seeds], runs.cost[:, seeds])


def null_praised(dense: Runs, seeds: int, trials: int) -> int:
    """How many of `trials` clones push the frontier: the baseline's seeds dealt out anew as B, B' and T."""
    praised, rng = 0, np.random.default_rng(0)
    for trial in progress(range(trials), "null test"):
        b, again, clone = (part(dense, s) for s in rng.permutation(3 * seeds).reshape(3, seeds))
        praised += judge(b, again, clone, corner_of(b), trial).pushes
    return praised


def row(task: str, method: str, found: Verdict | str) -> dict[str, Any]:
    if isinstance(found, str):
        return {"task": task, "method": method, "verdict": f"can't be built ({found})"}
    gap = "–" if found.gap is None else f"{found.gap:+.2f}"
    shown = {"gain": f"{found.gain:+.2f}", "low": f"{found.low:+.2f}", "gap": gap}
    return {"task": task, "method": method, **shown, "verdict": str(found)}


def judge_task(lab: Lab, task: str, names: Sequence[str], trials: int) -> tuple[list[dict[str, Any]], int]:
    """Rows of all methods, and how many of `trials` clones are praised."""
    count, training, model = lab.setup.seeds, lab.setup.training, lab.model()
    fresh_seeds = range(count, 2 * count)
    with Progress(disable=not sys.stderr.isatty()) as bar:
        step = bar.add_task(f"{task}: dense", total=3 * count + len(names))
        dense = _dense_runs(lab, training, bar, step)
        base, fresh, clone = (part(dense, range(i * count, (i + 1) * count)) for i in range(3))
        corner = corner_of(base)
        rows = [row(task, CLONE, judge(base, fresh, clone, corner))]
        for name in names:
            bar.update(step, description=f"{task}: {name}")
            runs = lab.arm(name, arm(name, model, training), fresh_seeds)
            rows.append(row(task, name, runs if isinstance(runs, str) else judge(base, fresh, runs, corner)))
            bar.advance(step)
    return rows, null_praised(dense, count, trials)


def _dense_runs(lab: Lab, training: Fit, bar: Progress, step: TaskID) -> Runs:
    """The baseline with seeds for B, B' and a clone, [4, 3 * seeds]."""
    parts: list[Runs] = []
    for seed in range(3 * lab.setup.seeds):
        found = lab.arm(BASELINE, baseline(training), [seed])
        if isinstance(found, str):
            raise RuntimeError(f"the baseline itself can't be built: {found}")
        parts.append(found)
        bar.advance(step)
    return Runs(*(np.concatenate([getattr(p, f) for p in parts], axis=1) for f in ("right", "cost")))


def merged(rows: list[dict[str, Any]], found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """`rows` with those in `found` put in or replaced, by task as they came and by method's name."""
    both = {(r["task"], r["method"]): r for r in (*rows, *found)}
    tasks = list(dict.fromkeys(task for task, _ in both))
    return [both[key] for key in sorted(both, key=lambda key: (tasks.index(key[0]), key[1] != CLONE, key[1]))]


def summary(rows: list[dict[str, Any]], method: str) -> str:
    """The tasks on which a method pushes the frontier, and those on which it does not, in words."""
    verdicts = {
        row["task"]: row["verdict"] == "pushes the frontier" for row in rows if row["method"] == method
    }
    pushed = [task for task, pushes in verdicts.items() if pushes]
    rest = [task for task in verdicts if task not in pushed]
    words = (
        f"{what}: {', '.join(tasks)}" for what, tasks in (("pushes", pushed), ("does not", rest)) if tasks
    )
    return "; ".join(words) or "–"


def write(rows: list[dict[str, Any]], null: dict[str, int], setups: dict[str, Setup], trials: int) -> None:
    budgets = ", ".join(f"{t} {s.epochs} + {s.recipe_epochs}" for t, s in setups.items())
    rates = ", ".join(f"{t} {100 * n / trials:.1f}%" for t, n in null.items())
    how = READING.format(
        seeds=max(s.seeds for s in setups.values()),
        budgets=budgets,
        useful=USEFUL_POINTS,
        rows=len(rows),
        null=f"{rates} of {trials} clones each (baseline seeds dealt out anew) were praised",
    )
    write_results("verdict", "Verdict on every method", rows, how, null_praised=null, null_trials=trials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("tasks", nargs="*", default=list(SETUPS))
    parser.add_argument("--methods", nargs="+", default=list(methods()))
    asked = parser.parse_args()
    path = RESULTS / "verdict.json"
    before: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
    rows, null = before.get("rows", []), before.get("null_praised", {})
    for task in asked.tasks:
        lab = Lab(load_task(task), SETUPS.get(task, OTHER), FOLDER)
        found, null[task] = judge_task(lab, task, asked.methods, NULL_TRIALS)
        rows = merged(rows, found)
        write(rows, null, {t: SETUPS.get(t, OTHER) for t in null}, NULL_TRIALS)


if __name__ == "__main__":
    main()
