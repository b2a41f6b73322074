"""How long one training may take, so that a search of limited time tries enough recipes."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from smidgen.data.dataset import Splits
from smidgen.errors import BadFile, Unsupported
from smidgen.graph import Graph
from smidgen.search.run_folder import read_json, write_json

FILE_NAME = "pace.json"
TRAININGS = 24  # of the longest kind, one after the other, that the time should hold
MOST_EPOCHS = 20
LARGE_ROWS, LARGE_BATCH = 16_384, 128
TIMED_BATCHES = 4


@dataclass(frozen=True)
class Pace:
    """The settings of `tune.fit` that a search may choose from: `epochs`, ascending, and the batch size."""

    epochs: tuple[int, ...] = (5, 10, 20)
    batch_size: int = 64

    @property
    def usual_epochs(self) -> int:
        """The middle choice, the lower one of two: more recipes tried beat longer trainings."""
        return self.epochs[(len(self.epochs) - 1) // 2]


def pace_for(graph: Graph, data: Splits, time_s: float | None, workers: int) -> Pace:
    """Epochs so that about `TRAININGS` of the longest fit into `time_s` on `workers` processes.

    Takes a few training steps to find out. Without a limit of time every search has the same pace.
    """
    usual = Pace(batch_size=LARGE_BATCH if len(data.train) >= LARGE_ROWS else Pace.batch_size)
    if time_s is None:
        return usual
    try:
        epoch_s = seconds_per_epoch(graph, data, usual.batch_size)
    except Unsupported:  # it can't be trained, then no recipe will
        return usual
    longest = int(time_s * workers / TRAININGS / epoch_s)
    longest = min(max(longest, 1), MOST_EPOCHS)
    return replace(usual, epochs=tuple(sorted({max(longest // 4, 1), max(longest // 2, 1), longest})))


def seconds_per_epoch(graph: Graph, data: Splits, batch_size: int) -> float:
    """Measured on a few batches, after one to warm up."""
    from smidgen.learn.fit import FitSettings, fit

    settings = FitSettings(epochs=1, batch_size=batch_size)
    fit(graph, replace(data, train=data.train.head(batch_size)), settings)
    some = data.train.head(TIMED_BATCHES * batch_size)
    start = time.perf_counter()
    fit(graph, replace(data, train=some), settings)
    return (time.perf_counter() - start) * len(data.train) / len(some)


def settled_pace(folder: Path, graph: Graph, data: Splits, time_s: float | None, workers: int) -> Pace:
    """The pace of the search in `folder`: as it was settled when the search began. Raises BadFile."""
    path = folder / FILE_NAME
    if not path.exists():
        write_json(path, asdict(pace_for(graph, data, time_s, workers)))
    return _read(path, read_json(path))


def _read(path: Path, found: Any) -> Pace:
    try:
        pace = Pace(tuple(int(n) for n in found["epochs"]), int(found["batch_size"]))
    except (KeyError, TypeError, ValueError) as problem:
        raise BadFile(str(path), f"it can't be read ({problem})", "", "Delete it") from problem
    if not pace.epochs or min(*pace.epochs, pace.batch_size) < 1:
        raise BadFile(str(path), f"it holds {found}", "whole numbers of at least 1", "Delete it")
    return pace
