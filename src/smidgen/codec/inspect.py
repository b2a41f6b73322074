"""What is in a `.smg` file, byte by byte: the data behind `smidgen inspect`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path

import numpy as np

from smidgen.codec.container import take_apart
from smidgen.codec.graph_reader import read_graph
from smidgen.codec.store import Budget, Numbering, read_weights, weight_streams
from smidgen.codec.streams import coder_name, decode_stream, read_header
from smidgen.errors import BadFile
from smidgen.files import read_bytes
from smidgen.formats import Format, Leaf
from smidgen.graph import Graph
from smidgen.limits import decoded_bytes_limit
from smidgen.numerics import Array

FLOAT32_BYTES = 4


@dataclass(frozen=True)
class LeafReport:
    """One stream: its symbols' width and number, the coder, and three sizes in bytes.

    `entropy_bytes` is the empirical entropy of the symbols: what a coder without context needs at least, its
    table not counted.
    """

    name: str
    count: int
    bits: int
    coder: str
    packed_bytes: int
    coded_bytes: int
    entropy_bytes: float


@dataclass(frozen=True)
class WeightReport:
    """One weight of the store. `names`: what the graphs call it (several: tied or shared between graphs)."""

    names: tuple[str, ...]
    label: str
    shape: tuple[int, ...]
    leaves: tuple[LeafReport, ...]

    @property
    def float32_bytes(self) -> int:
        return FLOAT32_BYTES * prod(self.shape)

    @property
    def packed_bytes(self) -> int:
        return sum(leaf.packed_bytes for leaf in self.leaves)

    @property
    def coded_bytes(self) -> int:
        """Bytes of its streams; one that several weights share counts in each."""
        return sum(leaf.coded_bytes for leaf in self.leaves)

    @property
    def bits(self) -> int:
        """Width of the main symbols (the widest stream by count)."""
        return max(self.leaves, key=lambda leaf: leaf.count).bits if self.leaves else 0


@dataclass(frozen=True)
class FileReport:
    """`header_bytes` (with the checksum) + `structure_bytes` + `stream_bytes` = `file_bytes`."""

    file_bytes: int
    header_bytes: int
    structure_bytes: int
    stream_bytes: int
    weights: tuple[WeightReport, ...]
    graphs: tuple[str, ...]


def inspect_smg(path: str | Path, max_decoded_bytes: int | None = None) -> FileReport:
    """Where the bytes of a file go. Raises BadFile as `read_smg` does."""
    allowed = decoded_bytes_limit(max_decoded_bytes)
    data = read_bytes(Path(path), allowed)
    try:
        return _report(data, allowed)
    except BadFile as problem:
        raise BadFile(
            f"{path}: {problem.where}", problem.found, problem.expected, problem.remedy
        ) from problem


def entropy_bytes(symbols: Array) -> float:
    """Empirical zero-order entropy of all symbols together, in bytes."""
    _, counts = np.unique(symbols, return_counts=True)
    return float(counts @ np.log2(counts.sum() / counts)) / 8 if counts.size else 0.0


def _report(data: bytes, max_decoded_bytes: int) -> FileReport:
    contents = take_apart(data, max_decoded_bytes)
    weights = read_weights(contents.weights, contents.streams, Budget(max_decoded_bytes))
    graphs = [read_graph(lists, weights) for lists in contents.graphs]
    numbering = Numbering()
    coded = [weight_streams(indices, contents.streams, numbering) for _, indices in contents.weights]
    sections = contents.sections
    return FileReport(
        len(data),
        sections.header_bytes,
        sections.structure_bytes,
        len(sections.streams),
        tuple(_weight(fmt, streams, graphs) for fmt, streams in zip(weights, coded, strict=True)),
        tuple(graph.name for graph in graphs),
    )


def _weight(fmt: Format, streams: Mapping[str, bytes], graphs: Sequence[Graph]) -> WeightReport:
    names = {name: None for graph in graphs for name, used in graph.weights.items() if used is fmt}
    leaves = tuple(_leaf(name, data) for name, data in streams.items())
    return WeightReport(tuple(names), fmt.label, fmt.shape, leaves)


def _leaf(name: str, data: bytes) -> LeafReport:
    header, symbols = read_header(data), decode_stream(data)
    packed = Leaf(name, symbols, header.bits, header.signed).packed_bytes
    entropy = entropy_bytes(symbols)
    return LeafReport(name, header.count, header.bits, coder_name(data), packed, len(data), entropy)
