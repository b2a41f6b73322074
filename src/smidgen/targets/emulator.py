"""Runs cross-compiled firmware in an emulated Cortex-M: outputs, instruction counts, stack use.

Instructions are counted, not cycles: an emulator knows no wait states and no pipeline.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen.errors import BadInput, MissingExtra, SmidgenError
from smidgen.numerics import Array
from smidgen.targets.elf import THUMB_BIT, Image, read_image
from smidgen.targets.project import Manifest, pack_samples, unpack_samples
from smidgen.targets.target import Target

CORES = ("cortex_m0", "cortex_m3", "cortex_m4", "cortex_m7", "cortex_m33")
PAGE = 4096
PAINT = b"\xa5"
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Emulated:
    """Outputs [1, ...], executed instructions by function from main to its end, deepest stack in bytes."""

    outputs: tuple[Array, ...]
    instructions: Mapping[str, int]
    stack_bytes: int

    @property
    def total_instructions(self) -> int:
        return sum(self.instructions.values())


def emulate(elf: Path, manifest: Manifest, target: Target, x: Array | Sequence[Array]) -> Emulated:
    """Run one sample x [1, ...] through firmware made by `cross.build_firmware`, from reset to its end.

    Raises:
        MissingExtra: unicorn or pyelftools is not installed.
        BadInput: the target's core can't be emulated, or x does not fit.
        SmidgenError: the firmware does not reach its end.
    """
    raw = pack_samples(manifest.inputs, x)
    if len(raw) != manifest.input_bytes:
        raise BadInput("inputs", f"{len(raw) // manifest.input_bytes} samples", "the emulator runs one")
    image = read_image(elf)
    machine = _machine(image, target)
    bottom, top = image.address("ld_stack_bottom"), image.address("ld_stack_top")
    machine.mem_write(bottom, PAINT * (top - bottom))
    _go(machine, image.address("Reset_Handler"), image.address("main"))
    for number, tensor in enumerate(manifest.inputs):
        part, raw = raw[: tensor.nbytes], raw[tensor.nbytes :]
        machine.mem_write(image.address(f"in{number}"), part)
    blocks = _count_blocks(machine)
    _go(machine, image.address("main"), image.address("halt"))
    outputs = b"".join(
        bytes(machine.mem_read(image.address(f"out{number}"), tensor.nbytes))
        for number, tensor in enumerate(manifest.outputs)
    )
    untouched = bytes(machine.mem_read(bottom, top - bottom))
    used = len(untouched.lstrip(PAINT))
    return Emulated(unpack_samples(manifest.outputs, outputs, 1), _by_function(machine, image, blocks), used)


def _machine(image: Image, target: Target) -> Any:
    try:
        import unicorn
        from unicorn import arm_const
    except ImportError as problem:
        raise MissingExtra("emulating a microcontroller", "unicorn", "mcu") from problem
    core = (target.cpu or "").partition("+")[0]
    if core not in CORES:
        raise BadInput(
            f"target {target.name}", f"no emulator for {core or target.kind}", f"of {CORES} there is"
        )
    machine = unicorn.Uc(unicorn.UC_ARCH_ARM, unicorn.UC_MODE_THUMB | unicorn.UC_MODE_MCLASS)
    machine.ctl_set_cpu_model(getattr(arm_const, f"UC_CPU_ARM_{core.upper()}"))
    machine.mem_map(target.flash_origin, _pages(image.flash_bytes))
    machine.mem_map(target.ram_origin, _pages(image.address("ld_stack_top") - target.ram_origin))
    for address, content in image.segments:
        machine.mem_write(address, content)
    machine.reg_write(arm_const.UC_ARM_REG_SP, image.address("ld_stack_top"))
    return machine


def _pages(nbytes: int) -> int:
    return -(-max(nbytes, 1) // PAGE) * PAGE


def _go(machine: Any, start: int, end: int) -> None:
    import unicorn
    from unicorn import arm_const

    try:
        machine.emu_start(start | THUMB_BIT, end, timeout=TIMEOUT_SECONDS * 1_000_000)
    except unicorn.UcError as problem:
        at = machine.reg_read(arm_const.UC_ARM_REG_PC)
        raise SmidgenError("emulator", f"{problem} at address {at:#x}") from problem
    at = machine.reg_read(arm_const.UC_ARM_REG_PC)
    if at & ~THUMB_BIT != end:
        raise SmidgenError("emulator", f"not finished after {TIMEOUT_SECONDS} s, at address {at:#x}")


def _count_blocks(machine: Any) -> Counter[tuple[int, int]]:
    """From now on count runs of basic blocks (address, bytes): cheaper than counting instructions."""
    import unicorn

    blocks: Counter[tuple[int, int]] = Counter()

    def entered(_machine: Any, address: int, nbytes: int, _data: Any) -> None:
        blocks[address, nbytes] += 1

    machine.hook_add(unicorn.UC_HOOK_BLOCK, entered)
    return blocks


def _by_function(machine: Any, image: Image, blocks: Counter[tuple[int, int]]) -> dict[str, int]:
    """Executed instructions by function, most first."""
    functions = sorted((s.address, s.name) for s in image.symbols if s.is_function)
    addresses = [address for address, _ in functions]
    counts: Counter[str] = Counter()
    for (address, nbytes), times in blocks.items():
        name = functions[bisect.bisect_right(addresses, address) - 1][1]
        counts[name] += times * _instructions(bytes(machine.mem_read(address, nbytes)))
    return dict(counts.most_common())


def _instructions(code: bytes) -> int:
    """Thumb instructions in `code`: a first halfword of 0b11101… or 0b1111… begins one of 32 bits."""
    at = count = 0
    while at < len(code):
        at += 4 if code[at + 1] >= 0xE8 else 2
        count += 1
    return count
