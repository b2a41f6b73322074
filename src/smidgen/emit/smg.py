"""The coded file as an artifact: what a host loads, and what "file size" on a frontier means."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.codec.container import read_smg, write_smg
from smidgen.codec.graph_lists import DTYPES
from smidgen.codec.plain import to_plain
from smidgen.emit.emitter import Artifact, Emitter, Problem
from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.lower.schedule import check_schedulable
from smidgen.numerics import Array
from smidgen.targets.target import Target

FILE_NAME = "model.smg"


@dataclass(frozen=True)
class SmgEmitter(Emitter):
    """Writes `model.smg`."""

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        problems = [problem for node in graph.walk() for problem in _node_problems(node)]
        for name, value in graph.values.items():
            if value.dtype not in DTYPES:
                problems.append(Problem(name, f"a file holds no {value.dtype}", f"Use {', '.join(DTYPES)}"))
        if target.kind != "host":
            reason = "microcontrollers do not read .smg files"
            problems.append(Problem(target.name, reason, "Emit C for this target, or choose a host"))
        return problems

    def emit(self, graph: Graph, target: Target, folder: Path) -> SmgArtifact:
        """Write `folder/model.smg`, whole or not at all. Raises Unsupported, naming every problem."""
        self.require(graph, target)
        write_smg(folder / FILE_NAME, [graph])
        return SmgArtifact(folder / FILE_NAME)


@dataclass(frozen=True)
class SmgArtifact(Artifact):
    """An emitted file; it is read again before it runs, so what runs is what is stored."""

    path: Path

    @property
    def files(self) -> tuple[Path, ...]:  # type: ignore[override]
        return (self.path,)

    @cached_property
    def graph(self) -> Graph:
        """The graph in the file. Raises BadFile."""
        return read_smg(self.path).graph

    @property
    def runs_natively(self) -> bool:
        """True if one native plan is the whole network; otherwise it runs in pieces (`run/mixed.py`)."""
        return not check_schedulable(self.graph)

    def run(self, x: Array) -> Array:
        """The network's first output for inputs [n, ...] of its own type."""
        outputs = self._runner(x)
        return outputs if isinstance(outputs, np.ndarray) else outputs[0]

    @cached_property
    def _runner(self) -> Callable[[Array], Any]:
        from smidgen.run.plans import plan_of

        return plan_of(self.graph).run


def _node_problems(node: Node) -> list[Problem]:
    try:
        to_plain({key: value for key, value in node.attrs.items() if key != "body"}, node.name)
    except BadInput as problem:
        return [Problem(node.name, problem.found, "Store numbers, strings and tuples")]
    return []
