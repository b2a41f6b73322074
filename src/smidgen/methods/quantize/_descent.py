"""Greedy descent in bits: which weight loses a bit next. Knows nothing of networks, only counts answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

Bits = Mapping[str, int]  # weight -> bits
Sizes = Mapping[str, Mapping[int, int]]  # weight -> allowed bits -> stored bits of the whole tensor
# (bits, needed) -> right answers; None instead as soon as fewer than `needed` are certain.
Judge = Callable[[Bits, int], "int | None"]
Watch = Callable[[float, Bits], None]  # (share of the bits taken, 0..1; where the descent is)


@dataclass(frozen=True)
class Move:
    """One bit less for `name`: `right` answers remain, `lost` fewer than before (0 if more), `saved` bits."""

    name: str
    right: int
    lost: int
    saved: int


def descend(sizes: Sizes, judge: Judge, floor: int, watch: Watch) -> tuple[dict[str, int], int]:
    """(bits, right answers) after the cheapest moves, until none leaves `floor` right answers.

    Starts from the most bits of each weight, even if they are below the floor (no move is made then).
    """
    bits = {name: max(options) for name, options in sizes.items()}
    steps = sum(max(options) - min(options) for options in sizes.values())
    right = judge(bits, 0) or 0
    taken = 0
    while right >= floor and (move := best_move(sizes, judge, bits, right, floor)):
        bits[move.name] -= 1
        right, taken = move.right, taken + 1
        watch(taken / steps, bits)
    return bits, right


def best_move(sizes: Sizes, judge: Judge, bits: Bits, right: int, floor: int) -> Move | None:
    """The allowed move with the least lost / saved; of equals the one that saves most, then the first weight.

    The biggest savings are judged first. One that loses nothing can't be beaten by a smaller one, and any
    other sets how many right answers a smaller one needs to be cheaper: most candidates are never judged to
    the end, and the answer is that of judging all of them.
    """
    best: Move | None = None
    for saved, name in _by_saving(sizes, bits):
        # Who saves less and is cheaper loses fewer answers than `best`, so stays above the floor too.
        needed = floor if best is None else right - _most_lost(best, saved)
        found = judge({**bits, name: bits[name] - 1}, needed)
        if found is None:
            continue
        best = Move(name, found, max(right - found, 0), saved)
        if not best.lost:
            break
    return best


def _by_saving(sizes: Sizes, bits: Bits) -> list[tuple[int, str]]:
    moves = [
        (options[bits[name]] - options[bits[name] - 1], name)
        for name, options in sizes.items()
        if bits[name] - 1 in options
    ]
    return sorted(moves, key=lambda move: -move[0])


def _most_lost(best: Move, saved: int) -> int:
    """The most right answers that a move may lose and be strictly cheaper: lost / saved < best's."""
    return -(-best.lost * saved // best.saved) - 1
