"""Cores that can be emulated here: as the `unicorn` package knows them, and those that only QEMU has."""

from __future__ import annotations

import importlib.util
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from smidgen.errors import BadInput, MissingExtra
from smidgen.targets.target import Target

# ISA -> (module of constants, prefix of its registers, architecture, modes)
_FAMILIES: Mapping[str, tuple[str, str, str, tuple[str, ...]]] = {
    "thumb": ("arm_const", "UC_ARM_REG", "UC_ARCH_ARM", ("UC_MODE_THUMB", "UC_MODE_MCLASS")),
    "arm": ("arm_const", "UC_ARM_REG", "UC_ARCH_ARM", ("UC_MODE_ARM",)),
    "aarch64": ("arm64_const", "UC_ARM64_REG", "UC_ARCH_ARM64", ("UC_MODE_ARM",)),
    "riscv32": ("riscv_const", "UC_RISCV_REG", "UC_ARCH_RISCV", ("UC_MODE_RISCV32",)),
}
# compiler's name of a core, without extensions -> emulator's
CORES: Mapping[str, str] = {
    **{f"cortex_{core}": f"UC_CPU_ARM_CORTEX_{core.upper()}" for core in ("m0", "m3", "m4", "m7", "m33")},
    "arm1176jzf_s": "UC_CPU_ARM_1176",
    **{f"cortex_{core}": f"UC_CPU_ARM64_{core.upper()}" for core in ("a53", "a57", "a72")},
    "generic_rv32": "UC_CPU_RISCV32_ANY",
}

# compiler's name of a core that `unicorn` lacks -> machine of QEMU_PROGRAM
QEMU_MACHINES: dict[str, str] = {"cortex_m55": "mps3-an547"}
QEMU_PROGRAM = "qemu-system-arm"


@dataclass(frozen=True)
class Core:
    """An emulated processor without memory, and the numbers of its stack pointer and program counter."""

    machine: Any
    stack_pointer: int
    program_counter: int


def can_emulate(target: Target) -> bool:
    """Whether an emulator knows the target's core: `unicorn`, installed or not, or an installed QEMU."""
    return target.kind != "host" and (_core(target) in CORES or bool(qemu_machine(target)))


def emulator_is_installed(target: Target) -> bool:
    """Whether firmware for the target can be run here and now."""
    return can_emulate(target) and (runs_in_qemu(target) or importlib.util.find_spec("unicorn") is not None)


def runs_in_qemu(target: Target) -> bool:
    """Whether QEMU is what runs firmware for the target: it takes longer to start than `unicorn`."""
    return _core(target) in QEMU_MACHINES


def qemu_machine(target: Target) -> str:
    """The machine that has the target's core; empty if there is none or QEMU is not installed."""
    return QEMU_MACHINES.get(_core(target), "") if shutil.which(QEMU_PROGRAM) else ""


def require_emulator(target: Target) -> None:
    """Raise BadInput unless the target's core can be emulated."""
    if can_emulate(target):
        return
    where = f"target {target.name}"
    if runs_in_qemu(target):
        found = f"no {QEMU_PROGRAM} is installed"
        raise BadInput(where, found, f"nothing else emulates a {_core(target)}", "Install QEMU for Arm")
    found = f"no emulator for {_core(target) or target.kind}"
    raise BadInput(where, found, f"of {', '.join([*CORES, *QEMU_MACHINES])} there is")


def open_core(target: Target) -> Core:
    """The emulated core of `target`. Raises BadInput if it has none, MissingExtra without the package."""
    require_emulator(target)
    unicorn = unicorn_package()
    constants, registers, architecture, modes = _FAMILIES[target.isa]
    known = getattr(unicorn, constants)
    machine = unicorn.Uc(getattr(unicorn, architecture), sum(getattr(unicorn, mode) for mode in modes))
    machine.ctl_set_cpu_model(getattr(known, CORES[_core(target)]))
    return Core(machine, getattr(known, f"{registers}_SP"), getattr(known, f"{registers}_PC"))


def unicorn_package() -> Any:
    """The package, with the constants of all families. Raises MissingExtra."""
    try:
        import unicorn
        import unicorn.arm64_const
        import unicorn.arm_const
        import unicorn.riscv_const
    except ImportError as problem:
        raise MissingExtra("emulating a device", "unicorn", "mcu") from problem
    return unicorn


def _core(target: Target) -> str:
    return (target.cpu or "").partition("+")[0]
