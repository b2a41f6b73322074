"""The counter of `kernels/native/block_counter.h` in a file that another process maps and counts in."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from smidgen.numerics import Array

WORD = 8


class _State(ctypes.Structure):
    """`smg_block_counter`, pointers being offsets in the file until the other process has opened it."""

    _fields_ = (
        *(
            (name, ctypes.c_uint64)
            for name in ("code", "starts", "base", "code_bytes", "run_first", "run_last")
        ),
        ("encoding", ctypes.c_int32),
        *((name, ctypes.c_uint64) for name in ("executed", "calls", "kernels", "most_calls")),
        *((name, ctypes.c_uint64) for name in ("made", "total", "outside", "pending")),
        *((name, ctypes.c_int32) for name in ("from_run", "in_call")),
    )


class SharedCounter:
    """Has what the native module's `BlockCounter` has, for an emulator that is a process of its own."""

    def __init__(
        self,
        path: Path,
        code: bytes,
        base: int,
        encoding: int,
        run_first: int,
        run_last: int,
        kernels: Sequence[int],
        most_calls: int,
    ) -> None:
        """`code` lies at `base`, in it the model's function from `run_first` to `run_last`, and `kernels`."""
        places, halves = len(code) + len(code) % 2, -(-len(code) // 2)
        arrays = {"code": places, "starts": halves, "executed": halves * WORD}
        arrays |= {"calls": most_calls * WORD, "kernels": most_calls * WORD}
        offsets, end = {}, ctypes.sizeof(_State)
        for name, nbytes in arrays.items():
            offsets[name], end = end, -(-(end + nbytes) // WORD) * WORD
        path.write_bytes(bytes(end))
        with path.open("r+b") as file:
            mapped = mmap.mmap(file.fileno(), end)
        self._memory, self._state = np.frombuffer(mapped, np.uint8), _State.from_buffer(mapped)
        for name, offset in offsets.items():
            setattr(self._state, name, offset)
        self._state.base, self._state.code_bytes, self._state.encoding = base, len(code), encoding
        self._state.run_first, self._state.run_last, self._state.most_calls = run_first, run_last, most_calls
        self._memory[offsets["code"] :][: len(code)] = np.frombuffer(code, np.uint8)
        self._memory[offsets["starts"] :][[(at - base) // 2 for at in kernels]] = 1
        self._executed, self._calls, self._kernels = (
            self._words(offsets[name], arrays[name]) for name in ("executed", "calls", "kernels")
        )

    def _words(self, offset: int, nbytes: int) -> Array:
        return self._memory[offset : offset + nbytes].view(np.uint64)

    def clear(self) -> None:
        """Back to no block executed."""
        for name in ("made", "total", "outside", "pending", "from_run", "in_call"):
            setattr(self._state, name, 0)
        for counts in (self._executed, self._calls, self._kernels):
            counts[:] = 0

    @property
    def made(self) -> int:
        return int(self._state.made)

    @property
    def total(self) -> int:
        return int(self._state.total)

    @property
    def outside(self) -> int:
        return int(self._state.outside)

    def calls(self) -> list[tuple[int, int]]:
        """(address of the kernel, instructions) of each call."""
        return list(zip(self._kernels[: self.made].tolist(), self._calls[: self.made].tolist(), strict=True))

    def executed(self) -> dict[int, int]:
        """Instructions by the address of a block's first one."""
        base = int(self._state.base)
        return {base + 2 * int(i): int(self._executed[i]) for i in np.flatnonzero(self._executed)}
