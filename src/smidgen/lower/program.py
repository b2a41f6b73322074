"""A scheduled integer graph: kernel calls on planned memory. The one thing that native code and C agree on.

`schedule` (schedule.py) makes a Program from an integer Graph; `run.native` serializes it for the C plan
interpreter and `emit.c` prints it as C source. Both call the same kernels with the same arguments.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from smidgen.formats import Grid
from smidgen.numerics import Array

Space = Literal["input", "output", "arena", "constant"]


@dataclass(frozen=True)
class Pointer:
    """Where an argument lives: a byte `offset` in the arena, or the `index` of an input, output, constant.

    In a loop it moves on by `step` bytes (negative: back) after every turn.
    """

    space: Space
    index: int = 0
    offset: int = 0
    nbytes: int = 0
    step: int = 0


@dataclass(frozen=True)
class Call:
    """One kernel call: `kernel(args struct, pointers...)`. `args` is in the order of the kernel's struct.

    `pointers` is in the order of the kernel's parameters; None is a null pointer. `output` is the pointer
    whose bytes are the node's output (for per-layer checksums). Neighbouring calls with the same `turns` > 1
    and node are one loop, run so often.
    """

    node: str
    kernel: str
    args: tuple[tuple[str, int], ...]
    pointers: tuple[Pointer | None, ...]
    output: Pointer
    turns: int = 1


@dataclass(frozen=True)
class Block:
    """The calls number `first` to `first + count - 1`, run `turns` times one after the other."""

    first: int
    count: int
    turns: int


@dataclass(frozen=True)
class Constant:
    """Bytes a call reads: a weight's integers, a bias, a packed stream. `array` is C-contiguous, 1-D."""

    name: str
    array: Array


@dataclass(frozen=True)
class Port:
    """An input or output of the network: per-sample shape, grid and storage type."""

    name: str
    shape: tuple[int, ...]
    grid: Grid
    dtype: str

    @property
    def nbytes(self) -> int:
        n = 1 if self.dtype == "int8" else 2
        for dim in self.shape:
            n *= dim
        return n


@dataclass(frozen=True)
class Program:
    """Calls in order, their constants, ports, and the size of the arena (bytes, 16-byte aligned offsets)."""

    name: str
    calls: tuple[Call, ...]
    constants: tuple[Constant, ...]
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    arena_bytes: int

    @property
    def blocks(self) -> tuple[Block, ...]:
        """All calls in order, those of a loop together."""
        found: list[Block] = []
        for number, call in enumerate(self.calls):
            before = self.calls[number - 1] if number else None
            if before and call.turns > 1 and (before.node, before.turns) == (call.node, call.turns):
                found[-1] = replace(found[-1], count=found[-1].count + 1)
            else:
                found.append(Block(number, 1, call.turns))
        return tuple(found)
