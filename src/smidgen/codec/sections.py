"""The outermost layer of a `.smg` file: versions, lengths, checksum, and the (deflated) structure.

4 bytes   magic
4 bytes   container version, op-set version, numerics version, number of required features
features  each: one byte length, ASCII name
varints   stored bytes of the structure, its bytes when inflated (0: stored plainly), bytes of all streams
structure msgpack
streams   one after the other; the structure has their lengths
4 bytes   CRC-32 (zlib) of everything before, little endian
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from smidgen.codec.varint import read_varint, write_varint
from smidgen.errors import BadFile
from smidgen.limits import LIMIT
from smidgen.numerics import NUMERICS_VERSION

MAGIC = b"\x8aSMG"
CONTAINER_VERSION = 1
# 2: scan, slice, embedding, trees; signed multipliers in q.add. 3: constant, reduce_max, normalize, masks in
# softmax, more functions of one value, matmul, spread, gather. 4: bits. 5: planes, overwrite, gamma and beta
# in normalize, q.normalize, softmax and products of 16 bits.
OPSET_VERSION = 5
# What a reader must be able to do beyond the operators of its version. "ctx": the context coder of streams;
# short, as it stands in almost every file.
FEATURES = ("island", "ctx", "scan", "states")
CRC_BYTES = 4
# Python objects of a hostile structure take up to about 64 times its bytes.
STRUCTURE_EXPANSION = 64

# Primes the compressor, so that words common to all files cost nothing. Part of the container version.
_USUAL: list[Any] = [
    ["float32", "add_constant", "mul_constant", "hardsigmoid", "hardswish", "sigmoid", "tanh", "relu6"],
    ["dequantize", "quantize", "batch_norm", "gamma", "beta", "mean", "variance", "epsilon", "concat"],
    ["q.softmax", "table", "q.table", "q.concat", "axis", "q.mul", "q.mean", "q.transpose", "perm"],
    {"axes": [0, 1], "keepdims": False},
    ["q.pad", {"pads": []}, "q.requantize", "q.decode", "q.add", {"shift": 15}],
    {"format": "Sparse", "gap_bits": 0, "inner": {"format": "Affine"}},
    {"mask": 0, "gaps": 0, "inner/symbols": 0},
    {"zero": 0, "multiples": 0, "inner/scale": 0},
    ["max_pool", {"kernel": [2, 2], "stride": [2, 2], "padding": [[0, 0], [0, 0]], "count_padding": False}],
    ["conv", {"stride": [1, 1], "padding": [[1, 1], [1, 1]], "dilation": [1, 1], "groups": 1}],
    ["softmax"],
    {"format": "Dense", "shape": [1]}, ["reshape1", {"shape": [-1]}],
    ["linear", {"weight": 0, "bias": 0}], "relu",
    ["q.avg_pool", "q.max_pool", "q.reshape", "q.linear", "q.conv"], ["name", "model", "input", "output"],
    {"format": "Affine", "shape": [1, 3, 3, 1], "bits": 8, "scales": 1, "asymmetric": False, "group_size": 0},
    {"symbols": 0, "scale": 0}, {"format": "Integer", "shape": [1], "dtype": "int32"}, {"symbols": 0},
    {"format": "Integer", "shape": [1], "dtype": "uint16"}, {"symbols": 0},
    {"format": "Integer", "shape": [1], "dtype": "uint8"}, {"symbols": 0},
    ["x", "conv1", "linear1", None, {"weight": 0, "bias": 0, "multiplier": 0, "shift": 0}],
    {"stride": [1, 1], "padding": [[0, 0], [0, 0]], "dilation": [1, 1], "groups": 1, "lo": -128, "hi": 127},
    {"lo": -128, "hi": 127},
]  # fmt: skip
DICTIONARY = b"".join(msgpack.packb(item) for item in _USUAL)


@dataclass(frozen=True)
class Sections:
    """The parts of a file: required features, msgpack structure (inflated), streams, and stored lengths."""

    features: tuple[str, ...]
    structure: bytes
    streams: bytes
    header_bytes: int
    structure_bytes: int


def join_sections(features: Sequence[str], structure: bytes, streams: bytes) -> bytes:
    """A whole file."""
    deflater = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS, 9, zdict=DICTIONARY)
    deflated = deflater.compress(structure) + deflater.flush()
    is_smaller = len(deflated) < len(structure)
    stored = deflated if is_smaller else structure
    head = MAGIC + bytes([CONTAINER_VERSION, OPSET_VERSION, NUMERICS_VERSION, len(features)])
    head += b"".join(bytes([len(name)]) + name.encode("ascii") for name in features)
    for number in (len(stored), len(structure) if is_smaller else 0, len(streams)):
        head += write_varint(number)
    body = head + stored + streams
    return body + zlib.crc32(body).to_bytes(CRC_BYTES, "little")


def split_sections(data: bytes, max_structure_bytes: int) -> Sections:
    """Inverse of `join_sections`. Raises BadFile."""
    _check_versions(data)
    features, at = _read_features(data)
    stored_bytes, at = read_varint(data, at, "header")
    inflated_bytes, at = read_varint(data, at, "header")
    stream_bytes, at = read_varint(data, at, "header")
    expected = at + stored_bytes + stream_bytes + CRC_BYTES
    if len(data) != expected:
        what = "truncated" if len(data) < expected else "followed by other bytes"
        raise BadFile("file", f"it is {what}: {len(data)} bytes", f"its header says {expected}")
    if zlib.crc32(data[:-CRC_BYTES]) != int.from_bytes(data[-CRC_BYTES:], "little"):
        raise BadFile("file", "its checksum is wrong", "", "It was damaged: get it again")
    for name in features:
        if name not in FEATURES:
            raise BadFile("file", f"it requires the feature {name!r}", "", "Update smidgen to read it")
    if max(stored_bytes, inflated_bytes) > max_structure_bytes:
        size = max(stored_bytes, inflated_bytes)
        raise BadFile("structure", f"{size} bytes", f"{max_structure_bytes} are allowed", LIMIT)
    stored = data[at : at + stored_bytes]
    structure = _inflate(stored, inflated_bytes) if inflated_bytes else stored
    return Sections(features, structure, data[at + stored_bytes : -CRC_BYTES], at + CRC_BYTES, stored_bytes)


def _check_versions(data: bytes) -> None:
    if data[:4] != MAGIC[: len(data)] or not data:
        raise BadFile("file", f"it starts with {data[:4]!r}", "a .smg file starts with its magic bytes")
    if len(data) < 8:
        raise BadFile("file", f"it is truncated: {len(data)} bytes", "a header has 8 or more")
    for what, found, known in (("container", data[4], CONTAINER_VERSION), ("op-set", data[5], OPSET_VERSION)):
        if found > known or found == 0:
            raise BadFile(
                "file", f"{what} version {found}", f"1 to {known} are known", "Update smidgen to read it"
            )
    if data[6] != NUMERICS_VERSION:
        text = f"this smidgen computes by version {NUMERICS_VERSION}"
        raise BadFile("file", f"numerics version {data[6]}", text, "Use the version that wrote it")


def _read_features(data: bytes) -> tuple[tuple[str, ...], int]:
    names, at = [], 8
    for _ in range(data[7]):
        name = data[at + 1 : at + 1 + data[at]] if at < len(data) else b""
        if not name or at + 1 + data[at] > len(data):
            raise BadFile("file", "it is truncated inside its required features")
        names.append(name.decode("ascii", "backslashreplace"))
        at += 1 + data[at]
    return tuple(names), at


def _inflate(stored: bytes, size: int) -> bytes:
    inflater = zlib.decompressobj(-zlib.MAX_WBITS, zdict=DICTIONARY)
    try:
        inflated = inflater.decompress(stored, size + 1)
    except zlib.error as problem:
        raise BadFile("structure", f"it can't be inflated ({problem})") from problem
    if len(inflated) != size or not inflater.eof or inflater.unused_data:
        raise BadFile("structure", "it does not inflate to its declared size")
    return inflated
