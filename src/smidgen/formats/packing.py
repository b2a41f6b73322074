"""Bit packing of integer streams: n bits a symbol without gaps, least significant bit first.

These are the bytes that a device keeps in flash; the C kernels (`kernels/c/smg_stored.h`) read them in
place.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Leaf
from smidgen.numerics import Array, IntArray

WORD_BITS = 32
MOST_PLANES = 4  # bits of numbers that are kept in planes
Bytes = npt.NDArray[np.uint8]


def pack_bits(leaf: Leaf) -> Bytes:
    """The leaf's symbols as uint8 [leaf.packed_bytes], two's complement if signed; unused high bits are 0.

    Raises:
        ValueError: a symbol does not fit `leaf.bits` bits.
    """
    symbols = np.asarray(leaf.symbols).astype(np.int64)
    lo, hi = symbol_range(leaf.bits, leaf.signed)
    if symbols.size and (symbols.min() < lo or symbols.max() > hi):
        raise ValueError(f"{leaf.name}: symbols {symbols.min()}..{symbols.max()} do not fit {leaf.bits} bits")
    planes = (symbols[:, None] >> np.arange(leaf.bits)) & 1
    return np.packbits(planes.astype(np.uint8), bitorder="little")


def unpack_bits(packed: Bytes, size: int, bits: int, signed: bool) -> IntArray:
    """Inverse of `pack_bits`: int64 [size].

    Raises:
        BadFile: the stream is not exactly as long as `size` symbols of `bits` bits.
    """
    expected = (size * bits + 7) // 8
    if packed.size != expected:
        found = f"{packed.size} bytes"
        raise BadFile("packed stream", found, f"{size} symbols of {bits} bits take {expected}")
    planes = np.unpackbits(packed, count=size * bits, bitorder="little").reshape(size, bits)
    symbols: IntArray = planes.astype(np.int64) @ (np.int64(1) << np.arange(bits, dtype=np.int64))
    return symbols - (planes[:, -1].astype(np.int64) << bits) if signed else symbols


def word_count(channels: int) -> int:
    """Words of 32 bits that `channels` bits take."""
    return -(-channels // WORD_BITS)


def pack_words(bits: npt.NDArray[np.bool_]) -> npt.NDArray[np.uint32]:
    """[..., C] -> uint32 [..., words], the least significant bit first; bits beyond the last one are 0."""
    missing = word_count(bits.shape[-1]) * WORD_BITS - bits.shape[-1]
    whole = np.pad(bits, [(0, 0)] * (bits.ndim - 1) + [(0, missing)])
    return np.packbits(whole, axis=-1, bitorder="little").view("<u4").astype(np.uint32)


def unpack_words(words: npt.NDArray[np.uint32], channels: int) -> npt.NDArray[np.bool_]:
    """Inverse of `pack_words`: bool [..., channels]."""
    raw = np.ascontiguousarray(words.astype("<u4")).view(np.uint8)
    return np.unpackbits(raw, axis=-1, count=channels, bitorder="little").astype(bool)


def plane_count(bits: int) -> int:
    """Planes of a packed value whose grid has so many bits: 0 for signs, which have those of int8."""
    return bits if bits <= MOST_PLANES else 0


def pack_planes(levels: Array, bits: int) -> npt.NDArray[np.uint32]:
    """Numbers [n, ..., C] in 0..2^bits - 1 -> uint32 [n, bits, ..., words], most significant plane first."""
    places = np.arange(bits - 1, -1, -1).reshape(bits, *(1,) * (levels.ndim - 1))
    return pack_words((levels[:, None] >> places & 1).astype(bool))


def unpack_planes(words: npt.NDArray[np.uint32], channels: int) -> IntArray:
    """Inverse of `pack_planes`: int64 [n, ..., channels]."""
    planes = unpack_words(words, channels).astype(np.int64)
    places = 1 << np.arange(planes.shape[1] - 1, -1, -1, dtype=np.int64)
    return np.tensordot(planes, places, axes=(1, 0))


def symbol_range(bits: int, signed: bool) -> tuple[int, int]:
    """The smallest and largest symbol of `bits` bits."""
    return (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
