"""Firmware in QEMU, a process of its own that is steered through its debugger's port.

For cores that the `unicorn` package lacks. Blocks are counted by a plugin, which is compiled on first use.
"""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from smidgen.kernels import C_SOURCES
from smidgen.targets.block_count import BlockCount
from smidgen.targets.cores import QEMU_PROGRAM, qemu_machine, require_emulator
from smidgen.targets.cross import compiled_once
from smidgen.targets.debugger import Debugger
from smidgen.targets.elf import Image
from smidgen.targets.project import Manifest
from smidgen.targets.shared_counter import SharedCounter
from smidgen.targets.target import Target

PLUGIN = Path(__file__).parent / "plugin" / "qemu_count.c"
COUNTER = C_SOURCES.parent / "native"
FLAGS = ("-O2", "-std=gnu11", "-shared", "-fPIC", "-fno-sanitize=all", "-Wall", "-Wextra", "-Werror")
PORT, SAID = "port", "said"  # files: the debugger's socket, what QEMU prints
ENDING_SECONDS = 0.1
OPTIONS = ("-nographic", "-monitor", "none", "-serial", "none", "-S")


class QemuMachine:
    """A `Machine`: one process, which lives until `close`."""

    def __init__(self, elf: Path, image: Image, manifest: Manifest, target: Target) -> None:
        """Raises BadInput without QEMU, MissingExtra without a compiler, SmidgenError if it stops early."""
        require_emulator(target)
        self._image = image
        self._kept = ExitStack()
        with ExitStack() as opened:
            scratch = Path(opened.enter_context(tempfile.TemporaryDirectory(prefix="smidgen-")))
            counter = partial(SharedCounter, scratch / "counter")
            self.count = BlockCount(image, manifest, target, counter)
            process = opened.enter_context(_started(elf, qemu_machine(target), scratch))
            self._debugger = Debugger(scratch / PORT, partial(_last_words, process, scratch / SAID))
            opened.callback(self._debugger.close)
            self._debugger.run_to(image.address("main"))
            self._registers = self._debugger.registers()
            self._kept = opened.pop_all()

    def write(self, address: int, content: bytes) -> None:
        self._debugger.write(address, content)

    def read(self, address: int, nbytes: int) -> bytes:
        return self._debugger.read(address, nbytes)

    def run_main(self) -> None:
        self._debugger.set_registers(self._registers)
        self._debugger.run_to(self._image.address("halt"))

    def close(self) -> None:
        """Ends QEMU."""
        self._kept.close()


@contextmanager
def _started(elf: Path, machine: str, scratch: Path) -> Iterator[subprocess.Popen[bytes]]:
    """QEMU with `elf` loaded, stopped at reset; killed in the end."""
    port = f"socket,id=gdb,path={scratch / PORT},server=on,wait=off"
    plugin = f"{_plugin()},counter={scratch / 'counter'}"
    command = [QEMU_PROGRAM, "-M", machine, *OPTIONS, "-kernel", str(elf), "-plugin", plugin]
    command += ["-chardev", port, "-gdb", "chardev:gdb"]
    with (scratch / SAID).open("wb") as said:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _last_words(process: subprocess.Popen[bytes], said: Path) -> str:
    """What an ended process said; empty while it runs."""
    try:
        process.wait(ENDING_SECONDS)
    except subprocess.TimeoutExpired:
        return ""
    lines = said.read_text("utf-8", "replace").splitlines() or ["it said nothing"]
    return f"{QEMU_PROGRAM} ended: {lines[0]}"


def _plugin() -> Path:
    sources = (PLUGIN, COUNTER / "block_counter.c", COUNTER / "block_counter.h")
    arguments = [*FLAGS, f"-I{COUNTER}", *(str(path) for path in sources[:2])]
    made_from = [path.read_bytes() for path in sources]
    return compiled_once("plugins/qemu_count", ".so", " ".join(FLAGS), made_from, arguments)
