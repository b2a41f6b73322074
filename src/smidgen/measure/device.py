"""What a device makes of an integer network: firmware is built, emulated on golden vectors and compared."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.emit.c import CEmitter
from smidgen.errors import Mismatch
from smidgen.graph import Graph
from smidgen.measurement import Measurement
from smidgen.numerics import Array
from smidgen.run.reference import run_integer
from smidgen.targets.cores import require_emulator
from smidgen.targets.cross import build_firmware, measurements
from smidgen.targets.elf import read_footprint
from smidgen.targets.emulator import Emulated, emulate, silent
from smidgen.targets.latency import instruction_costs
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target

ROOMY_BYTES = 1 << 31  # firmware that does not fit is measured too, and not just "too large"


@dataclass(frozen=True)
class DeviceReport:
    """Figures of one network on one target.

    Attributes:
        measurements: flash, RAM, code, model, used stack and arena in bytes, instructions, latency, energy.
        counts: instructions of each input.
        layers: instructions by layer, of the input that took most.
        inputs: how many were run, `differing` of them with other output bytes than the exact reference.
        first_differing: the number of the first of those, or -1.
    """

    target: str
    measurements: tuple[Measurement, ...]
    counts: tuple[int, ...]
    layers: Mapping[str, int]
    inputs: int
    differing: int
    first_differing: int = -1

    @property
    def exact(self) -> bool:
        return not self.differing

    def value(self, name: str) -> float:
        return next(m.value for m in self.measurements if m.name == name)

    def require_exact(self) -> None:
        """Raise Mismatch unless every output byte was the reference's."""
        if self.differing:
            found = f"{self.differing} of {self.inputs} inputs differ, input {self.first_differing} first"
            raise Mismatch(f"emulated {self.target}", found, "the exact reference is expected bit for bit")

    def to_dict(self) -> dict[str, Any]:
        listed = {m.name: m.to_dict() for m in self.measurements}
        return {**asdict(self), "measurements": listed, "layers": dict(self.layers), "exact": self.exact}


def measure_device(
    graph: Graph,
    target: Target,
    inputs: Sequence[Array],
    report: Callable[[int, int], None] = silent,
) -> DeviceReport:
    """Build `graph` for `target` and run every input ([n, ...], one array an input) in the emulator.

    The firmware is what `CEmitter` writes for the target: in strips, or with coded weights, where that makes
    it fit. What does not fit at all is measured as it would run on a larger part.

    Raises:
        Unsupported: a node has no kernel.
        MissingExtra: a tool is missing.
        BadInput: nothing emulates the target, or inputs do not fit.
    """
    require_emulator(target)
    emitter = CEmitter(tuple(array[:1] for array in inputs))
    roomy = target.model_copy(update={"flash_bytes": ROOMY_BYTES, "ram_bytes": ROOMY_BYTES})
    part = roomy if emitter.check(graph, target) else target
    expected = run_integer(graph, tuple(inputs))
    with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
        folder = Path(scratch) / "c"
        emitter.emit(graph, part, folder)
        manifest = read_manifest(folder)
        elf = build_firmware(folder, target, Path(scratch))
        found = measurements(read_footprint(elf, manifest.prefix), target)
        ran = emulate(elf, manifest, target, inputs, report)
    wrong = [
        i for i, (own, true) in enumerate(zip(ran.outputs[0], expected)) if not np.array_equal(own, true)
    ]
    costs = [*found, *_emulated(ran, target)]
    first = wrong[0] if wrong else -1
    layers, n = ran.by_layer(manifest), len(ran.counts)
    return DeviceReport(target.name, tuple(costs), ran.counts, layers, n, len(wrong), first)


def _emulated(ran: Emulated, target: Target) -> list[Measurement]:
    n = len(ran.counts)
    stack = Measurement("stack_used_bytes", float(ran.stack_bytes), "byte", "emulated", n)
    arena = Measurement("arena_used_bytes", float(ran.arena_bytes), "byte", "emulated", n)
    return [stack, arena, *instruction_costs(ran.counts, target)]
