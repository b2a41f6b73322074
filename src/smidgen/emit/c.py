"""Writes an integer graph as a small C99 project that compiles anywhere and checks itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from smidgen.emit.c_figures import device_figures
from smidgen.emit.c_golden import golden_vectors
from smidgen.emit.c_layouts import LAYOUTS
from smidgen.emit.c_project import manifest_of, project_files, template_words
from smidgen.emit.c_schedule import port_bytes, ram_bytes, scheduled, strips_text
from smidgen.emit.c_source import constant_bytes
from smidgen.emit.emitter import Artifact, Emitter, Problem
from smidgen.emit.folder import write_folder
from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.lower.device import OnDevice, Weights
from smidgen.lower.schedule import check_schedulable
from smidgen.numerics import Array
from smidgen.targets.host import HostRunner
from smidgen.targets.project import MANIFEST, pack_samples
from smidgen.targets.target import Target


class CArtifact(Artifact):
    """An emitted C project. `run` builds it with this computer's compiler and executes the binary."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.runner = HostRunner(folder)
        built = folder / "build"
        self.files = tuple(p for p in sorted(folder.rglob("*")) if p.is_file() and built not in p.parents)

    def run(self, x: Array | Sequence[Array]) -> Array:
        """The first output [n, ...] for quantized inputs [n, ...], computed by the compiled C."""
        return self.runner.run(x)[0]

    def selftest(self) -> str:
        """Build and run the golden vectors; what the program says. Raises Mismatch if a layer differs."""
        return self.runner.selftest()


@dataclass(frozen=True, eq=False)
class CEmitter(Emitter):
    """C99 out of an integer graph; weights stay in their stored formats.

    Attributes:
        golden_inputs: quantized inputs [n, ...], one array an input, for the golden vectors; by default a few
            random ones, the same for the same graph.
        layout: one of `c_layouts.LAYOUTS`: project, single-header, arduino.
        measured: whether the README tells what the firmware takes on the target, which builds and runs it.
        weights: whether they are also multiplied in that form, or expanded or entropy-decoded layer by layer
            (`lower/device.py`); None: whichever suits the target (`emit/c_schedule.py`).
        patches: strips of the first layers (`lower/patches.py`); 0: none, or as few as fit the target's RAM.
    """

    golden_inputs: tuple[Array, ...] = ()
    layout: str = "project"
    measured: bool = False
    weights: Weights | None = None
    patches: int = 0

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        problems = [problem for node in graph.nodes if (problem := _real_numbers(graph, node))]
        known = {problem.node for problem in problems}
        known |= {name for name in graph.inputs if graph.values[name].dtype == "float32"}
        for found in check_schedulable(graph):
            where, _, reason = found.partition(": ")
            if where not in known:
                problems.append(Problem(where, reason, "Use another operator here, or another emitter"))
        return problems or _memory_problems(self.scheduled(graph, target), target)

    def emit(self, graph: Graph, target: Target, folder: Path) -> CArtifact:
        """Write the project. An older project in `folder` is replaced; anything else there is an error.

        Raises:
            Unsupported: `check` finds problems; lists all.
            BadInput: `folder` holds something else, the layout is unknown, or `golden_inputs` do not fit.
        """
        if self.layout not in LAYOUTS:
            raise BadInput("layout", f"{self.layout!r} is unknown", f"there are {', '.join(LAYOUTS)}")
        self.require(graph, target)
        executed = self.scheduled(graph, target)
        program = executed.program
        manifest = manifest_of(program)
        if self.golden_inputs:
            pack_samples(manifest.inputs, self.golden_inputs)
        golden = golden_vectors(executed.graph, manifest.layers, self.golden_inputs)
        figures = ""
        if self.measured:
            plain = project_files(program, golden)
            figures = device_figures(plain, target, tuple(array[:1] for array in golden.inputs))
        if strips := strips_text(graph, executed, target, self.weights):
            figures = f"{figures}\n\n{strips[0].upper()}{strips[1:]}.".lstrip()
        files = project_files(program, golden, figures)
        laid_out = LAYOUTS[self.layout](files, template_words(program, manifest, golden))
        write_folder(Path(folder), laid_out, MANIFEST)
        return CArtifact(Path(folder))

    def scheduled(self, graph: Graph, target: Target) -> OnDevice:
        """What `emit` writes: the graph as it is executed on `target`, and its program."""
        return scheduled(graph, target, self.weights, self.patches)


def _real_numbers(graph: Graph, node: Node) -> Problem | None:
    if node.op == "island":
        return Problem(node.name, f"it runs in float ({node.attrs['reason']})", str(node.attrs["remedy"]))
    if any(graph.values[name].dtype == "float32" for name in (*node.inputs, *node.outputs)):
        remedy = "Give it a grid (quantize.affine) and lower the graph"
        return Problem(node.name, f"{node.op} computes real numbers", remedy)
    return None


def _memory_problems(executed: OnDevice, target: Target) -> list[Problem]:
    """What can't fit, whatever the compiler does: constants in flash; arena, ports and stack in RAM."""
    graph, program, plan = executed.graph, executed.program, executed.plan
    problems = []
    ports, ram = port_bytes(executed), ram_bytes(executed, target)
    if target.ram_bytes is not None and ram > target.ram_bytes:
        peak = ", ".join(f"{name} ({nbytes:,})" for name, nbytes in plan.live_at_peak.items())
        reason = (
            f"{ram:,} bytes of RAM are needed (arena {program.arena_bytes:,}, inputs and outputs {ports:,}, "
            f"stack {target.stack_bytes:,}), {target.name} has {target.ram_bytes:,}; "
            f"live at the peak: {peak or 'nothing'}"
        )
        problems.append(
            Problem(plan.peak_node or graph.name, reason, "Shrink these tensors or take a larger part")
        )
    flash = constant_bytes(program)
    if target.flash_bytes is not None and flash > target.flash_bytes:
        reason = f"the weights alone need {flash:,} bytes of flash, {target.name} has {target.flash_bytes:,}"
        problems.append(Problem(graph.name, reason, "Use fewer bits, prune, or take a larger part"))
    return problems
