"""A built-in benchmark task: data with its caveats, an architecture, and how the baseline is trained."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from smidgen.data.dataset import Splits
from smidgen.errors import BadInput
from smidgen.graph import Graph

VARIANT = ":"


class Build(Protocol):
    """The signature of every architecture in `models/`."""

    def __call__(
        self, input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0
    ) -> Graph: ...


@dataclass(frozen=True)
class Training:
    """Default settings of the uncompressed baseline, chosen on validation."""

    epochs: int
    learning_rate: float
    batch_size: int


@dataclass(frozen=True)
class Variant:
    """Another architecture for a task's data, with its own training."""

    build: Build
    training: Training


@dataclass(frozen=True)
class Task:
    """One module `tasks/<name>.py` holds one, called `TASK`; its file name is its name.

    `labels` name the classes; a task without any asks for values. `caveats` is printed next to every result.
    `read` makes the splits, `build` the architecture. `variants` are other architectures; `<task>:<variant>`
    stands wherever a task's name does. `features` says what the host computes before the network (nothing:
    ""); no measured cost includes it, and reports say so.
    """

    name: str
    description: str
    licence: str
    caveats: str
    labels: tuple[str, ...]
    input_shape: tuple[int, ...]
    training: Training
    read: Callable[[], Splits]
    build: Build
    metric: str = "accuracy"
    features: str = ""
    variants: Mapping[str, Variant] = field(default_factory=dict)

    @property
    def classes(self) -> int:
        return len(self.labels)

    def load(self) -> Splits:
        """The splits, checked. Raises BadInput or MissingExtra when the data can't be had."""
        splits = self.read()
        splits.check(f"task {self.name}")
        return splits

    def model(self, width: float = 1.0, seed: int = 0) -> Graph:
        """The task's architecture with fresh weights."""
        return self.build(self.input_shape, self.classes, width, seed)

    def baseline(
        self,
        splits: Splits,
        width: float = 1.0,
        seed: int = 0,
        report: Callable[[float, str], None] = lambda fraction, message: None,
    ) -> Graph:
        """The uncompressed network at `width`, trained with the default settings."""
        from smidgen.learn.fit import FitSettings, fit

        chosen = FitSettings(self.training.epochs, self.training.learning_rate, self.training.batch_size)
        return fit(self.model(width, seed), splits, chosen, seed=seed, report=report)


def task_names() -> tuple[str, ...]:
    """All tasks, found by path: every module of this folder but this one."""
    import smidgen.tasks as root

    return tuple(sorted(m.name for m in pkgutil.iter_modules(root.__path__) if m.name != "task"))


def is_task(name: str) -> bool:
    """True if `name` is of the form of a task's: `<task>` or `<task>:<variant>`, the task being known."""
    return name.partition(VARIANT)[0] in task_names()


def load_task(name: str) -> Task:
    """The task called `name`, or `<task>:<variant>`. Raises BadInput listing the known ones."""
    base, colon, variant = name.partition(VARIANT)
    if base not in task_names():
        raise BadInput("task", f"there is no task {base!r}", f"known: {', '.join(task_names())}")
    task: Task = importlib.import_module(f"smidgen.tasks.{base}").TASK
    if not colon:
        return task
    if variant not in task.variants:
        known = ", ".join(task.variants) or "none"
        raise BadInput(f"task {base}", f"there is no variant {variant!r}", f"known: {known}")
    chosen = task.variants[variant]
    return replace(task, name=name, build=chosen.build, training=chosen.training, variants={})
