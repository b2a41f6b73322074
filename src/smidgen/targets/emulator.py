"""Runs cross-compiled firmware in an emulated processor: outputs, instruction counts, stack use.

Instructions are counted, not cycles: an emulator knows no wait states and no pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import SmidgenError
from smidgen.numerics import Array
from smidgen.targets.architecture import ARCHITECTURES
from smidgen.targets.block_count import BlockCount
from smidgen.targets.cores import Core, open_core, unicorn_package
from smidgen.targets.elf import Image, read_image
from smidgen.targets.project import Manifest, pack_samples, unpack_samples
from smidgen.targets.target import Target
from smidgen.targets.watermark import Watermark

PAGE = 4096
PAINT = b"\xa5"
TIMEOUT_SECONDS = 120


@dataclass(frozen=True)
class Emulated:
    """What n samples did, one after the other on the same device.

    Attributes:
        outputs: [n, ...], one array an output.
        counts: instructions of each sample, from the call of main to its return.
        calls: instructions of each sample [n, calls] by call of a kernel, loops unrolled. What sets a call up
            belongs to it; to none belong main and the return of the model's function.
        functions: instructions of all samples by function, most first.
        stack_bytes: the deepest stack.
        arena_bytes: up to where the arena was written, seen by paint that was overwritten.
    """

    outputs: tuple[Array, ...]
    counts: tuple[int, ...]
    calls: Array
    functions: Mapping[str, int]
    stack_bytes: int
    arena_bytes: int

    @property
    def total_instructions(self) -> int:
        """Of the sample that took most: kernels branch on values here and there."""
        return max(self.counts)

    def by_layer(self, manifest: Manifest) -> dict[str, int]:
        """Instructions of each layer of `manifest`, of the sample that took most of them in all."""
        sums = dict.fromkeys(manifest.layers, 0)
        slowest = self.calls[self.counts.index(self.total_instructions)]
        for layer, count in zip(manifest.executed_layers, slowest.tolist(), strict=True):
            sums[manifest.layers[layer]] += count
        return sums


def silent(_done: int, _of: int) -> None:
    """Reports nothing."""


def emulate(
    elf: Path,
    manifest: Manifest,
    target: Target,
    x: Array | Sequence[Array],
    report: Callable[[int, int], None] = silent,
) -> Emulated:
    """Run samples x [n, ...] through firmware made by `cross.build_firmware`; `report(done, of)` after each.

    Raises:
        MissingExtra: unicorn or pyelftools is not installed.
        BadInput: the target's core can't be emulated, or x does not fit.
        SmidgenError: the firmware does not reach its end, or writes beyond its arena or its stack.
    """
    raw = pack_samples(manifest.inputs, x)
    device = _Device(read_image(elf), manifest, target)
    samples = [raw[at : at + manifest.input_bytes] for at in range(0, len(raw), manifest.input_bytes)]
    made, counts, calls = [], [], []
    for number, sample in enumerate(samples):
        made.append(device.run(sample))
        counts.append(device.count.total)
        calls.append(device.count.calls())
        device.sum_functions()
        report(number + 1, len(samples))
    outputs = unpack_samples(manifest.outputs, b"".join(made), len(samples))
    functions = dict(sorted(device.functions.items(), key=lambda item: -item[1]))
    used = device.stack_bytes(), device.arena.high
    return Emulated(outputs, tuple(counts), np.array(calls, np.int64), functions, *used)


class _Device:
    """Firmware that has started: `main` can be run again and again."""

    def __init__(self, image: Image, manifest: Manifest, target: Target) -> None:
        self._image, self._manifest = image, manifest
        self._entry_bit = ARCHITECTURES[target.isa].entry_bit
        self._core = open_core(target)
        self.count = BlockCount(image, manifest, target)
        self.functions: dict[str, int] = {}
        machine = self._core.machine
        _map_memory(machine, image, target)
        machine.reg_write(self._core.stack_pointer, image.address("ld_stack_top"))
        bottom, top = self._stack()
        machine.mem_write(bottom, PAINT * (top - bottom))
        _go(self._core, image.address("Reset_Handler") | self._entry_bit, image.address("main"))
        self._started = machine.context_save()
        self.arena = _arena_of(machine, image, target)
        self.count.attach(machine)

    def run(self, sample: bytes) -> bytes:
        """The outputs of one sample, packed."""
        machine, image = self._core.machine, self._image
        machine.context_restore(self._started)
        for number, tensor in enumerate(self._manifest.inputs):
            part, sample = sample[: tensor.nbytes], sample[tensor.nbytes :]
            machine.mem_write(image.address(f"in{number}"), part)
        self.count.clear()
        self.arena.paint()
        _go(self._core, image.address("main") | self._entry_bit, image.address("halt"))
        self.arena.look()
        return b"".join(
            bytes(machine.mem_read(image.address(f"out{number}"), tensor.nbytes))
            for number, tensor in enumerate(self._manifest.outputs)
        )

    def sum_functions(self) -> None:
        for name, count in self.count.functions().items():
            self.functions[name] = self.functions.get(name, 0) + count

    def stack_bytes(self) -> int:
        bottom, top = self._stack()
        return len(bytes(self._core.machine.mem_read(bottom, top - bottom)).lstrip(PAINT))

    def _stack(self) -> tuple[int, int]:
        return self._image.address("ld_stack_bottom"), self._image.address("ld_stack_top")


def _map_memory(machine: Any, image: Image, target: Target) -> None:
    machine.mem_map(target.flash_origin, _pages(image.flash_bytes))
    machine.mem_map(target.ram_origin, _ram_bytes(image, target))
    for address, content in image.segments:
        machine.mem_write(address, content)


def _ram_bytes(image: Image, target: Target) -> int:
    """Whole pages, and one more behind the arena, where an overflow is seen."""
    return _pages(image.address("ld_arena_end") - target.ram_origin) + PAGE


def _arena_of(machine: Any, image: Image, target: Target) -> Watermark:
    start, end = image.address("ld_arena_start"), image.address("ld_arena_end")
    behind = target.ram_origin + _ram_bytes(image, target) - end
    return Watermark(machine, start, end - start, behind)


def _pages(nbytes: int) -> int:
    return -(-max(nbytes, 1) // PAGE) * PAGE


def _go(core: Core, start: int, end: int) -> None:
    try:
        core.machine.emu_start(start, end, timeout=TIMEOUT_SECONDS * 1_000_000)
    except unicorn_package().UcError as problem:
        at = core.machine.reg_read(core.program_counter)
        raise SmidgenError("emulator", f"{problem} at address {at:#x}") from problem
    at = core.machine.reg_read(core.program_counter)
    if at & ~1 != end:
        raise SmidgenError("emulator", f"not finished after {TIMEOUT_SECONDS} s, at address {at:#x}")
