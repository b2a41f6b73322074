"""Flash, RAM and instructions of an emitted project, for its README: built and emulated, not estimated."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from smidgen.errors import BadInput, MissingExtra
from smidgen.files import write_files
from smidgen.numerics import Array
from smidgen.targets.cores import can_emulate
from smidgen.targets.cross import build_firmware, measurements
from smidgen.targets.elf import read_footprint
from smidgen.targets.emulator import emulate
from smidgen.targets.latency import instruction_costs
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target

LABELS: Mapping[str, str] = {
    "flash_bytes": "flash, all of the firmware (bytes)",
    "code_bytes": "of it code",
    "model_bytes": "of it the model",
    "ram_bytes": "RAM: arena, inputs, outputs, reserved stack (bytes)",
    "instructions": "instructions an inference",
    "latency_ms": "latency (ms)",
    "core_energy_uj": "energy of the core (uJ)",
}


def device_figures(files: Mapping[str, str], target: Target, sample: Sequence[Array]) -> str:
    """A Markdown table of what the project in `files` takes on `target`, or why it is not known."""
    if target.kind == "host":
        return "Code is not in these figures: it depends on the compiler and the processor."
    try:
        found = _measured(files, target, sample)
    except (MissingExtra, BadInput) as problem:
        return f"Not built for {target.name}: {problem}"
    rows = [
        f"| {label} | {_figure(found[name][0])} | {found[name][1]} |"
        for name, label in LABELS.items()
        if name in found
    ]
    head = f"On {target.name} ({target.description}) with startup code, compiled with clang:"
    return "\n".join([head, "", "| figure | value | how |", "|---|---|---|", *rows])


def _figure(value: float) -> str:
    """Whole numbers in full, others with six digits."""
    return f"{value:,.0f}" if value.is_integer() or value >= 1e5 else f"{value:,.6g}"


def _measured(
    files: Mapping[str, str], target: Target, sample: Sequence[Array]
) -> dict[str, tuple[float, str]]:
    with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
        folder = Path(scratch) / "c"
        write_files(folder, files)
        manifest, elf = read_manifest(folder), build_firmware(folder, target, Path(scratch))
        found = measurements(read_footprint(elf, manifest.prefix), target)
        if can_emulate(target):
            found += instruction_costs(emulate(elf, manifest, target, sample).counts, target)
    return {m.name: (m.value, m.how) for m in found}
