"""The contract of an output format: say everything that will not work, then write files that can be run."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from smidgen.errors import Unsupported
from smidgen.graph import Graph
from smidgen.numerics import Array
from smidgen.targets.target import Target


@dataclass(frozen=True)
class Problem:
    """One thing an emitter or target can't do: the node, why, and what to do about it."""

    node: str
    reason: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.node}: {self.reason}. {self.remedy}."


class Artifact(ABC):
    """Emitted files that can be executed."""

    files: tuple[Path, ...]

    @property
    def nbytes(self) -> int:
        """The total length of the files in bytes."""
        return sum(path.stat().st_size for path in self.files)

    @abstractmethod
    def run(self, x: Array) -> Array:
        """Outputs for inputs [n, ...]: int8 -> int8, or float32 -> float32 where the network is real."""


class Emitter(ABC):
    """One output format.

    Attributes:
        exact: its artifacts compute the reference's bytes; False for those that another runtime rounds.
        takes_floats: it writes networks of real numbers; False for lowered ones.
    """

    exact: ClassVar[bool] = True
    takes_floats: ClassVar[bool] = False

    @abstractmethod
    def check(self, graph: Graph, target: Target) -> list[Problem]:
        """Everything that can't be emitted, at once, before any work. Empty: it will work."""

    @abstractmethod
    def emit(self, graph: Graph, target: Target, folder: Path) -> Artifact:
        """Write the files. Raises Unsupported with all problems if `check` finds any."""

    def require(self, graph: Graph, target: Target) -> None:
        """Raise Unsupported listing all problems, if there are any."""
        raise_problems(graph.name, self.check(graph, target))


def raise_problems(where: str, problems: Iterable[Problem]) -> None:
    listed = list(problems)
    if listed:
        raise Unsupported(where, "; ".join(f"{p.node}: {p.reason}" for p in listed), "", listed[0].remedy)
