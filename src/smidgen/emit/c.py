"""Writes an integer graph as a small C99 project that compiles anywhere and checks itself."""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.emit.c_project import Golden, project_files
from smidgen.emit.c_source import constant_bytes
from smidgen.emit.emitter import Artifact, Emitter, Problem
from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.graph.planner import plan_memory
from smidgen.lower.program import Program
from smidgen.lower.schedule import check_schedulable, expand_weights, schedule
from smidgen.numerics import Array
from smidgen.run.reference import run_integer
from smidgen.targets.host import HostRunner
from smidgen.targets.project import MANIFEST
from smidgen.targets.target import Target

GOLDEN_SAMPLES = 3


class CArtifact(Artifact):
    """An emitted C project. `run` builds it with this computer's compiler and executes the binary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._runner = HostRunner(folder)
        built = folder / "build"
        self.files = tuple(p for p in sorted(folder.rglob("*")) if p.is_file() and built not in p.parents)

    def run(self, x: Array | Sequence[Array]) -> Array:
        """The first output [n, ...] for quantized inputs [n, ...], computed by the compiled C."""
        return self._runner.run(x)[0]

    def run_all(self, x: Array | Sequence[Array]) -> tuple[Array, ...]:
        """All outputs."""
        return self._runner.run(x)

    def selftest(self) -> str:
        """Build and run the golden vectors; what the program says. Raises Mismatch if a layer differs."""
        return self._runner.selftest()


@dataclass(frozen=True, eq=False)
class CEmitter(Emitter):
    """C99 out of an integer graph; weights stay in their stored formats and are expanded layer by layer.

    `golden_inputs`: quantized inputs [n, ...], one array an input, for the golden vectors; without them
    `GOLDEN_SAMPLES` random ones are made, the same for the same graph.
    """

    golden_inputs: tuple[Array, ...] = ()

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        problems = [p for node in graph.nodes if (p := _real_numbers(graph, node, target))]
        if not problems:
            problems = [_unschedulable(graph, p) for p in check_schedulable(graph)]
        return problems or _memory_problems(graph, target)

    def emit(self, graph: Graph, target: Target, folder: Path) -> CArtifact:
        """Write the project; an older project in `folder` is replaced, anything else there is left alone.

        Raises:
            Unsupported: `check` finds problems; lists all.
            BadInput: `folder` holds something that is not an emitted project.
        """
        self.require(graph, target)
        expanded = expand_weights(graph)
        program = schedule(expanded)
        files = project_files(program, golden_vectors(expanded, program, self.golden_inputs))
        write_folder(Path(folder), files)
        return CArtifact(Path(folder))


def golden_vectors(graph: Graph, program: Program, inputs: Sequence[Array] = ()) -> Golden:
    """Inputs, outputs and layer checksums of the exact reference, sample by sample."""
    x = tuple(inputs) or _random_inputs(graph)
    names = list(dict.fromkeys(call.node for call in program.calls))
    made: dict[str, Array] = {}

    def watch(node: Node, outputs: Sequence[Array]) -> None:
        made.update(zip(node.outputs, outputs))

    run_integer(graph, x, watch)
    made.update(zip(graph.inputs, x))
    n = len(x[0])
    rows = [made[graph.node(name).output] for name in names]
    batched = [graph.values[graph.node(name).output].batched for name in names]
    crc = [
        [
            zlib.crc32(np.ascontiguousarray(row[i] if own else row).tobytes())
            for row, own in zip(rows, batched)
        ]
        for i in range(n)
    ]
    outputs = tuple(np.ascontiguousarray(made[name]) for name in graph.outputs)
    return Golden(x, outputs, np.array(crc, dtype=np.uint32).reshape(n, len(names)))


def _random_inputs(graph: Graph) -> tuple[Array, ...]:
    rng = np.random.default_rng(0)
    made = []
    for name in graph.inputs:
        value = graph.values[name]
        grid = value.grid
        if grid is None:
            raise BadInput(name, "an input without a grid", "integer graphs quantize it", "Lower the graph")
        q = rng.integers(grid.qmin, grid.qmax, (GOLDEN_SAMPLES, *value.shape), endpoint=True)
        made.append(q.astype(value.dtype))
    return tuple(made)


def _real_numbers(graph: Graph, node: Node, target: Target) -> Problem | None:
    if node.op == "island":
        return Problem(node.name, f"it runs in float ({node.attrs['reason']})", str(node.attrs["remedy"]))
    if any(graph.values[name].dtype == "float32" for name in (*node.inputs, *node.outputs)):
        remedy = "Give it a grid (quantize.affine) and lower the graph"
        return Problem(node.name, f"{node.op} computes real numbers", remedy)
    return None


def _unschedulable(graph: Graph, found: str) -> Problem:
    return Problem(graph.name, found, "Use another emitter")


def _memory_problems(graph: Graph, target: Target) -> list[Problem]:
    """Bounds that hold before any code is compiled: constants need flash; arena, ports and stack need RAM."""
    expanded = expand_weights(graph)
    program, plan = schedule(expanded), plan_memory(expanded)
    problems = []
    ports = sum(port.nbytes for port in (*program.inputs, *program.outputs))
    ram = program.arena_bytes + ports + target.stack_bytes
    if target.ram_bytes is not None and ram > target.ram_bytes:
        peak = ", ".join(f"{name} ({expanded.values[name].nbytes})" for name in plan.peak_values)
        reason = (
            f"{ram} bytes of RAM are needed (arena {program.arena_bytes}, inputs and outputs {ports}, "
            f"stack {target.stack_bytes}), {target.name} has {target.ram_bytes}; live at the peak: {peak}"
        )
        problems.append(Problem(graph.name, reason, "Make these tensors smaller, or choose a larger part"))
    flash = constant_bytes(program)
    if target.flash_bytes is not None and flash > target.flash_bytes:
        reason = f"the weights alone need {flash} bytes of flash, {target.name} has {target.flash_bytes}"
        problems.append(Problem(graph.name, reason, "Use fewer bits, prune, or choose a larger part"))
    return problems


def write_folder(folder: Path, files: dict[str, str]) -> None:
    """Put `files` (path → text) into `folder` in one step: written beside it, then renamed into place."""
    if folder.exists() and not (folder / MANIFEST).is_file() and (folder.is_file() or any(folder.iterdir())):
        found = "something that is not an emitted project is there"
        raise BadInput(str(folder), found, "nothing of yours is overwritten", "Name another folder")
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}-") as scratch:
        new, old = Path(scratch) / "new", Path(scratch) / "old"
        for name, text in files.items():
            path = new / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
        if folder.exists():
            os.rename(folder, old)
        os.rename(new, folder)
