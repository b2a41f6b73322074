"""Candidate tables for a stream of values, each with its exact length in bits, and the best of each coder."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.codec.frequencies import RANS_TOTAL, huffman_lengths, normalise, shorten
from smidgen.codec.intervals import Tokens, histogram, partition, uniform
from smidgen.kernels import native
from smidgen.numerics import Array

MOST_TOKENS = 4096
MANTISSAS = range(7)
HUFFMAN = -1
LEVEL_BITS = 2.0  # of a token that occurs, in the table
RANS_STATE_BITS = 32


@dataclass(frozen=True, eq=False)
class Table:
    """A table for the native encoder. `mantissa_bits` -1: Huffman. `bits`: of table and values together."""

    tokens: Tokens
    native_table: Any
    mantissa_bits: int
    bits: float

    def encode(self, values: npt.NDArray[np.uint32]) -> bytes:
        shift = int(self.tokens.extra.min())
        data: bytes = self.native_table.encode(values, self.tokens.lookup(shift), shift)
        return data


def best_tables(values: npt.NDArray[np.uint32], width: int) -> list[Table]:
    """The shortest rANS table and the shortest Huffman table, where there are any."""
    counts, shift = histogram(values, width)
    rans, huffman = [], []
    for mantissa_bits, tokens in _partitions(counts, shift, width):
        if tokens.used >= 2 and tokens.base.size <= MOST_TOKENS:
            table = rans_table(tokens, mantissa_bits)
            rans += [table] if table else []
            huffman += [huffman_table(tokens)] if mantissa_bits == 0 else []
    return [min(found, key=lambda table: table.bits) for found in (rans, huffman) if found]


def _partitions(counts: npt.NDArray[np.int64], shift: int, width: int) -> Iterator[tuple[int, Tokens]]:
    for mantissa_bits in MANTISSAS:
        yield mantissa_bits, partition(counts, shift, width, LEVEL_BITS + mantissa_bits)
        yield mantissa_bits, uniform(counts, shift, width)


def rans_table(tokens: Tokens, mantissa_bits: int) -> Table | None:
    """Frequencies with `mantissa_bits` bits below the leading one; None where one token is left with none."""
    used = tokens.counts > 0
    found = shorten(normalise(tokens.counts[used]), mantissa_bits)
    if found is None:
        return None
    frequencies, levels = _spread(found[0], used, np.uint16), _spread(found[1], used, np.uint8)
    native_table = native().TokenTable(
        tokens.base, tokens.extra, levels, frequencies, tokens.width, mantissa_bits
    )
    coded = -tokens.counts[used] @ np.log2(found[0] / RANS_TOTAL)
    return Table(
        tokens, native_table, mantissa_bits, native_table.bits() + RANS_STATE_BITS + coded + _raw_bits(tokens)
    )


def huffman_table(tokens: Tokens) -> Table:
    used = tokens.counts > 0
    lengths = huffman_lengths(tokens.counts[used])
    levels = _spread(lengths, used, np.uint8)
    codes = np.zeros(levels.size, dtype=np.uint16)  # assigned by the encoder
    native_table = native().TokenTable(tokens.base, tokens.extra, levels, codes, tokens.width, HUFFMAN)
    coded = float(tokens.counts[used] @ lengths)
    return Table(tokens, native_table, HUFFMAN, native_table.bits() + coded + _raw_bits(tokens))


def _raw_bits(tokens: Tokens) -> float:
    return float(tokens.counts @ tokens.extra.astype(np.int64))


def _spread(values: Array, used: npt.NDArray[np.bool_], dtype: type[np.unsignedinteger[Any]]) -> Array:
    """`values` at the places of the used tokens, 0 elsewhere."""
    out: Array = np.zeros(used.size, dtype=dtype)
    out[used] = values
    return out
