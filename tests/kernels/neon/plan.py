"""Plans as `kernels/native/plan.cpp` runs them, but on the emulated processor."""

from __future__ import annotations

import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np

from smidgen.kernels import C_SOURCES, native
from tests.kernels.neon.processor import Processor

MOST_BYTES = 1 << 28
NONE, ARENA, CONSTANTS, PORTS = -1, 0, 1, 2  # bases
HOW = {"im2col": "im2col", "bits4": "4 bits", "bits2": "2 bits", "blocks": "blocks"}


@cache
def signature(kernel: str) -> tuple[int, int]:
    """(fields of the argument struct, pointers) of a kernel, as smidgen.h says."""
    header = re.sub(r"/\*.*?\*/", "", (C_SOURCES / "smidgen.h").read_text(), flags=re.DOTALL)
    fields, pointers = re.search(
        rf"struct {{([^}}]*)}} {kernel}_args;.*?\bvoid {kernel}\(([^)]*)\)", header, re.DOTALL
    ).groups()
    return len(fields.replace(";", ",").split(",")) - 1, pointers.count("*") - 1


@dataclass(frozen=True)
class Variant:
    """An smg_variant in the emulated memory; a function that is 0 does not exist."""

    name: str
    packed_bytes: int = 0
    scratch_bytes: int = 0
    pack: int = 0
    run: int = 0


@dataclass(frozen=True)
class Call:
    kernel: str
    args: tuple[int, ...]
    pointers: tuple[tuple[int, int, int, int], ...]  # base, offset, bytes, step


class Code:
    """Serialized calls: see plan.hpp."""

    def __init__(self, code: Sequence[int]) -> None:
        self._words = iter(map(int, code))
        self.take(1)
        (self.arena_bytes,) = self.take(1)
        inputs, outputs = self.take(2)
        self.input_bytes, self.output_bytes = self.take(inputs), self.take(outputs)
        self.blocks = [self._block() for _ in range(*self.take(1))]

    def take(self, n: int) -> tuple[int, ...]:
        return tuple(next(self._words) for _ in range(n))

    def _block(self) -> tuple[int, list[Call]]:
        turns, calls = self.take(2)
        return turns, [self._call() for _ in range(calls)]

    def _call(self) -> Call:
        kernel = native().kernel_names()[self.take(1)[0]]
        fields, pointers = signature(kernel)
        args = self.take(fields)
        found = tuple(self.take(4) for _ in range(pointers))
        self.take(4)
        return Call(kernel, args, found)


class EmulatedPlan:
    """What `_native.Plan` offers to tests: `run`, `chosen` and `candidates`."""

    def __init__(
        self,
        processor: Processor,
        isa: str,
        code: Sequence[int],
        constants: np.ndarray,
        choices: Sequence[str],
    ) -> None:
        self._processor, self._isa = processor, isa
        self._code, self._constants = Code(code), constants.tobytes()
        calls = [call for _, calls in self._code.blocks for call in calls]
        wanted = [*choices, *[""] * (len(calls) - len(choices))]
        self._variants = [self._choose(call, name) for call, name in zip(calls, wanted, strict=True)]

    def chosen(self) -> list[str]:
        return [variant.name for variant in self._variants]

    def candidates(self, isa: str) -> list[list[tuple[str, int]]]:
        """For each call what could run it, and the bytes it packs."""
        assert isa == self._isa
        calls = [call for _, calls in self._code.blocks for call in calls]
        return [self._possible(call) for call in calls]

    def run(self, inputs: Sequence[np.ndarray], outputs: Sequence[np.ndarray], n: int, _threads: int) -> None:
        processor, code = self._processor, self._code
        arena = -(-(code.arena_bytes + 1) // 64) * 64
        sizes = [arena, 0, *code.input_bytes, *code.output_bytes]
        bases = [processor.room(arena * n), 0, *(processor.place(x.tobytes(), x.itemsize) for x in inputs)]
        bases += [processor.place(bytes(y.nbytes), y.itemsize) for y in outputs]
        starts = accumulate([0, *(len(calls) for _, calls in code.blocks)])
        for (turns, calls), first in zip(code.blocks, starts, strict=False):
            for turn in range(turns):
                for number, call in enumerate(calls, first):
                    self._run(call, self._variants[number], bases, sizes, turn, n)
        for y, address in zip(outputs, bases[PORTS + len(inputs) :], strict=True):
            y.flat = np.frombuffer(processor.read(address, y.nbytes), y.dtype)
        processor.clear()

    def _run(
        self, call: Call, variant: Variant, bases: Sequence[int], sizes: Sequence[int], turn: int, n: int
    ) -> None:
        processor = self._processor
        args = self._args(call)
        pointers = self._placed_constants(call)
        for i, (base, offset, _, step) in enumerate(call.pointers):
            if base not in (NONE, CONSTANTS):
                pointers[i] = bases[base] + offset + turn * step
        strides = [0 if base == NONE else sizes[base] for base, *_ in call.pointers]
        if variant.run:
            packed = self._packed(call, variant)
            scratch = processor.call(variant.scratch_bytes, args) if variant.scratch_bytes else 0
            given = [self._words(pointers), self._words(strides), n, packed, processor.room(scratch)]
            processor.call(variant.run, args, self._words(given))
            return
        function = processor.image.address(call.kernel)
        for _ in range(n):
            processor.call(function, args, *pointers)
            pointers = [at + stride for at, stride in zip(pointers, strides, strict=True)]

    def _packed(self, call: Call, variant: Variant) -> int:
        if not variant.pack:
            return 0
        args, pointers = self._args(call), self._words(self._placed_constants(call))
        nbytes = self._processor.call(variant.packed_bytes, args, pointers)
        packed = self._processor.place(bytes(nbytes), 64)
        self._processor.call(variant.pack, args, pointers, packed)
        return packed

    def _choose(self, call: Call, wanted: str) -> Variant:
        possible = [name for name, _ in self._possible(call)]
        name = wanted if wanted in possible else possible[-1]
        return next(variant for variant in self._known(call.kernel) if variant.name == name)

    def _possible(self, call: Call) -> list[tuple[str, int]]:
        sizes = [(variant.name, self._packed_bytes(call, variant)) for variant in self._known(call.kernel)]
        self._processor.clear()
        return [(name, nbytes) for name, nbytes in sizes if nbytes <= MOST_BYTES]

    def _packed_bytes(self, call: Call, variant: Variant) -> int:
        call_of, args = self._processor.call, self._args(call)
        if variant.scratch_bytes and call_of(variant.scratch_bytes, args) > MOST_BYTES:
            return MOST_BYTES + 1
        if not variant.packed_bytes:
            return 0
        if any(base != CONSTANTS for base, *_ in call.pointers[1:-1]):
            return MOST_BYTES + 1
        return call_of(variant.packed_bytes, args, self._words(self._placed_constants(call)))

    def _known(self, kernel: str) -> list[Variant]:
        """The portable kernel and its variants, the usual one last."""
        symbols = {symbol.name: symbol.address for symbol in self._processor.image.symbols}
        named = {f"{kernel}_{end}_{self._isa}": how for end, how in HOW.items()}
        named[f"{kernel}_{self._isa}"] = ""
        found = [self._variant(symbols[name], how) for name, how in named.items() if name in symbols]
        return [Variant("ref"), *found]

    def _variant(self, address: int, how: str) -> Variant:
        _, _, *functions = struct.unpack("<6Q", self._processor.read(address, 48))
        return Variant(f"{self._isa} {how}".strip(), *functions)

    def _args(self, call: Call) -> int:
        return self._processor.place(np.array(call.args, np.int32).tobytes(), 4)

    def _placed_constants(self, call: Call) -> list[int]:
        """The pointers of a call, each constant in a place of its own; 0 for what is none."""
        return [
            self._processor.place(self._constants[offset : offset + nbytes], 4) if base == CONSTANTS else 0
            for base, offset, nbytes, _ in call.pointers
        ]

    def _words(self, values: Sequence[int]) -> int:
        return self._processor.place(np.array(values, np.int64).tobytes(), 8)
