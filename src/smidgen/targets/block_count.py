"""Counts the instructions of emulated firmware: of every call of a kernel, exactly.

An emulator tells when a basic block begins; counting that in Python would take most of the time, so
`kernels/native/block_counter.c` does: in this process or, as a plugin, in the emulator's own.
"""

from __future__ import annotations

import bisect
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from smidgen.errors import SmidgenError
from smidgen.targets.architecture import ARCHITECTURES
from smidgen.targets.elf import Image
from smidgen.targets.project import Manifest
from smidgen.targets.target import Target


class InstructionCounter(Protocol):
    """What block_counter.c fills in: the native module's, or `shared_counter.SharedCounter`."""

    @property
    def total(self) -> int: ...

    @property
    def made(self) -> int: ...

    @property
    def outside(self) -> int: ...

    def clear(self) -> None: ...

    def calls(self) -> Sequence[tuple[int, int]]: ...

    def executed(self) -> dict[int, int]: ...


class BlockCount:
    """The counter of one emulated machine, made by `new_counter(code, base, encoding, first and last address
    of the model's function, addresses of kernels, calls)`.
    """

    def __init__(
        self, image: Image, manifest: Manifest, target: Target, new_counter: Callable[..., InstructionCounter]
    ) -> None:
        self._layers, self._functions = manifest.executed_layers, _functions(image)
        base, code = image.code
        run = next(s for s in image.symbols if s.name == f"{manifest.prefix}_run")
        kernels = [s.address for s in image.symbols if s.is_function and s.name.startswith("smg_")]
        self.counter = new_counter(
            code,
            base,
            ARCHITECTURES[target.isa].encoding,
            run.address,
            run.address + run.nbytes,
            kernels,
            len(self._layers),
        )

    def clear(self) -> None:
        self.counter.clear()

    @property
    def total(self) -> int:
        """Instructions since the last `clear`."""
        return int(self.counter.total)

    def calls(self) -> tuple[int, ...]:
        """Instructions of every call of a kernel, with what sets it up, in the order of the calls.

        Raises SmidgenError if the calls were not those of the manifest.
        """
        if self.counter.made != len(self._layers) or self.counter.outside:
            found = f"{self.counter.made} calls of kernels, {self.counter.outside} blocks outside the code"
            raise SmidgenError("emulator", found, f"the model makes {len(self._layers)} calls")
        return tuple(count for _, count in self.counter.calls())

    def functions(self) -> dict[str, int]:
        """Instructions by function, most first."""
        addresses = [address for address, _ in self._functions]
        counts: Counter[str] = Counter()
        for address, count in self.counter.executed().items():
            counts[self._functions[bisect.bisect_right(addresses, address) - 1][1]] += count
        return dict(counts.most_common())


def _functions(image: Image) -> Sequence[tuple[int, str]]:
    return sorted((s.address, s.name) for s in image.symbols if s.is_function)
