"""Weights that stay entropy-coded in a device's flash, by the very bytes that a .smg file has of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from smidgen.codec.streams import Coder, encode_stream, read_header
from smidgen.formats import Format, Leaf, Sparse
from smidgen.formats.sparse import INNER
from smidgen.graph import Graph
from smidgen.lower.coded import CodedStream, CodedWeight
from smidgen.lower.decode import decodable
from smidgen.lower.program import Program

CODED_LEAVES = ("symbols", "mask", "gaps")
# Thumb code of each decoder at -Os, tables' readers included: what its streams have to save at least.
DECODER_BYTES = {Coder.HUFFMAN: 2400, Coder.RANS: 2600, Coder.CONTEXT: 1900}
KERNELS = {coder: f"unpack_{coder.name.lower()}" for coder in DECODER_BYTES}
LIMITS_HEADER = """\
/* The most tokens and the longest rows of this model's entropy-coded streams. */
#ifndef SMG_LIMITS_H
#define SMG_LIMITS_H

#define SMG_TOKENS_MAX {tokens}
#define SMG_CONTEXT_ROW_MAX {row}
#define SMG_RANS_SLOTS 0

#endif
"""


def coded_weights(graph: Graph) -> dict[str, CodedWeight]:
    """The weights of `graph`'s own layers that take less flash entropy-coded, decoders included, by name.

    Weights in the bodies of recurrences would be decoded in every step, and are left as they are.
    """
    names = {node.params.get("weight", "") for node in graph.nodes if node.op in ("q.linear", "q.conv")}
    found = {name: coded_leaves(graph.weights[name]) for name in sorted(names - {""})}
    saved: Counter[str] = Counter()
    for streams in found.values():
        for stream in streams:
            saved[stream.kernel] += stream.leaf.packed_bytes - stream.data.nbytes
    worth = {KERNELS[coder] for coder, code in DECODER_BYTES.items() if saved[KERNELS[coder]] > code}
    kept = {name: [s for s in streams if s.kernel in worth] for name, streams in found.items()}
    limits = Limits.of(stream for streams in kept.values() for stream in streams)
    return {name: _weight(graph.weights[name], streams, limits) for name, streams in kept.items() if streams}


@lru_cache(maxsize=256)
def coded_leaves(fmt: Format) -> tuple[CodedStream, ...]:
    """Each leaf of symbols of at most 8 bits that is shorter coded than packed; working memory still open."""
    if not decodable(fmt):
        return ()
    leaves = (leaf for leaf in fmt.leaves() if leaf.name.removeprefix(INNER) in CODED_LEAVES)
    return tuple(stream for leaf in leaves if (stream := _coded(leaf)) is not None)


def _coded(leaf: Leaf) -> CodedStream | None:
    data = encode_stream(leaf)
    header = read_header(data)
    if header.coder not in KERNELS or leaf.bits > 8 or not _saves(data, leaf):
        return None
    args = {"size": len(data) - header.start, "width": header.width}
    args |= {"offset": header.offset, "count": header.count}
    array = np.frombuffer(data, dtype=np.uint8)
    return CodedStream(leaf, array, header.start, KERNELS[header.coder], args, 0)


def _saves(data: bytes, leaf: Leaf) -> bool:
    return len(data) < leaf.packed_bytes


def _weight(fmt: Format, streams: Iterable[CodedStream], limits: Limits) -> CodedWeight:
    sized = {s.leaf.name: replace(s, work_bytes=limits.work_bytes(s.kernel)) for s in streams}
    return CodedWeight(sized, in_place=not isinstance(fmt, Sparse))


@dataclass(frozen=True)
class Limits:
    """The constants of smg_limits.h: tokens of a table and the row of a context stream, at most."""

    tokens: int
    row: int

    @staticmethod
    def of(streams: Iterable[CodedStream]) -> Limits:
        found = [(_tokens(s.args), _row(s.kernel, s.data[s.start :].tobytes())) for s in streams]
        return Limits(*(max(column) for column in zip((1, 1), *found, strict=True)))

    @staticmethod
    def of_program(program: Program) -> Limits:
        """Those of the streams that a scheduled network decodes."""
        found = []
        for call in program.calls:
            kernel, source = call.kernel.removeprefix("smg_"), call.pointers[0]
            if kernel in KERNELS.values() and source is not None:
                data = program.constants[source.index].array.tobytes()[source.offset :]
                found.append((_tokens(dict(call.args)), _row(kernel, data)))
        return Limits(*(max(column) for column in zip((1, 1), *found, strict=True)))

    def work_bytes(self, kernel: str) -> int:
        """sizeof(smg_NAME_workspace)."""
        tokens = _multiple(4 + 8 * self.tokens, 4)
        if kernel == KERNELS[Coder.HUFFMAN]:
            return _multiple(tokens + 2 * self.tokens, 4) + 2 * 4 * 16
        if kernel == KERNELS[Coder.RANS]:
            return _multiple(tokens + 2 * self.tokens, 4)
        decisions = 18 + 3 + 18 * 32 + 32 * 8
        return _multiple(8 + 4 * decisions + 2 * self.row + 2 * 1024, 4) + 3 * 4

    def header(self) -> str:
        """The project's own smg_limits.h."""
        return LIMITS_HEADER.format(tokens=self.tokens, row=self.row)


def _tokens(args: Mapping[str, int]) -> int:
    return 1 << args["width"]


def _row(kernel: str, body: bytes) -> int:
    """Symbols in a row of a context stream that has columns (smg_context.h); 1 for every other stream."""
    has_columns = kernel == KERNELS[Coder.CONTEXT] and body[1] >> 5
    return int.from_bytes(body[2:4], "little") if has_columns else 1


def _multiple(nbytes: int, of: int) -> int:
    return -(-nbytes // of) * of
