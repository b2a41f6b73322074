"""The contract of a technique: a frozen dataclass of settings that turns one graph into another.

A step declares; only `tune.fit` trains (docs/DESIGN.md, D1). To add one, write a single file
`methods/<family>/<name>.py` with one public subclass of `Step`; it is found by its path, `<family>.<name>`.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from smidgen.data.dataset import Splits
from smidgen.graph import Graph
from smidgen.methods.space import Space

if TYPE_CHECKING:
    from smidgen.learn.hooks import Hook
    from smidgen.learn.objectives.objective import Objective


class Stage(enum.IntEnum):
    """The order of steps within a recipe; TUNE may come anywhere.

    WEIGHTS gives weights few values and leaves activations as they are, so that a training may follow before
    VALUES puts all numbers on grids.
    """

    SHAPE = 0
    STRUCTURE = 1
    WEIGHTS = 2
    VALUES = 3
    STORAGE = 4
    TUNE = 5


Needs = Literal["nothing", "data", "classes"]  # each includes what is before it


def silent(fraction: float, message: str) -> None:
    """The progress callback that shows nothing."""


@dataclass(frozen=True)
class Context:
    """What a step may use besides the graph.

    `data` may be None (data-free methods only); `original` is the uncompressed float graph (a teacher);
    `seed` fixes every random choice; `report(fraction, message)` shows progress; `notes` collects what a
    step wants the user to know (a step that changed nothing says so and why).
    """

    data: Splits | None
    original: Graph
    seed: int = 0
    report: Callable[[float, str], None] = silent
    notes: list[str] = field(default_factory=list)

    def rng(self) -> np.random.Generator:
        return np.random.default_rng(self.seed)

    def need_data(self, step: str) -> Splits:
        """The data, or BadInput naming the step that needs it."""
        from smidgen.errors import BadInput

        if self.data is None:
            raise BadInput(
                step, "no data was given", "this step learns from data", "Pass --data or drop the step"
            )
        return self.data


class Step(ABC):
    """One technique. Subclasses are frozen dataclasses whose fields are YAML-able settings."""

    stage: ClassVar[Stage]
    needs: ClassVar[Needs] = "data"  # to apply it: nothing, samples with targets, or with labels of classes
    name: ClassVar[str] = ""  # "<family>.<name>", filled from the module's path

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.name = ".".join(cls.__module__.split(".")[-2:])

    @abstractmethod
    def apply(self, graph: Graph, ctx: Context) -> Graph:
        """A changed copy of `graph` (never the input, mutated). Same seed, same result."""

    @abstractmethod
    def space(self, graph: Graph) -> Space:
        """What a search may vary: field name -> choices or range. Empty: nothing."""

    # Declarations that act in training (a step adds itself to `graph.pending`).

    def hooks(self, ctx: Context) -> tuple[Hook, ...]:
        """Callbacks that the next training runs."""
        return ()

    def objective(self, base: Objective, ctx: Context) -> Objective:
        """Wrap or replace the training objective."""
        return base
