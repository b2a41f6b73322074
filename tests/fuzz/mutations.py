"""Damage: bytes flipped, cut, repeated and spliced, and numbers in them made extreme."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

EXTREMES = (0, 1, -1, 2, 7, 127, 128, 255, 256, 32767, 65536, 2**31 - 1, 2**31, -(2**31), 2**32, 2**40, 2**62)
JUNK: tuple[Any, ...] = (
    *EXTREMES,
    2**63,
    0.0,
    -0.5,
    1e-300,
    1e300,
    float("nan"),
    float("inf"),
    True,
    None,
    "",
    "x" * 300,
    "../../etc/passwd",
    "ü\0",
    b"",
    b"\xff\xfe",
    [],
    [[]],
    {},
    {"a": {"b": 1}},
)


def junk(rng: Random) -> Any:
    """A value that hardly any field is made for."""
    return rng.choice(JUNK)


def damaged(data: bytes, rng: Random, other: bytes = b"") -> bytes:
    """One to three changes; pieces of `other` may be spliced in. At most twice as long, and 64 KB more."""
    out = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 3))):
        rng.choice(_CHANGES)(out, rng, other or data)
    return bytes(out[: 2 * len(data) + 65536])


def _flip(out: bytearray, rng: Random, other: bytes) -> None:
    if out:
        out[rng.randrange(len(out))] ^= 1 << rng.randrange(8)


def _byte(out: bytearray, rng: Random, other: bytes) -> None:
    if out:
        out[rng.randrange(len(out))] = rng.choice((0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)))


def _number(out: bytearray, rng: Random, other: bytes) -> None:
    """A length or count, as it may be, in one of the usual codes."""
    value = rng.choice(EXTREMES)
    code = rng.choice("bhiqBHIQ")
    packed = struct.pack("<q", value)[: struct.calcsize(code)]
    at = rng.randrange(len(out) + 1)
    out[at : at + len(packed)] = packed if rng.random() < 0.7 else varint(value)


def _remove(out: bytearray, rng: Random, other: bytes) -> None:
    at = rng.randrange(len(out) + 1)
    del out[at : at + rng.choice((1, 2, 4, rng.randrange(1, 64)))]


def _truncate(out: bytearray, rng: Random, other: bytes) -> None:
    del out[rng.randrange(len(out) + 1) :]


def _repeat(out: bytearray, rng: Random, other: bytes) -> None:
    at = rng.randrange(len(out) + 1)
    out[at:at] = out[at : at + rng.randrange(1, 64)] * rng.choice((1, 1, 2, 50))


def _splice(out: bytearray, rng: Random, other: bytes) -> None:
    at, start = rng.randrange(len(out) + 1), rng.randrange(len(other) + 1)
    piece = other[start : start + rng.randrange(1, 128)]
    out[at : at + (len(piece) if rng.random() < 0.5 else 0)] = piece


_CHANGES: Sequence[Callable[[bytearray, Random, bytes], None]] = (
    _flip,
    _flip,
    _byte,
    _byte,
    _number,
    _remove,
    _truncate,
    _repeat,
    _splice,
)


def varint(value: int) -> bytes:
    """LEB128 of the lowest 64 bits."""
    value &= 2**64 - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes((*out, value))


def edited(tree: Any, rng: Random) -> Any:
    """A copy of nested lists and mappings with one to three entries replaced, removed, repeated or moved."""
    for _ in range(rng.choice((1, 1, 2, 3))):
        spots = list(_spots(tree))
        if not spots:
            return junk(rng)
        tree = _replaced(tree, rng.choice(spots), rng.choice(spots), rng)
    return tree


def _spots(tree: Any, path: tuple[Any, ...] = ()) -> Any:
    """Paths of all entries."""
    inside = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from _spots(item, (*path, key))


def _replaced(tree: Any, spot: tuple[Any, ...], from_spot: tuple[Any, ...], rng: Random) -> Any:
    key, *rest = spot
    copy = dict(tree) if isinstance(tree, dict) else list(tree)
    if rest:
        copy[key] = _replaced(copy[key], tuple(rest), from_spot, rng)
        return copy
    kind = rng.randrange(6)
    if kind == 0:
        del copy[key]
    elif kind == 1 and isinstance(copy, list):
        copy.insert(key, copy[key])
    elif kind == 2 and isinstance(copy[key], int):
        copy[key] += rng.choice((-1, 1, 2, 1000))
    elif kind == 3 and isinstance(copy, dict):
        copy[rng.choice(("", "x", "shape", "name"))] = copy.pop(key)
    elif kind == 4 and isinstance(copy, list):
        other = rng.randrange(len(copy))
        copy[key], copy[other] = copy[other], copy[key]
    else:
        copy[key] = junk(rng)
    return copy
