"""Runs firmware in qemu-system-arm through its debugger's port: for the Cortex-M55, which unicorn lacks."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from smidgen.targets.elf import Image, read_image
from smidgen.targets.project import Manifest, pack_samples, unpack_samples

COMMAND = ("qemu-system-arm", "-M", "mps3-an547", "-nographic", "-monitor", "none", "-serial", "none", "-S")
SECONDS = 60
CHUNK = 512


class Debugger:
    """A client of GDB's remote protocol: just what a runner needs."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        until = time.monotonic() + SECONDS
        while self._socket.connect_ex(str(path)) != 0:
            assert time.monotonic() < until, "QEMU does not answer"
            time.sleep(0.02)

    def close(self) -> None:
        self._socket.close()

    def ask(self, text: str) -> str:
        self._socket.sendall(f"${text}#{sum(text.encode()) % 256:02x}".encode())
        answer = b""
        while not (answer.count(b"#") and len(answer.rpartition(b"#")[2]) >= 2):
            answer += self._socket.recv(1 << 16)
        self._socket.sendall(b"+")
        return answer.partition(b"$")[2].partition(b"#")[0].decode()

    def run_to(self, address: int) -> None:
        assert self.ask(f"Z1,{address:x},2") == "OK"
        assert self.ask("c").startswith(("T05", "S05"))
        assert self.ask(f"z1,{address:x},2") == "OK"

    def write(self, address: int, content: bytes) -> None:
        for at in range(0, len(content), CHUNK):
            part = content[at : at + CHUNK]
            assert self.ask(f"M{address + at:x},{len(part):x}:{part.hex()}") == "OK"

    def read(self, address: int, nbytes: int) -> bytes:
        parts = (min(CHUNK, nbytes - at) for at in range(0, nbytes, CHUNK))
        return b"".join(
            bytes.fromhex(self.ask(f"m{address + i * CHUNK:x},{n:x}")) for i, n in enumerate(parts)
        )


@contextmanager
def debugged(elf: Path, folder: Path) -> Iterator[Debugger]:
    path = folder / "gdb"
    chardev = f"socket,id=gdb,path={path},server=on,wait=off"
    command = [*COMMAND, "-kernel", str(elf), "-chardev", chardev, "-gdb", "chardev:gdb"]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
    try:
        with closing(Debugger(path)) as debugger:
            yield debugger
    finally:
        process.kill()
        process.wait()


def run_in_qemu(
    elf: Path, manifest: Manifest, x: Sequence[np.ndarray], folder: Path
) -> tuple[np.ndarray, ...]:
    raw, image = pack_samples(manifest.inputs, x), read_image(elf)
    samples = [raw[at : at + manifest.input_bytes] for at in range(0, len(raw), manifest.input_bytes)]
    with debugged(elf, folder) as debugger:
        debugger.run_to(image.address("main"))
        started = debugger.ask("g")
        made = [_one(debugger, image, manifest, started, sample) for sample in samples]
    return unpack_samples(manifest.outputs, b"".join(made), len(samples))


def _one(debugger: Debugger, image: Image, manifest: Manifest, started: str, sample: bytes) -> bytes:
    assert debugger.ask(f"G{started}") == "OK"
    for number, tensor in enumerate(manifest.inputs):
        debugger.write(image.address(f"in{number}"), sample[: tensor.nbytes])
        sample = sample[tensor.nbytes :]
    debugger.run_to(image.address("halt"))
    return b"".join(
        debugger.read(image.address(f"out{number}"), tensor.nbytes)
        for number, tensor in enumerate(manifest.outputs)
    )
