"""A network as firmware in an emulated device: shared by the benchmarks of small devices."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.emit.c import CEmitter
from smidgen.graph import Graph
from smidgen.targets.cross import build_firmware, measure_cross
from smidgen.targets.emulator import Emulated, emulate
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target

ROOMY = {"flash_bytes": 1 << 26, "ram_bytes": 1 << 26}  # what does not fit the part is measured all the same


@dataclass(frozen=True)
class Firmware:
    """What the device computed on all inputs, and the linked file's sizes by name (`flash_bytes`, ...)."""

    ran: Emulated
    sizes: dict[str, int]


def on_device(graph: Graph, x: np.ndarray, device: Target, emitter: CEmitter | None = None) -> Firmware:
    """Build the firmware of `graph` for `device` and run it on quantized x [n, ...]."""
    with tempfile.TemporaryDirectory() as scratch:
        project = (emitter or CEmitter()).emit(graph, device, Path(scratch) / "project").folder
        elf = build_firmware(project, device, Path(scratch))
        sizes = {m.name: int(m.value) for m in measure_cross(project, device)}
        return Firmware(emulate(elf, read_manifest(project), device, x), sizes)
