"""Faster loops for a host with memory to spare: the same products, fewer and larger.

A recurrent step multiplies each gate's weights with x_t and with h. Linear calls of a loop that read the
same vector become one call with all their weights; those whose vectors are there before the loop starts leave
it and take all steps at once. Which bytes reach which reader decides what may move (`reaching.py`); outputs
get memory of their own behind the arena. Integers do not change: each output is the same sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from smidgen.lower.program import Block, Call, Constant, Pointer, Program
from smidgen.numerics import Array
from smidgen.run.reaching import Reads, reaching

LINEAR = {"smg_q_linear": 1, "smg_q_linear16": 2}  # bytes of an output
ALIGNMENT_BYTES = 64
WEIGHT, BIAS, MULTIPLIER, SHIFT = 1, 2, 3, 4  # pointers of a linear call


@dataclass(frozen=True)
class _Join:
    """Linear calls (by number) on one vector; `ahead` if they can run before the loop."""

    members: tuple[int, ...]
    turns: int
    ahead: bool


def with_joined_products(program: Program) -> Program:
    """The program with the linear calls of its loops joined and hoisted. Outputs are the same integers."""
    while joins := _joins(program):  # a product of a hoisted product can follow it
        program = _carried_out(program, joins)
    return program


def _carried_out(program: Program, joins: Sequence[_Join]) -> Program:
    reads = reaching(program)
    calls, constants, end = list(program.calls), list(program.constants), program.arena_bytes
    before: dict[int, list[Call]] = {}  # calls that leave a loop, by the number of its first call
    dropped: set[int] = set()
    starts = {n: b.first for b in program.blocks for n in range(b.first, b.first + b.count)}
    for join in joins:
        at = -(-end // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
        joined = _joined([calls[number] for number in join.members], join, constants, at)
        _redirect(calls, reads, join, at)
        end = at + _bytes(joined)
        dropped |= set(join.members[1:])
        if join.ahead:
            dropped.add(join.members[0])
            before.setdefault(starts[join.members[0]], []).append(joined)
        else:
            calls[join.members[0]] = joined
    kept: list[Call] = []
    for number, call in enumerate(calls):
        kept += before.get(number, []) + ([] if number in dropped else [call])
    return _pruned(replace(program, calls=tuple(kept), constants=tuple(constants), arena_bytes=end))


def _joins(program: Program) -> list[_Join]:
    loops = [block for block in program.blocks if block.turns > 1]
    reads = reaching(program) if loops else None
    return [join for block in loops if reads for join in _joins_of(program, reads, block)]


def _joins_of(program: Program, reads: Reads, block: Block) -> list[_Join]:
    inside = range(block.first, block.first + block.count)
    groups: dict[object, list[int]] = {}
    for number in inside:
        call = program.calls[number]
        if (
            call.kernel in LINEAR
            and dict(call.args)["rows"] == 1
            and _movable(program, reads, number, inside)
        ):
            alike = tuple((key, v) for key, v in call.args if key not in ("out", "per_channel"))
            key = (call.kernel, alike, call.pointers[0], reads.seen(number, 0))
            groups.setdefault(key, []).append(number)
    found = []
    for members in groups.values():
        x, size = program.calls[members[0]].pointers[0], dict(program.calls[members[0]].args)["in"]
        outside = all(writer not in inside for writer, _ in reads.sources(members[0], 0))
        ahead = x is not None and outside and abs(x.step) == size
        if ahead or len(members) > 1:
            found.append(_Join(tuple(members), block.turns, ahead))
    return found


def _movable(program: Program, reads: Reads, number: int, inside: range) -> bool:
    """Whether the output can live elsewhere: only later calls of the same turn read it, and nothing else."""
    call = program.calls[number]
    to = call.pointers[-1]
    if to is None or to.space != "arena" or to.step or call.pointers[0] is None:
        return False
    if any(p is None or p.space != "constant" for p in call.pointers[WEIGHT : SHIFT + 1]):
        return False
    for reader, which, sources in reads.readers(number):
        pointer = program.calls[reader].pointers[which]
        alone = all(len(writers) == 1 and turn == own for own, writers in sources for _, turn in writers)
        if reader not in inside or reader <= number or not alone or pointer != to:
            return False
    return True


def _joined(members: Sequence[Call], join: _Join, constants: list[Constant], at: int) -> Call:
    """One call for all members that writes at `at` of the arena."""
    args, rows = dict(members[0].args), join.turns if join.ahead else 1
    pointers: list[Pointer] = []
    for role in (WEIGHT, BIAS, MULTIPLIER, SHIFT):
        array = np.concatenate([_constant(constants, call, role) for call in members])
        constants.append(Constant(f"{members[0].node}.joined.{len(constants)}", array))
        pointers.append(Pointer("constant", len(constants) - 1, 0, array.nbytes))
    x = members[0].pointers[0]
    assert x is not None, "checked by _movable"
    if join.ahead:
        first = min(x.offset, x.offset + x.step * (join.turns - 1))
        x = replace(x, offset=first, nbytes=rows * args["in"], step=0)
    args |= {"rows": rows, "out": sum(map(_outputs, members)), "per_channel": 1}
    to = Pointer("arena", 0, at, rows * args["out"] * LINEAR[members[0].kernel])
    turns = 1 if join.ahead else join.turns
    return replace(members[0], args=tuple(args.items()), pointers=(x, *pointers, to), turns=turns)


def _outputs(call: Call) -> int:
    return dict(call.args)["out"]


def _bytes(call: Call) -> int:
    to = call.pointers[-1]
    assert to is not None, "every call writes"
    return to.nbytes


def _constant(constants: Sequence[Constant], call: Call, role: int) -> Array:
    """A member's weights, or one bias, multiplier or shift for each of its outputs."""
    pointer = call.pointers[role]
    assert pointer is not None, "checked by _movable"
    array = constants[pointer.index].array
    return np.repeat(array, _outputs(call)) if role != WEIGHT and array.size == 1 else array


def _redirect(calls: list[Call], reads: Reads, join: _Join, at: int) -> None:
    """Let the readers of every member read its part of the joined output."""
    members = [calls[number] for number in join.members]
    width = LINEAR[members[0].kernel]
    row = width * sum(map(_outputs, members))
    x = members[0].pointers[0]
    backwards = x is not None and x.step < 0
    step = 0 if not join.ahead else -row if backwards else row
    first = at + (row * (join.turns - 1) if step < 0 else 0)
    for number, member in zip(join.members, members, strict=True):
        size = width * _outputs(member)
        for reader, which, _ in reads.readers(number):
            pointers = list(calls[reader].pointers)
            pointers[which] = Pointer("arena", 0, first, size, step)
            calls[reader] = replace(calls[reader], pointers=tuple(pointers))
        first += size


def _pruned(program: Program) -> Program:
    """Without the constants that nothing reads."""
    used = sorted({p.index for call in program.calls for p in _constants_of(call)})
    place = {old: new for new, old in enumerate(used)}
    calls = tuple(
        replace(call, pointers=tuple(p and _renumbered(p, place) for p in call.pointers))
        for call in program.calls
    )
    return replace(program, calls=calls, constants=tuple(program.constants[i] for i in used))


def _constants_of(call: Call) -> Sequence[Pointer]:
    return [p for p in call.pointers if p is not None and p.space == "constant"]


def _renumbered(pointer: Pointer, place: dict[int, int]) -> Pointer:
    return replace(pointer, index=place[pointer.index]) if pointer.space == "constant" else pointer
