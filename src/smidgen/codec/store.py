"""The store of leaves: every distinct stream once, every distinct weight once, whatever uses them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smidgen.codec.plain import entry, expect, pack, pair
from smidgen.codec.streams import decode_stream, encode_stream, read_header
from smidgen.errors import BadFile, BadInput
from smidgen.formats import Format, from_parts, to_parts
from smidgen.limits import LIMIT
from smidgen.numerics import Array

DECODED_BYTES_A_WEIGHT = 4


@dataclass
class StoreWriter:
    """Collects weights. `streams` and `weights` ([description, {leaf: stream}]) are what goes into the file.

    Streams are referred to by `reference` numbers. `formats` are the weights as a reader will see them: what
    would not come back bit for bit is refused.
    """

    streams: list[bytes] = field(default_factory=list)
    weights: list[list[Any]] = field(default_factory=list)
    formats: list[Format] = field(default_factory=list)
    _stream_index: dict[bytes, int] = field(default_factory=dict)
    _weight_index: dict[bytes, int] = field(default_factory=dict)
    _known: dict[int, tuple[Format, int]] = field(default_factory=dict)

    def add(self, name: str, fmt: Format) -> int:
        """The number of `fmt` in the store; equal contents have equal numbers."""
        if id(fmt) in self._known:
            return self._known[id(fmt)][1]
        meta, leaves = to_parts(fmt)
        for leaf in leaves:
            if not 1 <= leaf.bits <= 32:
                raise BadInput(name, f"{leaf.bits}-bit symbols", "1 to 32 bits can be stored")
        known = len(self.streams)
        numbers = {leaf.name: self._stream(encode_stream(leaf)) for leaf in leaves}
        index = self._weight_index.setdefault(pack([meta, numbers], name), len(self.weights))
        if index == len(self.weights):
            self.weights.append([meta, references(numbers, known)])
            self.formats.append(self._verified(name, fmt, meta, numbers))
        self._known[id(fmt)] = fmt, index  # holding `fmt` keeps its id from being used again
        return index

    def _verified(self, name: str, fmt: Format, meta: dict[str, Any], numbers: Mapping[str, int]) -> Format:
        try:
            stored = from_parts(meta, {leaf: decode_stream(self.streams[i]) for leaf, i in numbers.items()})
        except BadFile as problem:
            raise BadInput(name, f"its {fmt.label} weights can't be stored ({problem})") from problem
        if stored.decode().tobytes() != fmt.decode().tobytes():
            raise BadInput(
                name, f"its {fmt.label} weights would change in a file", "a format stores its values exactly"
            )
        return stored

    def _stream(self, data: bytes) -> int:
        index = self._stream_index.setdefault(data, len(self.streams))
        if index == len(self.streams):
            self.streams.append(data)
        return index


def references(numbers: Mapping[str, int], known: int) -> dict[str, int]:
    """Numbers as stored: 0 for the first one not used before (`known` are), else 1 + the number.

    Almost everything is used once and in order, so files are full of zeros, which deflate to nothing.
    """
    out = {}
    for name, number in numbers.items():
        out[name] = 0 if number == known else 1 + number
        known += number == known
    return out


@dataclass
class Numbering:
    """Reads `references`: gives the number each one stands for."""

    known: int = 0

    def number(self, reference: Any) -> Any:
        """The number; whatever is not an integer is passed on for the caller to refuse."""
        if reference == 0:
            self.known += 1
            return self.known - 1
        return reference - 1 if type(reference) is int else reference


@dataclass
class Budget:
    """How many bytes reading a file may still take. Spent before anything is allocated."""

    left_bytes: int

    def spend(self, nbytes: int, what: str) -> None:
        """Raise BadFile if `nbytes` more are too many."""
        if nbytes > self.left_bytes:
            allowed = f"only {self.left_bytes} more are allowed"
            raise BadFile(what, f"it decodes to {nbytes} bytes", allowed, LIMIT)
        self.left_bytes -= nbytes


def read_weights(stored: list[Any], streams: Sequence[bytes], budget: Budget) -> list[Format]:
    """All weights of the store. Raises BadFile."""
    numbering = Numbering()
    return [_read_weight(parts, streams, numbering, i, budget) for i, parts in enumerate(stored)]


def weight_streams(
    indices: Mapping[str, Any], streams: Sequence[bytes], numbering: Numbering
) -> dict[str, bytes]:
    """The streams of one weight by leaf name. Raises BadFile."""
    return {name: entry(streams, numbering.number(i), f"stream of {name!r}:") for name, i in indices.items()}


def _read_weight(
    parts: Any, streams: Sequence[bytes], numbering: Numbering, number: int, budget: Budget
) -> Format:
    where = f"weight {number}"
    meta, indices = (expect(part, dict, where) for part in pair(parts, where))
    budget.spend(DECODED_BYTES_A_WEIGHT * _most_elements(meta), where)
    leaves: dict[str, Array] = {}
    for name, data in weight_streams(indices, streams, numbering).items():
        budget.spend(read_header(data).decoded_bytes, where)
        leaves[name] = decode_stream(data)
    try:
        return from_parts(meta, leaves)
    except (TypeError, ValueError, LookupError, ArithmeticError, AttributeError) as problem:
        raise BadFile(where, f"its description does not fit its streams ({problem})") from problem


def _most_elements(meta: dict[str, Any]) -> int:
    """Elements of the largest tensor that a description declares, its nested formats included."""
    shape = meta.get("shape")
    is_shape = isinstance(shape, list) and all(type(n) is int and n >= 0 for n in shape)
    inner = [_most_elements(item) for item in meta.values() if isinstance(item, dict)]
    return max([math.prod(shape) if is_shape and shape is not None else 0, *inner])
