"""Golden vectors, the sidecar `model.golden`: some inputs, what the network makes of them, a CRC-32 a layer.

A file of its own, so that the size of `model.smg` means the model. Layout: magic, version, deflated msgpack
[inputs, outputs, {node: CRC-32}] with arrays as [shape, stream], CRC-32 of everything before.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.codec.plain import LONGEST, expect, pack, pair, unpack
from smidgen.codec.streams import decode_stream, encode_stream, read_header
from smidgen.errors import BadFile, BadInput, Mismatch
from smidgen.files import read_bytes, write_whole
from smidgen.formats import Leaf
from smidgen.graph import Graph
from smidgen.numerics import Array

MAGIC = b"\x8aGLD"
VERSION = 1
HEAD_BYTES = len(MAGIC) + 1
CRC_BYTES = 4
MAX_GOLDEN_BYTES = 256 << 20


@dataclass(frozen=True, eq=False)
class Golden:
    """Integer inputs and outputs [n, ...]; by node name, the CRC-32 of its output bytes over all samples."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    layers: Mapping[str, int]

    def compare(self, where: str, outputs: Sequence[Array], layers: Mapping[str, int]) -> None:
        """Raise Mismatch naming the first layer, in order, that differs, or the output that does."""
        for node, expected in self.layers.items():
            if node in layers and layers[node] != expected:
                raise Mismatch(
                    where, f"layer {node} has CRC-32 {layers[node]:08x}", f"golden is {expected:08x}"
                )
        for number, (found, golden) in enumerate(zip(outputs, self.outputs, strict=True)):
            if not np.array_equal(found, golden):
                raise Mismatch(where, f"output {number} differs", "the golden output is expected bit for bit")


def golden_of(graph: Graph, inputs: Array | Sequence[Array]) -> Golden:
    """What the exact reference computes for integer `inputs` [n, ...]."""
    from smidgen.run.reference import layer_checksums, run_integer

    arrays = (inputs,) if isinstance(inputs, np.ndarray) else tuple(inputs)
    return Golden(arrays, (run_integer(graph, arrays),), layer_checksums(graph, arrays))


def write_golden(path: str | Path, golden: Golden) -> int:
    """Write the sidecar, whole or not at all, and return its length in bytes. Raises BadInput."""
    where = str(path)
    inputs, outputs = ([_stored(array, where) for array in part] for part in (golden.inputs, golden.outputs))
    body = MAGIC + bytes([VERSION]) + zlib.compress(pack([inputs, outputs, dict(golden.layers)], where), 9)
    return write_whole(Path(path), body + zlib.crc32(body).to_bytes(CRC_BYTES, "little"))


def read_golden(path: str | Path, max_decoded_bytes: int = MAX_GOLDEN_BYTES) -> Golden:
    """Read the sidecar. Raises BadFile if it is missing, damaged, newer or too large."""
    data = read_bytes(Path(path), max_decoded_bytes)
    try:
        return _parse(data, max_decoded_bytes)
    except BadFile as problem:
        raise BadFile(
            f"{path}: {problem.where}", problem.found, problem.expected, problem.remedy
        ) from problem


def _parse(data: bytes, max_decoded_bytes: int) -> Golden:
    if data[: len(MAGIC)] != MAGIC:
        raise BadFile("golden vectors", "its magic bytes are missing")
    if data[len(MAGIC) : HEAD_BYTES] != bytes([VERSION]):
        raise BadFile("golden vectors", "its version is not known", "", "Update smidgen to read it")
    if zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise BadFile(
            "golden vectors", "its checksum is wrong", "", "It was truncated or damaged: get it again"
        )
    inflater = zlib.decompressobj()
    try:
        packed = inflater.decompress(data[HEAD_BYTES:-CRC_BYTES], max_decoded_bytes)
    except zlib.error as problem:
        raise BadFile("golden vectors", f"they can't be inflated ({problem})") from problem
    if not inflater.eof:
        raise BadFile("golden vectors", "they inflate to too much", f"{max_decoded_bytes} bytes are allowed")
    parts = expect(unpack(packed, "golden vectors"), list, "golden vectors")
    if len(parts) != 3:
        raise BadFile("golden vectors", f"{len(parts)} parts", "there are 3")
    inputs, outputs = (
        tuple(_restored(item, max_decoded_bytes) for item in expect(part, list, "arrays"))
        for part in parts[:2]
    )
    return Golden(inputs, outputs, _checksums(parts[2]))


def _checksums(item: Any) -> dict[str, int]:
    layers = expect(item, dict, "checksums")
    return {expect(name, str, "a node"): expect(crc, int, "a checksum") for name, crc in layers.items()}


def _stored(array: Array, where: str) -> list[Any]:
    if array.dtype.kind not in "iu" or array.dtype.itemsize > 4:
        raise BadInput(where, f"an array of {array.dtype}", "golden vectors are integers of at most 32 bits")
    leaf = Leaf("golden", array.ravel(), 8 * array.dtype.itemsize, array.dtype.kind == "i")
    return [list(array.shape), encode_stream(leaf)]


def _restored(item: Any, max_decoded_bytes: int) -> Array:
    shape, stream = pair(item, "an array")
    sizes = expect(shape, list, "a shape")
    if len(sizes) > LONGEST or not all(type(n) is int and n >= 0 for n in sizes):
        raise BadFile("golden vectors", "an array's shape is not a short list of sizes")
    count = read_header(expect(stream, bytes, "a stream")).count
    if count != math.prod(sizes):
        raise BadFile("golden vectors", f"{count} numbers", f"shape {sizes} has {math.prod(sizes)}")
    return decode_stream(stream, max_decoded_bytes).reshape(sizes)
