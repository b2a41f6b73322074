"""The `.smg` file: one store of leaves, one or several graphs over it, and metadata. No pickle.

`pending` declarations, values that no node makes and weights that no node uses are not stored; everything
else comes back equal, weights bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smidgen.codec.graph_lists import GraphLister
from smidgen.codec.graph_reader import read_graph
from smidgen.codec.plain import expect, pack, unpack
from smidgen.codec.sections import STRUCTURE_EXPANSION, Sections, join_sections, split_sections
from smidgen.codec.store import Budget, StoreWriter, read_weights
from smidgen.codec.streams import needs_context
from smidgen.errors import BadFile, BadInput
from smidgen.files import read_bytes, write_whole
from smidgen.graph import Graph
from smidgen.graph.scan import SCANS
from smidgen.limits import decoded_bytes_limit


@dataclass(frozen=True)
class SmgFile:
    """What a file holds. Weights that are equal are one object, in all its graphs."""

    graphs: tuple[Graph, ...]
    metadata: Mapping[str, str]

    @property
    def graph(self) -> Graph:
        """The first graph: the only one of most files."""
        return self.graphs[0]


@dataclass(frozen=True)
class Contents:
    """A file taken apart, weights still coded. `weights`: [description, {leaf: number of its stream}]."""

    sections: Sections
    metadata: Mapping[str, str]
    weights: list[Any]
    streams: list[bytes]
    graphs: list[Any]


def write_smg(path: str | Path, graphs: Sequence[Graph], metadata: Mapping[str, str] | None = None) -> int:
    """Write checked `graphs` to `path` and return the file's length in bytes. The file is whole or absent.

    Raises:
        IllegalGraph: a graph breaks a rule.
        BadInput: there is no graph, an attribute can't be stored, or the path can't be written.
    """
    return write_whole(Path(path), pack_smg(graphs, metadata))


def read_smg(path: str | Path, max_decoded_bytes: int | None = None) -> SmgFile:
    """Read a file from anyone: sizes are checked before memory is taken, at most `max_decoded_bytes` (None:
    the user's limit).

    Raises:
        BadFile: the file is missing, truncated, corrupt, hostile, newer than this version, or too large.
    """
    data = read_bytes(Path(path), max_decoded_bytes)
    try:
        return unpack_smg(data, max_decoded_bytes)
    except BadFile as problem:
        raise BadFile(
            f"{path}: {problem.where}", problem.found, problem.expected, problem.remedy
        ) from problem


def pack_smg(graphs: Sequence[Graph], metadata: Mapping[str, str] | None = None) -> bytes:
    """The bytes of a file. Raises as `write_smg` does."""
    if not graphs:
        raise BadInput("smg", "no graph was given", "a file holds one or more")
    for key, text in (metadata or {}).items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise BadInput("smg", f"metadata {key!r}: {text!r}", "keys and values are strings")
    store = StoreWriter()
    for graph in graphs:
        graph.check()
    lists = [_readable_lists(graph, store) for graph in graphs]
    lengths = [len(stream) for stream in store.streams]
    structure = pack([dict(metadata or {}), store.weights, lengths, lists], graphs[0].name)
    return join_sections(_features(graphs, store.streams), structure, b"".join(store.streams))


def _features(graphs: Sequence[Graph], streams: Sequence[bytes]) -> list[str]:
    """What a reader must know of: files that need nothing new stay readable by what came before."""
    ops = {node.op for graph in graphs for node in graph.walk()}
    needed = {
        "island": "island" in ops,
        "ctx": any(needs_context(stream) for stream in streams),
        "scan": not ops.isdisjoint(SCANS),
        "states": any(graph.states for graph in graphs),
    }
    return [name for name, is_needed in needed.items() if is_needed]


def _readable_lists(graph: Graph, store: StoreWriter) -> list[Any]:
    """The graph's lists, after reading them back: a file that no reader takes must not be written."""
    lists = GraphLister(graph, store).lists()
    try:
        read_graph(lists, store.formats)
    except BadFile as problem:
        raise BadInput(graph.name, f"it can't be stored ({str(problem).rstrip('.')})") from problem
    return lists


def unpack_smg(data: bytes, max_decoded_bytes: int | None = None) -> SmgFile:
    """The graphs of a file's bytes. Raises BadFile."""
    allowed = decoded_bytes_limit(max_decoded_bytes)
    contents = take_apart(data, allowed)
    weights = read_weights(contents.weights, contents.streams, Budget(allowed))
    graphs = tuple(read_graph(lists, weights) for lists in contents.graphs)
    return SmgFile(graphs, contents.metadata)


def take_apart(data: bytes, max_decoded_bytes: int | None = None) -> Contents:
    """The parts of a file, its weights still coded. Raises BadFile."""
    allowed = decoded_bytes_limit(max_decoded_bytes)
    sections = split_sections(data, allowed // STRUCTURE_EXPANSION)
    parts = expect(unpack(sections.structure, "structure"), list, "the structure")
    if len(parts) != 4:
        raise BadFile("structure", f"{len(parts)} parts", "there are 4")
    metadata, weights, lengths, graphs = parts
    for text in expect(metadata, dict, "metadata").values():
        expect(text, str, "metadata")
    if not expect(graphs, list, "the graphs"):
        raise BadFile("structure", "no graph", "a file holds one or more")
    streams = _cut(sections.streams, expect(lengths, list, "the lengths of streams"))
    return Contents(sections, metadata, expect(weights, list, "the weights"), streams, graphs)


def _cut(data: bytes, lengths: list[Any]) -> list[bytes]:
    streams, at = [], 0
    for length in lengths:
        if expect(length, int, "a stream's length") < 0 or at + length > len(data):
            raise BadFile("structure", f"a stream of {length} bytes", f"{len(data) - at} are left")
        streams.append(data[at : at + length])
        at += length
    if at != len(data):
        raise BadFile("structure", f"{len(data) - at} bytes of streams belong to none")
    return streams
