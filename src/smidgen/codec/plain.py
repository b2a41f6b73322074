"""Attributes and descriptions as plain msgpack data, and back without trusting what is read.

Tuples are stored as arrays, lists (rare) as an extension type, so that both come back as they were.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import msgpack
import numpy as np

from smidgen.errors import BadFile, BadInput

LIST_CODE = 1
DEEPEST = 8
LONGEST = 64  # entries of one attribute: also bounds the rank of every tensor in a file

T = TypeVar("T")


def to_plain(value: Any, where: str, depth: int = 0) -> Any:
    """A msgpack-able copy. Raises BadInput for what a file can't hold: other types, too deep or too long."""
    if depth > DEEPEST:
        raise BadInput(where, f"an attribute is nested over {DEEPEST} deep")
    if isinstance(value, tuple | list | Mapping) and len(value) > LONGEST:
        raise BadInput(where, f"an attribute has {len(value)} entries", f"{LONGEST} can be stored")
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, tuple):
        return [to_plain(item, where, depth + 1) for item in value]
    if isinstance(value, list):
        return msgpack.ExtType(LIST_CODE, pack(to_plain(tuple(value), where, depth), where))
    if isinstance(value, Mapping):
        return {str(key): to_plain(item, where, depth + 1) for key, item in value.items()}
    raise BadInput(
        where, f"an attribute is a {type(value).__name__}", "numbers, strings and tuples can be stored"
    )


def from_plain(value: Any, depth: int = 0) -> Any:
    """Inverse of `to_plain`. Raises BadFile for what it can't have made."""
    if depth > DEEPEST:
        raise BadFile("structure", f"attributes nested over {DEEPEST} deep")
    if isinstance(value, msgpack.ExtType) and value.code == LIST_CODE:
        return list(from_plain(expect(unpack(value.data, "attribute"), list, "a list"), depth))
    if isinstance(value, list | dict) and len(value) > LONGEST:
        raise BadFile("structure", f"an attribute with {len(value)} entries", f"{LONGEST} are allowed")
    if isinstance(value, list):
        return tuple(from_plain(item, depth + 1) for item in value)
    if isinstance(value, dict):
        return {expect(key, str, "a key"): from_plain(item, depth + 1) for key, item in value.items()}
    if value is None or isinstance(value, bool | int | float | str | bytes):
        return value
    raise BadFile("structure", f"an attribute of type {type(value).__name__}")


def pack(value: Any, where: str) -> bytes:
    """msgpack bytes. Raises BadInput for what msgpack can't hold, such as integers beyond 64 bits."""
    try:
        packed: bytes = msgpack.packb(value)
    except (TypeError, ValueError, OverflowError) as problem:
        raise BadInput(where, f"it can't be stored ({problem})") from problem
    return packed


def unpack(data: bytes, where: str) -> Any:
    """The value of msgpack bytes. Raises BadFile."""
    try:
        return msgpack.unpackb(data, strict_map_key=True)
    except (ValueError, TypeError, msgpack.UnpackException) as problem:
        raise BadFile(where, f"it is not valid msgpack ({problem})") from problem


def expect(value: Any, kind: type[T], what: str) -> T:
    """`value`, if it is exactly of type `kind`. Raises BadFile."""
    if type(value) is not kind:
        raise BadFile("structure", f"{what} is a {type(value).__name__}", f"a {kind.__name__} is needed")
    return value


def pair(value: Any, what: str) -> list[Any]:
    """`value`, if it is a list of two. Raises BadFile."""
    if len(expect(value, list, what)) != 2:
        raise BadFile("structure", f"{what} has {len(value)} parts", "it has 2")
    return list(value)


def entry(items: Sequence[T], index: Any, what: str) -> T:
    """items[index] for an index that may be anything. Raises BadFile."""
    if type(index) is not int or not 0 <= index < len(items):
        raise BadFile("structure", f"{what} number {index!r}", f"there are {len(items)}")
    return items[index]
