"""The native module as tests see it, with the kernels of an emulated AArch64 processor."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from tests.kernels.neon.plan import EmulatedPlan
from tests.kernels.neon.processor import Processor

# Values of one sample, out of the integers that a kernel of the library is made with.
SAMPLE: dict[str, Callable[[Sequence[int]], int]] = {
    **dict.fromkeys(
        ("lowbit", "lowbit_int", "block_columns", "block_rows", "csr", "dense", "lowrank", "hmd"),
        lambda sizes: sizes[1],
    ),
    "kronecker": lambda sizes: sizes[1] * sizes[3],
    **dict.fromkeys(("hadamard", "clamp"), lambda sizes: sizes[0]),
    **dict.fromkeys(("convolution", "depthwise", "winograd"), lambda sizes: math.prod(sizes[:3])),
    "hamming": lambda sizes: sizes[1],
}
WITH_SCRATCH = {"depthwise": "convolution"}
REALS = {"clamp": (1, 2), "hadamard": (1,)}  # which of the numbers are float32


class EmulatedModule:
    """`_native`, but plans and kernels of `isa` run in the emulator."""

    def __init__(self, real: ModuleType, isa: str) -> None:
        self._real, self._isa = real, isa
        self._processor = Processor(isa)

    def supported_isas(self) -> list[str]:
        return ["ref", self._isa]

    def Plan(self, code: np.ndarray, constants: np.ndarray, isa: str, choices: Sequence[str]) -> Any:
        if isa == "ref":
            return self._real.Plan(code, constants, isa, choices)
        return EmulatedPlan(self._processor, self._isa, code, constants, choices)

    def __getattr__(self, name: str) -> Any:
        return partial(self._kernel, name) if name in SAMPLE else getattr(self._real, name)

    def _kernel(self, name: str, isa: str, *constants: Any) -> Any:
        checked = getattr(self._real, name)("ref", *constants)
        return checked if isa == "ref" else EmulatedKernel(self._processor, self._isa, name, constants)


class EmulatedKernel:
    """A kernel of smg_library.h; its struct has `constants` in their order."""

    def __init__(self, processor: Processor, isa: str, name: str, constants: Sequence[Any]) -> None:
        symbols = {symbol.name: symbol.address for symbol in processor.image.symbols}
        self._processor, self._function = processor, symbols[f"smg_{name}_{isa}"]
        self._constants = [
            np.float32(value) if i in REALS.get(name, ()) else value for i, value in enumerate(constants)
        ]
        self._scratch_bytes = symbols.get(f"smg_{WITH_SCRATCH.get(name, name)}_scratch")
        self._items = SAMPLE[name](constants)
        if name == "depthwise":  # as many outputs as inputs
            self._constants.insert(3, constants[2])

    def run(self, x: np.ndarray, y: np.ndarray) -> None:
        processor = self._processor
        args = self._args()
        scratch = processor.room(processor.call(self._scratch_bytes, args) if self._scratch_bytes else 0)
        to = processor.place(bytes(y.nbytes), y.itemsize)
        given = processor.place(np.ascontiguousarray(x).tobytes(), x.itemsize)
        processor.call(self._function, args, given, to, x.size // self._items, scratch)
        y.flat = np.frombuffer(processor.read(to, y.nbytes), y.dtype)
        processor.clear()

    def _args(self) -> int:
        content = b""
        for value in self._constants:
            if isinstance(value, np.ndarray):
                content += bytes(-len(content) % 8)
                content += self._processor.place(value.tobytes(), 64).to_bytes(8, "little")
            else:
                content += (value if isinstance(value, np.float32) else np.int32(value)).tobytes()
        return self._processor.place(content, 8)
