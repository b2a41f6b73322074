"""Instruction sets that firmware can be built for: the compiler's name, start-up code, how code is read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Isa = Literal["thumb", "arm", "aarch64", "riscv32", "x86-64"]
THUMB, RISCV, FIXED = 0, 1, 2  # as in kernels/native/block_counter.h


@dataclass(frozen=True)
class Architecture:
    """`triple` and `flags` go to the compiler; `startup` is a file in `startup/`.

    `encoding` tells where instructions end (2 or 4 bytes in Thumb and RISC-V, always 4 elsewhere), and
    `entry_bit` is set in the address of a function where an address alone does not say how to read it.
    """

    triple: str
    startup: str
    encoding: int
    flags: tuple[str, ...] = ()
    entry_bit: int = 0


ARCHITECTURES: Mapping[Isa, Architecture] = {
    "thumb": Architecture("thumb-freestanding-eabi", "thumb.c", THUMB, entry_bit=1),
    # Computers have room for what -O2 adds.
    "arm": Architecture("arm-freestanding-eabi", "arm.c", FIXED, ("-O2",)),
    "aarch64": Architecture("aarch64-freestanding-none", "aarch64.c", FIXED, ("-O2",)),
    # Addresses are absolute: flash and RAM lie too far apart for one register to reach both.
    "riscv32": Architecture("riscv32-freestanding-none", "riscv32.c", RISCV, ("-mcmodel=medlow",)),
}
