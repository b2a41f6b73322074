"""Candidate tables for a stream of values, each with its exact length in bits, and the best of each coder."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.codec.frequencies import RANS_TOTAL, huffman_lengths, normalise, shorten
from smidgen.codec.intervals import Tokens, Tree
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
    tree = Tree.of(values, width)
    candidates = [(tree.uniform(), MANTISSAS)]
    candidates += [(tree.partition(LEVEL_BITS + bits), range(bits, bits + 1)) for bits in MANTISSAS]
    rans, huffman = [], []
    for tokens, mantissas in candidates:
        if tokens.used >= 2 and tokens.base.size <= MOST_TOKENS:
            rans += rans_tables(tokens, mantissas)
            huffman += [huffman_table(tokens)] if 0 in mantissas else []
    return [min(found, key=lambda table: table.bits) for found in (rans, huffman) if found]


def rans_tables(tokens: Tokens, mantissas: Iterable[int]) -> list[Table]:
    """One for each number of bits kept below leading ones; none where that leaves no share for a token."""
    used = tokens.counts > 0
    frequencies = normalise(tokens.counts[used])
    found = [(bits, shorten(frequencies, bits)) for bits in mantissas]
    return [_rans_table(tokens, bits, *short) for bits, short in found if short]


def _rans_table(tokens: Tokens, mantissa_bits: int, frequencies: Array, levels: Array) -> Table:
    used = tokens.counts > 0
    weights, lengths = _spread(frequencies, used, np.uint16), _spread(levels, used, np.uint8)
    native_table = native().TokenTable(
        tokens.base, tokens.extra, lengths, weights, tokens.width, mantissa_bits
    )
    coded = float(-tokens.counts[used] @ np.log2(frequencies.astype(np.float64) / RANS_TOTAL))
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
