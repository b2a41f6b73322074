"""Variable-length integers: seven bits a byte, lowest first, the top bit says that more follow (LEB128)."""

from __future__ import annotations

from smidgen.errors import BadFile

LONGEST_BYTES = 9


def write_varint(value: int) -> bytes:
    """`value` in [0, 2^63)."""
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes, at: int, where: str) -> tuple[int, int]:
    """(value, position after it). Raises BadFile when the data end first or the number has over 63 bits."""
    value = 0
    for number, byte in enumerate(data[at : at + LONGEST_BYTES]):
        value |= (byte & 0x7F) << (7 * number)
        if byte < 0x80:
            return value, at + number + 1
    if len(data) - at < LONGEST_BYTES:
        raise BadFile(where, "the data end inside a number")
    raise BadFile(where, "a number is longer than 63 bits")


def zigzag(value: int) -> int:
    """Signed to unsigned, small magnitudes first: 0, -1, 1, -2, …"""
    return -2 * value - 1 if value < 0 else 2 * value


def unzigzag(code: int) -> int:
    """Inverse of `zigzag`."""
    return -(code + 1) // 2 if code & 1 else code // 2
