"""What an emulator has to offer: firmware that has started, and whose `main` can be run again and again."""

from __future__ import annotations

from typing import Protocol

from smidgen.targets.block_count import BlockCount


class Machine(Protocol):
    """Memory holds the firmware, which has run from reset to the beginning of `main`.

    `count` counts what runs from then on.
    """

    count: BlockCount

    def write(self, address: int, content: bytes) -> None: ...

    def read(self, address: int, nbytes: int) -> bytes: ...

    def run_main(self) -> None:
        """From the state in which `main` was reached to `halt`. Raises SmidgenError if it gets not there."""

    def close(self) -> None:
        """Ends the emulator. It must not be used any more."""
