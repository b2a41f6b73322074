"""Firmware in the emulator of the `unicorn` package, which runs inside this process."""

from __future__ import annotations

import ctypes
from typing import Any

from smidgen.errors import SmidgenError
from smidgen.kernels import native
from smidgen.targets.architecture import ARCHITECTURES
from smidgen.targets.block_count import BlockCount
from smidgen.targets.cores import open_core, unicorn_package
from smidgen.targets.elf import Image
from smidgen.targets.project import Manifest
from smidgen.targets.target import Target

PAGE = 4096
TIMEOUT_SECONDS = 120


class UnicornMachine:
    """A `Machine` whose memory is the firmware's, in whole pages, and one more page behind its arena."""

    def __init__(self, image: Image, manifest: Manifest, target: Target) -> None:
        """Raises BadInput if the core can't be emulated, MissingExtra without the package."""
        self._image, self._entry_bit = image, ARCHITECTURES[target.isa].entry_bit
        self._core = open_core(target)
        self._machine = self._core.machine
        self._machine.mem_map(target.flash_origin, _pages(image.flash_bytes))
        ram_bytes = image.address("ld_arena_end") - target.ram_origin
        self._machine.mem_map(target.ram_origin, _pages(ram_bytes) + PAGE)
        for address, content in image.segments:
            self.write(address, content)
        self._machine.reg_write(self._core.stack_pointer, image.address("ld_stack_top"))
        self._go("Reset_Handler", "main")
        self._started = self._machine.context_save()
        counter = native().BlockCounter
        self.count = BlockCount(image, manifest, target, counter)
        _count_blocks(self._machine, self.count.counter)

    def write(self, address: int, content: bytes) -> None:
        self._machine.mem_write(address, content)

    def read(self, address: int, nbytes: int) -> bytes:
        return bytes(self._machine.mem_read(address, nbytes))

    def run_main(self) -> None:
        self._machine.context_restore(self._started)
        self._go("main", "halt")

    def close(self) -> None:
        """Its memory goes with the object."""

    def _go(self, start: str, end: str) -> None:
        first, last = self._image.address(start) | self._entry_bit, self._image.address(end)
        try:
            self._machine.emu_start(first, last, timeout=TIMEOUT_SECONDS * 1_000_000)
        except unicorn_package().UcError as problem:
            raise SmidgenError("emulator", f"{problem} at address {self._at():#x}") from problem
        if self._at() & ~1 != last:
            found = f"not finished after {TIMEOUT_SECONDS} s, at address {self._at():#x}"
            raise SmidgenError("emulator", found)

    def _at(self) -> int:
        return int(self._machine.reg_read(self._core.program_counter))


def _pages(nbytes: int) -> int:
    return -(-max(nbytes, 1) // PAGE) * PAGE


def _count_blocks(machine: Any, counter: Any) -> None:
    import unicorn
    from unicorn.unicorn_py3.unicorn import uclib

    # The package's own hook_add takes Python functions only; this is what it does with them.
    handle = ctypes.c_size_t()
    status = uclib.uc_hook_add(
        machine._uch,
        ctypes.byref(handle),
        unicorn.UC_HOOK_BLOCK,
        ctypes.c_void_p(counter.callback()),
        ctypes.c_void_p(counter.data()),
        ctypes.c_uint64(1),
        ctypes.c_uint64(0),
    )
    if status != unicorn.UC_ERR_OK:
        raise SmidgenError("emulator", f"blocks can't be counted (error {status})")
