"""A client of GDB's remote protocol: what a runner of firmware needs of it.

Ref: GDB manual, appendix E, "GDB Remote Serial Protocol".
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from pathlib import Path

from smidgen.errors import SmidgenError

SECONDS = 120  # to answer, or to reach an address
POLL_SECONDS = 0.02
CHUNK_BYTES = 1024  # QEMU takes packets of 4096 characters, two a byte
RECEIVED_BYTES = 1 << 16


class Debugger:
    """Steers the emulator that listens at the socket `path`; `last_words` tell why it has ended, if so."""

    def __init__(self, path: Path, last_words: Callable[[], str]) -> None:
        """Raises SmidgenError if nothing listens within `SECONDS`."""
        self._last_words = last_words
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(SECONDS)
        until = time.monotonic() + SECONDS
        while self._socket.connect_ex(str(path)) != 0:
            if last_words() or time.monotonic() > until:
                self._socket.close()
                raise self._silent()
            time.sleep(POLL_SECONDS)

    def close(self) -> None:
        self._socket.close()

    def run_to(self, address: int) -> None:
        """Go on until the instruction at `address` is next. Raises SmidgenError if it gets not there."""
        self._acknowledged(f"Z1,{address:x},2")
        if not self._ask("c").startswith(("T05", "S05")):
            raise self._silent()
        self._acknowledged(f"z1,{address:x},2")

    def registers(self) -> str:
        """All of them, as `set_registers` takes them."""
        return self._ask("g")

    def set_registers(self, found: str) -> None:
        self._acknowledged(f"G{found}")

    def write(self, address: int, content: bytes) -> None:
        for at in range(0, len(content), CHUNK_BYTES):
            part = content[at : at + CHUNK_BYTES]
            self._acknowledged(f"M{address + at:x},{len(part):x}:{part.hex()}")

    def read(self, address: int, nbytes: int) -> bytes:
        parts = ((address + at, min(CHUNK_BYTES, nbytes - at)) for at in range(0, nbytes, CHUNK_BYTES))
        return b"".join(self._read(at, count) for at, count in parts)

    def _read(self, address: int, nbytes: int) -> bytes:
        answer = self._ask(f"m{address:x},{nbytes:x}")
        if len(answer) != 2 * nbytes:
            raise self._refused(f"m{address:x},{nbytes:x}", answer)
        return bytes.fromhex(answer)

    def _acknowledged(self, request: str) -> None:
        answer = self._ask(request)
        if answer != "OK":
            raise self._refused(request, answer)

    def _ask(self, request: str) -> str:
        """The answer to a packet, both without frame and checksum."""
        answer = b""
        try:
            self._socket.sendall(f"${request}#{sum(request.encode()) % 256:02x}".encode())
            while not (b"#" in answer and len(answer.rpartition(b"#")[2]) >= 2):
                received = self._socket.recv(RECEIVED_BYTES)
                if not received:
                    raise self._silent()
                answer += received
            self._socket.sendall(b"+")
        except OSError as problem:
            raise self._silent() from problem
        return answer.partition(b"$")[2].partition(b"#")[0].decode()

    def _silent(self) -> SmidgenError:
        return SmidgenError("emulator", self._last_words() or f"not finished after {SECONDS} s")

    def _refused(self, request: str, answer: str) -> SmidgenError:
        return SmidgenError(
            "emulator", f"the answer to {request[:20]} is {answer or 'empty'!r}", "memory of its own"
        )
