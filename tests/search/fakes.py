"""A stand-in for building and measuring, quick enough to test the machinery around it by the hundred."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from smidgen.graph import Graph, GraphBuilder
from smidgen.measurement import Measurement
from smidgen.methods.recipe import Recipe
from smidgen.search.budget import Budget
from smidgen.search.engine import Limits, Search
from smidgen.search.outcome import Candidate, Evaluated, Point
from smidgen.search.result import Goal, Result
from smidgen.search.run_folder import RunFolder
from smidgen.search.samplers.nsga2 import Nsga2
from smidgen.search.space import RecipeSpace

METHODS = ("quantize.affine", "prune.global_magnitude", "distill.logits", "tune.fit")
LABELS = np.zeros(200, np.int64)


def small_graph() -> Graph:
    rng = np.random.default_rng(0)
    b = GraphBuilder("small")
    x = b.linear(b.input("x", (6,)), rng.normal(size=(5, 6)), np.zeros(5), name="first")
    return b.graph(b.linear(b.op("relu", [x]), rng.normal(size=(3, 5)), np.zeros(3), name="last"))


def predictions(accuracy: float) -> np.ndarray:
    """Labels of which `accuracy` percent are right."""
    found = LABELS.copy()
    found[: round(LABELS.size * (1 - accuracy / 100))] = 1
    return found


class FakeEvaluator:
    """Fewer bits and more sparsity are smaller and less accurate; training repairs some of it."""

    labels = LABELS
    clusters = None

    def __init__(self, delay_s: float = 0.0) -> None:
        self.delay_s = delay_s
        self.evaluated: list[tuple[str, int]] = []
        self.tested: list[Path] = []

    def reference(self, test: bool) -> Evaluated:
        return self._evaluated(0, 95.0, 10_000)

    def precheck(self, candidate: Candidate) -> str | None:
        return None

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        self.evaluated.append((candidate.label, seed))
        time.sleep(self.delay_s)
        bits, kept, trained = 32, 1.0, 0
        for step in candidate.recipe.steps:
            bits = getattr(step, "bits", bits)
            kept *= 1 - getattr(step, "sparsity", 0.0)
            trained += getattr(step, "epochs", 0) > 0
        accuracy = 95.0 - max(8 - bits - 2 * trained, 0) - 2 * max(0.5 - kept, 0) - 0.5 * seed
        size = 100 + bits * 100 * kept
        if candidate.base != "model":
            accuracy, size = 80.0, 500
        (folder / "model.smg").write_bytes(b"x" * int(size))
        return self._evaluated(seed, accuracy, int(size))

    def test(self, point: Point, run: Evaluated) -> Evaluated:
        self.tested.append(point.folder / f"seed-{run.seed}")
        return self._evaluated(run.seed, run.accuracy - 1, int(run.measurements["file_bytes"].value))

    def _evaluated(self, seed: int, accuracy: float, size: int) -> Evaluated:
        found = predictions(accuracy)
        size_measured = Measurement("file_bytes", size, "B", "measured")
        return Evaluated(seed, float((found == LABELS).mean() * 100), found, {"file_bytes": size_measured})


def goal(budget: str = "", max_drop: float = 1.0, strict_drop: bool = False) -> Goal:
    return Goal(Budget.parse(budget), ("file_bytes",), max_drop, strict_drop)


def starts() -> list[Recipe]:
    return [
        Recipe.from_yaml("- quantize.affine: {bits: 8}"),
        Recipe.from_yaml("- quantize.affine: {bits: 4}"),
    ]


def search(
    path: Path, evaluator: FakeEvaluator, limits: Limits, asked: Goal | None = None, settings=None, **options
) -> Result:
    """One process's part of a search, as `compress` does it."""
    folder = RunFolder(path)
    asked = asked or goal()
    with folder.locked():
        folder.claim(settings or {"data": "abc"})
        space = RecipeSpace(small_graph(), METHODS)
        searcher = Nsga2(space, asked.costs, path / "journal.log", 0, starts())
        return Search(evaluator, searcher, folder, asked, limits, **options).run()
