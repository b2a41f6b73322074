"""Outcomes on disk: the truth of a run, from which it resumes and is reported."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

from smidgen.errors import BadFile
from smidgen.files import TEMPORARY, write_whole
from smidgen.measurement import Measurement
from smidgen.methods.recipe import Recipe
from smidgen.search.outcome import Candidate, Evaluated, Failed, Kind, Outcome, Point, Rejected
from smidgen.search.run_folder import read_json, write_json

EVALUATED = "evaluated.json"
OUTCOME = "outcome.json"
TEST = "test.json"


def write_evaluated(folder: Path, run: Evaluated, name: str = EVALUATED) -> None:
    """Add a seed's record to its folder; predictions go into `<name>.npy` beside it."""
    predictions = io.BytesIO()  # NumPy's own writing to a full disk fails without saying so
    np.save(predictions, run.predictions, allow_pickle=False)
    write_whole(folder / f"{name}.npy", predictions.getvalue())
    record = {
        "seed": run.seed,
        "accuracy": run.accuracy,
        "measurements": [m.to_dict() for m in run.measurements.values()],
        "notes": list(run.notes),
        "files": list(run.files),
        "reused_steps": run.reused_steps,
    }
    write_json(folder / name, record)


def read_evaluated(folder: Path, name: str = EVALUATED) -> Evaluated:
    """Inverse of `write_evaluated`. Raises BadFile."""
    record = read_json(folder / name)
    try:
        measured = [Measurement.from_dict(item) for item in record["measurements"]]
        return Evaluated(
            seed=int(record["seed"]),
            accuracy=float(record["accuracy"]),
            predictions=np.load(folder / f"{name}.npy", allow_pickle=False),
            measurements={m.name: m for m in measured},
            notes=tuple(record["notes"]),
            files=tuple(record["files"]),
            reused_steps=int(record["reused_steps"]),
        )
    except (KeyError, TypeError, ValueError, OSError) as problem:
        raise BadFile(
            str(folder / name), f"an incomplete record ({problem})", "", "Remove the trial's folder"
        ) from problem


def write_outcome(folder: Path, outcome: Outcome) -> None:
    """Record what became of a candidate; a point's seeds lie in folders of their own."""
    candidate = outcome.candidate
    record: dict[str, Any] = {
        "status": type(outcome).__name__.lower(),
        "recipe": candidate.recipe.to_yaml(),
        "base": candidate.base,
        "kind": candidate.kind,
    }
    if not isinstance(outcome, Point):
        record["reason"] = outcome.reason
    write_json(folder / OUTCOME, record)


def read_outcome(folder: Path) -> Outcome | None:
    """The outcome in a trial's folder, None if it was cut off before it had one. Raises BadFile."""
    if not (folder / OUTCOME).exists():
        return None
    record = read_json(folder / OUTCOME)
    try:
        kind = cast(Kind, record["kind"])
        candidate = Candidate(Recipe.from_yaml(record["recipe"]), record["base"], kind)
        status = record["status"]
        if status == "rejected":
            return Rejected(folder.name, candidate, record["reason"])
        if status == "failed":
            return Failed(folder.name, candidate, record["reason"])
    except KeyError as problem:
        raise BadFile(str(folder / OUTCOME), f"no {problem}", "", "Remove the trial's folder") from problem
    return _read_point(folder, candidate)


def read_outcomes(trials: Path) -> Iterator[Outcome]:
    """All recorded outcomes, in the order of their keys."""
    for folder in sorted(trials.iterdir()):
        if folder.is_dir() and not folder.name.startswith(TEMPORARY):
            outcome = read_outcome(folder)
            if outcome is not None:
                yield outcome


def _read_point(folder: Path, candidate: Candidate) -> Point | None:
    seeds = sorted(folder.glob("seed-*"), key=lambda path: int(path.name.removeprefix("seed-")))
    runs = tuple(read_evaluated(seed) for seed in seeds)
    test = tuple(read_evaluated(seed, TEST) for seed in seeds if (seed / TEST).exists())
    return Point(folder.name, candidate, runs, folder, test) if runs else None
