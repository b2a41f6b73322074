"""Runs cross-compiled firmware in an emulated processor: outputs, instruction counts, stack use.

Instructions are counted, not cycles: an emulator knows no wait states and no pipeline.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.numerics import Array
from smidgen.targets.cores import runs_in_qemu
from smidgen.targets.elf import Image, read_image
from smidgen.targets.machine import Machine
from smidgen.targets.project import Manifest, pack_samples, unpack_samples
from smidgen.targets.qemu import QemuMachine
from smidgen.targets.target import Target
from smidgen.targets.unicorn import UnicornMachine
from smidgen.targets.watermark import Watermark

PAINT = b"\xa5"
WATCHED_BEHIND_BYTES = 4096  # behind the arena


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
        MissingExtra: unicorn (ziglang, for QEMU) or pyelftools is not installed.
        BadInput: the target's core can't be emulated, or x does not fit.
        SmidgenError: the firmware does not reach its end, or writes beyond its arena or its stack.
    """
    raw = pack_samples(manifest.inputs, x)
    samples = [raw[at : at + manifest.input_bytes] for at in range(0, len(raw), manifest.input_bytes)]
    made, counts, calls = [], [], []
    image = read_image(elf)
    with closing(_open(elf, image, manifest, target)) as machine:
        device = _Device(machine, image, manifest)
        for number, sample in enumerate(samples):
            made.append(device.run(sample))
            counts.append(device.count.total)
            calls.append(device.count.calls())
            device.sum_functions()
            report(number + 1, len(samples))
        used = device.stack_bytes(), device.arena.high
    outputs = unpack_samples(manifest.outputs, b"".join(made), len(samples))
    functions = dict(sorted(device.functions.items(), key=lambda item: -item[1]))
    return Emulated(outputs, tuple(counts), np.array(calls, np.int64), functions, *used)


class _Device:
    """An emulated device, a sample at a time."""

    def __init__(self, machine: Machine, image: Image, manifest: Manifest) -> None:
        self._machine, self._image, self._manifest = machine, image, manifest
        self.count = machine.count
        self.functions: dict[str, int] = {}
        bottom, top = self._stack()
        machine.write(bottom, PAINT * (top - bottom))
        start, end = image.address("ld_arena_start"), image.address("ld_arena_end")
        self.arena = Watermark(machine, start, end - start, WATCHED_BEHIND_BYTES)

    def run(self, sample: bytes) -> bytes:
        """The outputs of one sample, packed."""
        for number, tensor in enumerate(self._manifest.inputs):
            part, sample = sample[: tensor.nbytes], sample[tensor.nbytes :]
            self._machine.write(self._image.address(f"in{number}"), part)
        self.count.clear()
        self.arena.paint()
        self._machine.run_main()
        self.arena.look()
        return b"".join(
            self._machine.read(self._image.address(f"out{number}"), tensor.nbytes)
            for number, tensor in enumerate(self._manifest.outputs)
        )

    def sum_functions(self) -> None:
        for name, count in self.count.functions().items():
            self.functions[name] = self.functions.get(name, 0) + count

    def stack_bytes(self) -> int:
        bottom, top = self._stack()
        return len(self._machine.read(bottom, top - bottom).lstrip(PAINT))

    def _stack(self) -> tuple[int, int]:
        return self._image.address("ld_stack_bottom"), self._image.address("ld_stack_top")


def _open(elf: Path, image: Image, manifest: Manifest, target: Target) -> Machine:
    if runs_in_qemu(target):
        return QemuMachine(elf, image, manifest, target)
    return UnicornMachine(image, manifest, target)
