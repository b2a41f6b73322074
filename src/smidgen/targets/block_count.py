"""Counts the instructions of emulated firmware: of every call of a kernel, exactly.

An emulator tells when a basic block begins; counting that in Python would take most of the time, so the
native module's function is hooked in by its address.
"""

from __future__ import annotations

import bisect
import ctypes
from collections import Counter
from collections.abc import Sequence
from typing import Any

from smidgen.errors import SmidgenError
from smidgen.kernels import native
from smidgen.targets.architecture import ARCHITECTURES
from smidgen.targets.elf import Image
from smidgen.targets.project import Manifest
from smidgen.targets.target import Target


class BlockCount:
    """The counter of one emulated machine."""

    def __init__(self, image: Image, manifest: Manifest, target: Target) -> None:
        self._layers, self._functions = manifest.executed_layers, _functions(image)
        base, code = image.code
        run = next(s for s in image.symbols if s.name == f"{manifest.prefix}_run")
        kernels = [s.address for s in image.symbols if s.is_function and s.name.startswith("smg_")]
        self._counter = native().BlockCounter(
            code,
            base,
            ARCHITECTURES[target.isa].encoding,
            run.address,
            run.address + run.nbytes,
            kernels,
            len(self._layers),
        )

    def attach(self, machine: Any) -> None:
        """From now on the blocks of `machine`, an emulator of the `unicorn` package, are counted."""
        import unicorn
        from unicorn.unicorn_py3.unicorn import uclib

        # The package's own hook_add takes Python functions only; this is what it does with them.
        handle = ctypes.c_size_t()
        status = uclib.uc_hook_add(
            machine._uch,
            ctypes.byref(handle),
            unicorn.UC_HOOK_BLOCK,
            ctypes.c_void_p(self._counter.callback()),
            ctypes.c_void_p(self._counter.data()),
            ctypes.c_uint64(1),
            ctypes.c_uint64(0),
        )
        if status != unicorn.UC_ERR_OK:
            raise SmidgenError("emulator", f"blocks can't be counted (error {status})")

    def clear(self) -> None:
        self._counter.clear()

    @property
    def total(self) -> int:
        """Instructions since the last `clear`."""
        return int(self._counter.total)

    def calls(self) -> tuple[int, ...]:
        """Instructions of every call of a kernel, with what sets it up, in the order of the calls.

        Raises SmidgenError if the calls were not those of the manifest.
        """
        if self._counter.made != len(self._layers) or self._counter.outside:
            found = f"{self._counter.made} calls of kernels, {self._counter.outside} blocks outside the code"
            raise SmidgenError("emulator", found, f"the model makes {len(self._layers)} calls")
        return tuple(count for _, count in self._counter.calls())

    def functions(self) -> dict[str, int]:
        """Instructions by function, most first."""
        addresses = [address for address, _ in self._functions]
        counts: Counter[str] = Counter()
        for address, count in self._counter.executed().items():
            counts[self._functions[bisect.bisect_right(addresses, address) - 1][1]] += count
        return dict(counts.most_common())


def _functions(image: Image) -> Sequence[tuple[int, str]]:
    return sorted((s.address, s.name) for s in image.symbols if s.is_function)
