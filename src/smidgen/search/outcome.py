"""What became of a candidate: a measured point, rejected before any work, or failed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from smidgen.measurement import Measurement
from smidgen.methods.recipe import Recipe

Kind = Literal["compressed", "width baseline", "other model"]
Array = npt.NDArray[Any]
MODEL = "model"


@dataclass(frozen=True)
class Candidate:
    """A recipe and the network it starts from: the user's `model` or a baseline's own, as `width-0.5`."""

    recipe: Recipe
    base: str = MODEL
    kind: Kind = "compressed"

    @property
    def label(self) -> str:
        return str(self.recipe) if self.base == MODEL else f"{self.base}: {self.recipe}"


@dataclass(frozen=True)
class Evaluated:
    """One seed's artifact, run on the validation split.

    `predictions` are what the metric keeps of its integers' outputs: labels int64 [n] or outputs float32
    [n, k]. `accuracy` is the metric's gain, higher is better: accuracy in percent unless another metric was
    asked for; an error has its sign turned. `measurements` by name (`file_bytes`, `ram_bytes`, …); `notes`
    what steps had to say; `files` relative to the seed's folder; `reused_steps` of the recipe were taken over
    from an earlier candidate instead of carried out.
    """

    seed: int
    accuracy: float
    predictions: Array
    measurements: Mapping[str, Measurement]
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    reused_steps: int = 0


@dataclass(frozen=True)
class Point:
    """A candidate, built and measured once a seed (ascending); the first seed's artifact is shipped."""

    key: str
    candidate: Candidate
    runs: tuple[Evaluated, ...]
    folder: Path
    test: tuple[Evaluated, ...] = field(default=())

    @property
    def kind(self) -> Kind:
        return self.candidate.kind

    @property
    def label(self) -> str:
        return self.candidate.label

    @property
    def measurements(self) -> Mapping[str, Measurement]:
        """Costs of the shipped artifact."""
        return self.runs[0].measurements

    @property
    def accuracy(self) -> float:
        """Mean gain on validation over seeds: accuracy in percent unless another metric was asked for."""
        return float(np.mean([run.accuracy for run in self.runs]))

    @property
    def accuracy_sd(self) -> float:
        """Sample standard deviation over seeds; 0 for a single seed."""
        return deviation([run.accuracy for run in self.runs])

    @property
    def artifact(self) -> Path:
        """The folder of the shipped artifact."""
        return self.folder / f"seed-{self.runs[0].seed}"

    def cost(self, name: str) -> float:
        return self.measurements[name].value


@dataclass(frozen=True)
class Rejected:
    """Known not to fit before it was trained."""

    key: str
    candidate: Candidate
    reason: str


@dataclass(frozen=True)
class Failed:
    """The candidate could not be built or measured."""

    key: str
    candidate: Candidate
    reason: str


Outcome = Point | Rejected | Failed


def deviation(values: list[float]) -> float:
    """Sample standard deviation; 0 for fewer than two values."""
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
