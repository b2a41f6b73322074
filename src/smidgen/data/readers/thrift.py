"""Structs in Thrift's compact protocol, as far as integers in them go: enough for the sizes in Parquet files.

Ref: https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, MAP, STRUCT = range(1, 13)
DEEPEST = 8
MOST_STRUCTS = 150_000  # each takes some hundred bytes of memory, and one byte of a hostile file
Struct = dict[int, Any]  # field number -> integer, Struct or list of Structs; other kinds are skipped


class NotThrift(ValueError):
    """The bytes are no struct."""


class Reader:
    """Reads from `data`, and says where it is (`at`)."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at, self._structs = data, 0, 0

    def struct(self, depth: int = 0) -> Struct:
        """The next struct. Raises NotThrift."""
        self._structs += 1
        if depth > DEEPEST or self._structs > MOST_STRUCTS:
            raise NotThrift(f"over {MOST_STRUCTS} structs, or nested over {DEEPEST} deep")
        found: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._zigzag()
            value = self._value(head & 15, depth)
            if value is not None:
                found[number] = value
        return found

    def _value(self, kind: int, depth: int) -> int | Struct | list[Struct] | None:
        if kind in (I16, I32, I64):
            return self._zigzag()
        if kind == STRUCT:
            return self.struct(depth + 1)
        if kind == BYTE:
            self._skip(1)
        elif kind == DOUBLE:
            self._skip(8)
        elif kind == BINARY:
            self._skip(self._varint())
        elif kind in (LIST, SET):
            return self._items(depth)
        elif kind not in (TRUE, FALSE):
            raise NotThrift(f"a field of kind {kind}")
        return None

    def _items(self, depth: int) -> list[Struct] | None:
        head = self._byte()
        count, kind = self._varint() if head >> 4 == 15 else head >> 4, head & 15
        if kind in (TRUE, FALSE, BYTE):
            self._skip(count)
        elif kind == STRUCT:
            return [self.struct(depth + 1) for _ in range(count)]
        else:
            for _ in range(count):  # each takes a byte at least, so this ends with the data
                self._value(kind, depth + 1)
        return None

    def _zigzag(self) -> int:
        code = self._varint()
        return code >> 1 ^ -(code & 1)

    def _varint(self) -> int:
        value = shift = 0
        while (byte := self._byte()) >= 0x80:
            value |= (byte & 0x7F) << shift
            shift += 7
            if shift > 63:
                raise NotThrift("a number of over 64 bits")
        return value | byte << shift

    def _byte(self) -> int:
        if self.at >= len(self.data):
            raise NotThrift("it ends early")
        self.at += 1
        return self.data[self.at - 1]

    def _skip(self, count: int) -> None:
        self.at += count
        if self.at > len(self.data):
            raise NotThrift("it ends early")
