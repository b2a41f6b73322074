"""One leaf of integers as bytes, by whichever coder makes it shortest, with a header to decode it by.

1. byte: coder (2 bits: raw, Huffman, rANS, planes), signed (1), bits - 1 (5)
2. varint: how many symbols; nothing follows if none
3. varint: offset, zigzag: the smallest symbol, or for context the one that differences are
   taken from; byte: width of (symbol - offset), 0..32, or 64: the coder is context, not raw (neither for
   planes)
4. raw: packed values; Huffman, rANS: table and code; context: settings and code; planes: for each byte of
   an 8-, 16- or 32-bit symbol, lowest first, a varint length and a stream of its own
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.codec.context import decode_context, encode_context
from smidgen.codec.tables import best_tables
from smidgen.codec.varint import read_varint, unzigzag, write_varint, zigzag
from smidgen.errors import BadFile
from smidgen.formats import Leaf
from smidgen.kernels import native
from smidgen.numerics import Array

MAX_DECODED_BYTES = 4 << 30
WIDEST = 32
WIDEST_CONTEXT = 24  # beyond are patterns of floats, whose differences mean nothing
CONTEXT_WIDTH = 64  # readers that do not know the context coder refuse such a width
STATUS = {1: "it ends early", 2: "its table is not valid", 3: "it does not end where its symbols end"}


class Coder(enum.IntEnum):
    """How the symbols of a stream are coded."""

    RAW = 0
    HUFFMAN = 1
    RANS = 2
    PLANES = 3
    CONTEXT = 4


@dataclass(frozen=True)
class StreamHeader:
    """What stands before the coded symbols; `start` is where those begin."""

    coder: Coder
    bits: int
    signed: bool
    count: int
    offset: int
    width: int
    start: int

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """The narrowest NumPy integer type of the symbols."""
        return np.dtype(f"{'i' if self.signed else 'u'}{item_bytes(self.bits)}")

    @property
    def decoded_bytes(self) -> int:
        return self.count * self.dtype.itemsize


def item_bytes(bits: int) -> int:
    """Bytes of the narrowest integer type with `bits` (1..32) bits."""
    return 1 if bits <= 8 else 2 if bits <= 16 else 4


def encode_stream(leaf: Leaf) -> bytes:
    """The shortest coding of the leaf's symbols (all must fit its `bits`), header included."""
    return min(codings(leaf), key=len)


def codings(leaf: Leaf) -> list[bytes]:
    """The leaf's symbols coded by each coder that can, header included."""
    symbols = leaf.symbols.astype(np.int64).ravel()
    if symbols.size == 0:
        return [_head(Coder.RAW, leaf) + write_varint(0)]
    smallest, width = int(symbols.min()), int(symbols.max() - symbols.min()).bit_length()
    values = (symbols - smallest).astype(np.uint32)
    common = write_varint(symbols.size) + write_varint(zigzag(smallest)) + bytes([width])
    found = [_head(Coder.RAW, leaf) + common + native().pack_bits(values, width)]
    if width:
        for table in best_tables(values, width):
            coder = Coder.HUFFMAN if table.mantissa_bits < 0 else Coder.RANS
            found.append(_head(coder, leaf) + common + table.encode(values))
    if 0 < width <= WIDEST_CONTEXT:
        found.append(_context(leaf, symbols))
    if leaf.bits > 8 and width > 8:
        found.append(_planes(leaf, symbols))
    return found


def decode_stream(data: bytes, max_decoded_bytes: int = MAX_DECODED_BYTES) -> Array:
    """The exact symbols, flat, in the narrowest integer type.

    Raises:
        BadFile: the bytes are not a stream, or its symbols need more than `max_decoded_bytes`.
    """
    header = read_header(data)
    if header.decoded_bytes > max_decoded_bytes:
        raise BadFile("stream", f"{header.count} symbols", f"{max_decoded_bytes} bytes are allowed")
    if header.count == 0:
        return np.zeros(0, dtype=header.dtype)
    if header.coder is Coder.PLANES:
        joined = _join_planes(data, header)
        _check_range(joined, header)
        return joined
    symbols = np.empty(header.count, dtype=header.dtype)
    status = _decode(data[header.start :], header, symbols.view(f"u{symbols.itemsize}"))
    if status:
        raise BadFile("stream", STATUS[status])
    _check_range(symbols, header)
    return symbols


def read_header(data: bytes) -> StreamHeader:
    """The header alone. Raises BadFile."""
    if not data:
        raise BadFile("stream", "it is empty")
    coder, signed, bits = Coder(data[0] >> 6), bool(data[0] >> 5 & 1), (data[0] & 31) + 1
    count, at = read_varint(data, 1, "stream")
    if count == 0:
        if at != len(data):
            raise BadFile("stream", "bytes follow an empty stream")
        return StreamHeader(coder, bits, signed, 0, 0, 0, at)
    if coder is Coder.PLANES:
        return StreamHeader(coder, bits, signed, count, 0, bits, at)
    offset, at = read_varint(data, at, "stream")
    if coder is Coder.RAW and data[at : at + 1] == bytes([CONTEXT_WIDTH]):
        return StreamHeader(Coder.CONTEXT, bits, signed, count, unzigzag(offset), 0, at + 1)
    if at >= len(data) or data[at] > WIDEST:
        raise BadFile("stream", "the width of its symbols is missing or above 32")
    return StreamHeader(coder, bits, signed, count, unzigzag(offset), data[at], at + 1)


def coder_name(data: bytes) -> str:
    """The coder of an encoded stream, for reports."""
    header = read_header(data)
    return "constant" if header.coder is Coder.RAW and header.width == 0 else header.coder.name.lower()


def needs_context(data: bytes) -> bool:
    """Whether the context coder made any part of an encoded stream: a file with one requires the feature."""
    header = read_header(data)
    if header.coder is Coder.PLANES:
        return any(needs_context(plane) for plane in _plane_streams(data, header))
    return header.coder is Coder.CONTEXT


def _head(coder: Coder, leaf: Leaf) -> bytes:
    return bytes([coder << 6 | leaf.signed << 5 | leaf.bits - 1])


def _decode(body: bytes, header: StreamHeader, out: Array) -> int:
    if header.coder is Coder.CONTEXT:
        return decode_context(body, header.offset, out)
    offset = header.offset & 0xFFFFFFFF
    if header.coder is Coder.RAW:
        return int(native().unpack_bits(body, header.width, offset, out))
    decoder = native().huffman_decode if header.coder is Coder.HUFFMAN else native().rans_decode
    return int(decoder(body, header.width, offset, out))


def _check_range(symbols: Array, header: StreamHeader) -> None:
    if header.bits in (8, 16, 32):
        return
    low = -(1 << (header.bits - 1)) if header.signed else 0
    smallest, largest = int(symbols.min()), int(symbols.max())
    if smallest < low or largest >= low + (1 << header.bits):
        raise BadFile("stream", f"symbols from {smallest} to {largest}", f"{header.bits} bits do not reach")


def _context(leaf: Leaf, symbols: npt.NDArray[np.int64]) -> bytes:
    offset, body = encode_context(symbols, 8 * item_bytes(leaf.bits), leaf.shape)
    head = _head(Coder.RAW, leaf) + write_varint(symbols.size) + write_varint(zigzag(offset))
    return head + bytes([CONTEXT_WIDTH]) + body


def _planes(leaf: Leaf, symbols: npt.NDArray[np.int64]) -> bytes:
    """Each byte of the symbols as a stream of its own: wins where low bytes repeat (rounded floats)."""
    out = _head(Coder.PLANES, leaf) + write_varint(symbols.size)
    words = symbols.astype(np.uint64)
    for shift in range(0, 8 * item_bytes(leaf.bits), 8):
        plane = (words >> np.uint64(shift)).astype(np.uint8)
        stream = encode_stream(Leaf("plane", plane, 8, signed=False, shape=leaf.shape))
        out += write_varint(len(stream)) + stream
    return out


def _join_planes(data: bytes, header: StreamHeader) -> Array:
    words = np.zeros(header.count, dtype=f"u{header.dtype.itemsize}")
    for number, plane in enumerate(_plane_streams(data, header)):
        words |= decode_stream(plane).view(np.uint8).astype(words.dtype) << np.array(8 * number, words.dtype)
    return words.view(header.dtype)


def _plane_streams(data: bytes, header: StreamHeader) -> Iterator[bytes]:
    """The stream of each byte plane, lowest first. Raises BadFile."""
    at = header.start
    for _ in range(header.dtype.itemsize):
        length, at = read_varint(data, at, "stream")
        plane = data[at : at + length]
        inner = read_header(plane)
        is_plane = inner.coder is not Coder.PLANES and inner.bits == 8 and inner.count == header.count
        if len(plane) != length or not is_plane:
            raise BadFile("stream", "a byte plane does not fit its stream")
        yield plane
        at += length
    if at != len(data):
        raise BadFile("stream", "bytes follow its last plane")
