"""Which call wrote the bytes that a call reads: a program is run on owners instead of values.

Loops run two turns, which shows what the second reads from the first. A pointer that moves counts with all
that it passes over in the loop; nothing else lives there, since it is one value of the program around.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from smidgen.lower.program import Call, Pointer, Program

Writer = tuple[int, int]  # number of a call, and the turn (0 or 1) of its loop; (-1, 0) for the caller
TURNS_SEEN = 2


@dataclass
class Reads:
    """`_found[reader, which]` lists for every turn seen: the turn, and who wrote what the pointer covers."""

    _found: dict[tuple[int, int], list[tuple[int, frozenset[Writer]]]] = field(default_factory=dict)

    def note(self, reader: int, which: int, turn: int, writers: frozenset[Writer]) -> None:
        """Pointer number `which` of call `reader` reads bytes of `writers` in `turn`."""
        self._found.setdefault((reader, which), []).append((turn, writers))

    def seen(self, reader: int, which: int) -> tuple[tuple[int, frozenset[Writer]], ...]:
        """The turns in which a pointer was seen to read, and the writers of what it read."""
        return tuple(self._found[reader, which])

    def sources(self, reader: int, which: int) -> frozenset[Writer]:
        """All writers of what a pointer reads, in any turn."""
        return frozenset().union(*(writers for _, writers in self._found[reader, which]))

    def readers(self, writer: int) -> list[tuple[int, int, list[tuple[int, frozenset[Writer]]]]]:
        """(reader, pointer number, its sources by turn) for all that read bytes of the call `writer`."""
        return [
            (reader, which, seen)
            for (reader, which), seen in self._found.items()
            if any(number == writer for _, writers in seen for number, _ in writers)
        ]


def reaching(program: Program) -> Reads:
    """The writers of everything that the calls of `program` read, constants left out."""
    starts = _starts(program)
    owner = np.full(starts["end", 0], -TURNS_SEEN, dtype=np.int64)
    reads = Reads()
    for block in program.blocks:
        for turn in range(min(block.turns, TURNS_SEEN)):
            for number in range(block.first, block.first + block.count):
                call = program.calls[number]
                for which, pointer in enumerate(call.pointers[:-1]):
                    if pointer is not None and pointer.space != "constant":
                        owners = np.unique(owner[_range(starts, call, pointer)])
                        reads.note(number, which, turn, frozenset(map(_writer, owners.tolist())))
                to = call.pointers[-1]
                assert to is not None, "every call writes"
                owner[_range(starts, call, to)] = number * TURNS_SEEN + turn
    return reads


def _writer(owner: int) -> Writer:
    return owner // TURNS_SEEN, owner % TURNS_SEEN


def _starts(program: Program) -> dict[tuple[str, int], int]:
    """Where each memory lies if all lie one behind the other; `("end", 0)`: how much there is."""
    found, at = {("arena", 0): 0}, program.arena_bytes
    for space, ports in (("input", program.inputs), ("output", program.outputs)):
        for index, port in enumerate(ports):
            found[space, index] = at
            at += port.nbytes
    found["end", 0] = at
    return found


def _range(starts: dict[tuple[str, int], int], call: Call, pointer: Pointer) -> slice:
    last = pointer.offset + pointer.step * (call.turns - 1)
    start = starts[pointer.space, pointer.index]
    return slice(start + min(pointer.offset, last), start + max(pointer.offset, last) + pointer.nbytes)
