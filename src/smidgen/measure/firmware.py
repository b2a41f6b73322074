"""Where a microcontroller has a network's weights: what each way costs, and which one fits."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs
from smidgen.emit.c_schedule import fewest_patches
from smidgen.graph import Graph
from smidgen.lower.device import OnDevice, Weights
from smidgen.measurement import Measurement
from smidgen.targets.cores import emulator_is_installed
from smidgen.targets.cross import build_firmware, measure_cross, measurements
from smidgen.targets.elf import read_footprint
from smidgen.targets.emulator import emulate
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target

ROOMY_BYTES = 64 << 20  # firmware over the limit is linked too: its size is measured, not just "too large"


@dataclass(frozen=True)
class Firmware:
    """The sizes of what was linked from a C project whose weights are kept in one way, and whose first layers
    run in `patches` strips (0: whole), and what it executes.
    """

    weights: Weights
    patches: int
    sizes: tuple[Measurement, ...]
    executed: OnDevice

    def bytes_of(self, name: str) -> float:
        return next(found.value for found in self.sizes if found.name == name)


def fitting_firmware(
    graph: Graph, target: Target, emitter: CEmitter, limits: Mapping[str, float | None], folder: Path
) -> Firmware:
    """Emit and link `graph` in `folder`; `limits` are `flash_bytes` and `ram_bytes`, None: unlimited.

    Weights are multiplied as they are stored. Where that takes too much flash they are entropy-coded instead,
    if the arena that they are decoded into then fits. The first layers run in strips where RAM asks for it.
    """
    ram = limits.get("ram_bytes")
    limited = _roomy(target).model_copy(update={} if ram is None else {"ram_bytes": int(ram)})
    patches = fewest_patches(graph, limited, "stored")
    stored = _linked(graph, target, replace(emitter, weights="stored", patches=patches), folder)
    if not _over(stored, limits, "flash_bytes"):
        return stored
    coded = replace(emitter, weights="coded")
    with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
        tried = _linked(graph, target, coded, Path(scratch) / "c")
    smaller = tried.bytes_of("flash_bytes") < stored.bytes_of("flash_bytes")
    if smaller and not _over(tried, limits, "flash_bytes") and not _over(tried, limits, "ram_bytes"):
        return _linked(graph, target, coded, folder)
    return stored


def weight_choices(graph: Graph, target: Target) -> dict[Weights, list[Measurement]]:
    """`flash_bytes`, `ram_bytes` and, if an emulator is installed, `instructions` of one sample, each way."""
    found: dict[Weights, list[Measurement]] = {}
    device = _roomy(target)
    for weights in get_args(Weights):
        with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
            folder = CEmitter(weights=weights).emit(graph, device, Path(scratch) / "c").folder
            manifest = read_manifest(folder)
            elf = build_firmware(folder, device, Path(scratch))
            found[weights] = [
                m
                for m in measurements(read_footprint(elf, manifest.prefix), device)
                if m.name in ("flash_bytes", "ram_bytes")
            ]
            if emulator_is_installed(device):
                run = emulate(elf, manifest, device, random_inputs(graph, 1))
                found[weights].append(
                    Measurement("instructions", float(run.total_instructions), "instruction", "emulated")
                )
    return found


def _linked(graph: Graph, target: Target, emitter: CEmitter, folder: Path) -> Firmware:
    device = _roomy(target)
    emitter.emit(graph, device, folder)
    assert emitter.weights is not None, "set by fitting_firmware"
    executed = emitter.scheduled(graph, device)
    return Firmware(emitter.weights, emitter.patches, tuple(measure_cross(folder, device)), executed)


def _roomy(target: Target) -> Target:
    return target.model_copy(update={"flash_bytes": ROOMY_BYTES, "ram_bytes": ROOMY_BYTES})


def _over(firmware: Firmware, limits: Mapping[str, float | None], name: str) -> bool:
    limit = limits.get(name)
    return limit is not None and firmware.bytes_of(name) > limit
