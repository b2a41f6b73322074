"""An emulated AArch64 processor that has all kernels in its memory and runs one at a time."""

from __future__ import annotations

from pathlib import Path

import unicorn
from unicorn import arm64_const as arm64

from smidgen.kernels import C_SOURCES
from smidgen.targets.cross import compiled_once
from smidgen.targets.elf import Image, read_image

# What runs a set: a Cortex-A53 knows no dot products, so that none can be in its kernels.
CPU_MODELS = {"neon": arm64.UC_CPU_ARM64_A53, "dotprod": arm64.UC_CPU_ARM64_MAX}
COMPILED_FOR = {"neon": ("-mcpu=cortex_a53",), "dotprod": ("-mcpu=cortex_a76",)}
FLAGS = (
    "-target", "aarch64-freestanding-none", "-O1", "-std=c99", "-Wall", "-Wextra", "-Werror",
    "-ffreestanding", "-fno-sanitize=all", "-fno-strict-aliasing",
)  # fmt: skip
LINKED = ("-Wl,--no-gc-sections", "-Wl,-e,smg_copy")
PAGE = 4096
STACK, STACK_BYTES, RETURN, MEMORY = 0x8000_0000, 1 << 20, 0x9000_0000, 0x1_0000_0000
REGISTERS = [getattr(arm64, f"UC_ARM64_REG_X{i}") for i in range(8)]
GARBAGE = b"\xa5"
FLOATS_ALLOWED = 3 << 20  # in CPACR_EL1


def build(isa: str) -> Path:
    """The ELF file with the portable kernels and those of `isa`; compiled once."""
    folder = C_SOURCES.parent
    sources = [*sorted(C_SOURCES.glob("*.c")), *sorted((folder / isa).glob("*.c"))]
    headers = [path for name in ("c", "simd", "neon") for path in sorted((folder / name).rglob("*.h"))]
    flags = (*FLAGS, *COMPILED_FOR[isa], *(f"-I{folder / name}" for name in ("c", "simd", "neon")), *LINKED)
    contents = [path.read_bytes() for path in (*sources, *headers)]
    arguments = [*flags, *map(str, sources)]
    return compiled_once(f"tests/{isa}", ".elf", " ".join(FLAGS + COMPILED_FOR[isa]), contents, arguments)


class Processor:
    """Memory holds the kernels of `isa`, a stack, and what `place` puts there until `clear`.

    Whatever is placed ends where no memory is: who reads or writes beyond it ends the run with an error.
    """

    def __init__(self, isa: str) -> None:
        self.image: Image = read_image(build(isa))
        self._machine = unicorn.Uc(unicorn.UC_ARCH_ARM64, unicorn.UC_MODE_ARM)
        self._machine.ctl_set_cpu_model(CPU_MODELS[isa])
        self._machine.reg_write(arm64.UC_ARM64_REG_CPACR_EL1, FLOATS_ALLOWED)
        first = min(address for address, _ in self.image.segments) // PAGE * PAGE
        last = max(address + len(content) for address, content in self.image.segments)
        self._machine.mem_map(first, -(-(last - first) // PAGE) * PAGE)
        for address, content in self.image.segments:
            self._machine.mem_write(address, content)
        self._machine.mem_map(STACK - STACK_BYTES, STACK_BYTES)
        self._machine.mem_map(RETURN, PAGE)
        self._placed: list[tuple[int, int]] = []
        self._next = MEMORY

    def place(self, content: bytes, alignment: int = 1) -> int:
        """The address of a copy, at the end of its pages as far as the alignment allows."""
        room = -(-len(content) // alignment) * alignment
        nbytes = -(-max(room, 1) // PAGE) * PAGE
        self._machine.mem_map(self._next, nbytes)
        self._placed.append((self._next, nbytes))
        address = self._next + nbytes - room
        self._machine.mem_write(address, content)
        self._next += nbytes + PAGE
        return address

    def room(self, nbytes: int) -> int:
        """The address of `nbytes` bytes of garbage, aligned to a cache line."""
        return self.place(GARBAGE * nbytes, 64)

    def clear(self) -> None:
        """Takes away what was placed."""
        for address, nbytes in self._placed:
            self._machine.mem_unmap(address, nbytes)
        self._placed, self._next = [], MEMORY

    def read(self, address: int, nbytes: int) -> bytes:
        return bytes(self._machine.mem_read(address, nbytes))

    def call(self, function: int, *arguments: int) -> int:
        """What the function at this address returns for integers and pointers."""
        rest = b"".join(value.to_bytes(8, "little") for value in arguments[len(REGISTERS) :])
        stack = STACK - -(-len(rest) // 16) * 16
        self._machine.mem_write(stack, rest)
        for register, value in zip(REGISTERS, arguments, strict=False):
            self._machine.reg_write(register, value)
        self._machine.reg_write(arm64.UC_ARM64_REG_SP, stack)
        self._machine.reg_write(arm64.UC_ARM64_REG_LR, RETURN)
        self._machine.emu_start(function, RETURN)
        return int(self._machine.reg_read(arm64.UC_ARM64_REG_X0))
