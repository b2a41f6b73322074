"""Whether a target can run a network, and where its memory would go: known before any training."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from smidgen.emit.emitter import Problem
from smidgen.graph import Graph
from smidgen.lower.schedule import check_schedulable
from smidgen.measure.feasibility import as_int8, problems_of
from smidgen.measure.memory_map import MemoryMap, memory_map
from smidgen.methods.step import silent
from smidgen.search.fixes.fitting import Remedy, remedies
from smidgen.targets.target import Target


@dataclass(frozen=True)
class Check:
    """What `check` found.

    Attributes:
        limits: flash_bytes and ram_bytes that were judged by, those that are known.
        problems: everything that stands in the way; empty: nothing.
        memory: None on hosts and where a node has no kernel.
        remedies: tried only if memory is what does not fit, and the network has real numbers.
    """

    target: str
    limits: Mapping[str, float]
    problems: tuple[Problem, ...]
    memory: MemoryMap | None
    remedies: tuple[Remedy, ...]

    def to_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "fits": not self.problems,
            "limits": dict(self.limits),
            "problems": [asdict(problem) for problem in self.problems],
            "memory": self.memory and {**asdict(self.memory), "ram_bytes": self.memory.ram_bytes},
            "remedies": [asdict(remedy) for remedy in self.remedies],
        }


def check(
    graph: Graph,
    target: Target,
    limits: Mapping[str, float],
    report: Callable[[float, str], None] = silent,
) -> Check:
    """Judge `graph` on `target`; a float graph as its int8 version. `limits` replace the target's memory."""
    own = {"flash_bytes": target.flash_bytes, "ram_bytes": target.ram_bytes}
    known = {name: float(value) for name, value in own.items() if value is not None}
    known |= {name: value for name, value in limits.items() if name in own}
    problems = tuple(problems_of(graph, target, known))
    memory, tried = None, []
    device = target.model_copy(update={name: int(value) for name, value in known.items()})
    if target.kind == "microcontroller" and _has_kernels(graph):
        memory = memory_map(graph if graph.is_integer else as_int8(graph), device)
        if problems and not graph.is_integer:
            tried = remedies(graph, device, known, report)
    return Check(target.name, known, problems, memory, tuple(tried))


def _has_kernels(graph: Graph) -> bool:
    if any(node.op == "island" for node in graph.walk()):
        return False
    return not check_schedulable(graph if graph.is_integer else as_int8(graph))
