"""Files from anyone: each defect has its own message; nothing crashes, hangs or takes undeclared memory."""

from __future__ import annotations

import functools
import tracemalloc
import zlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import pack_smg, take_apart, unpack_smg
from smidgen.codec.plain import from_plain
from smidgen.codec.sections import Sections, join_sections
from smidgen.codec.varint import write_varint
from smidgen.errors import BadFile
from smidgen.formats import Affine
from tests.codec.networks import float_network, integer_network, nested_network, recurrent_float_network

SMALL = 1 << 24


@functools.cache
def sound() -> bytes:
    return pack_smg([integer_network()])


@functools.cache
def parts() -> bytes:
    """The structure of the sound file, packed, so that every user gets a fresh copy."""
    return take_apart(sound()).sections.structure


def rebuilt(change: Callable[[list[Any]], object], streams: bytes | None = None) -> bytes:
    """The sound file with its structure changed, lengths and checksum correct."""
    structure = msgpack.unpackb(parts())
    change(structure)
    packed = msgpack.packb(structure)
    return join_sections([], packed, take_apart(sound()).sections.streams if streams is None else streams)


def signed(data: bytes) -> bytes:
    """With a correct checksum."""
    return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")


def set_at(path: list[Any], value: Any) -> Callable[[list[Any]], None]:
    def change(structure: Any) -> None:
        for step in path[:-1]:
            structure = structure[step]
        structure[path[-1]] = value

    return change


@pytest.mark.parametrize("length", [0, 3, 4, 7, 8, 10, 100, 1000, -1])
def test_a_truncated_file_says_so(length: int) -> None:
    with pytest.raises(BadFile, match=r"truncated|starts with|the data end"):
        unpack_smg(sound()[:length])


def test_trailing_bytes_are_refused() -> None:
    with pytest.raises(BadFile, match="followed by other bytes"):
        unpack_smg(sound() + b"!")


def test_another_kind_of_file_is_refused() -> None:
    with pytest.raises(BadFile, match="magic"):
        unpack_smg(b"PK\x03\x04" + sound()[4:])


@pytest.mark.parametrize(
    ("at", "what"), [(4, "container version 2"), (5, "op-set version 6"), (6, "numerics")]
)
def test_a_newer_version_says_which(at: int, what: str) -> None:
    data = bytearray(sound())
    data[at] += 1
    with pytest.raises(BadFile, match=what):
        unpack_smg(signed(bytes(data)))


def test_an_unknown_feature_is_named() -> None:
    with pytest.raises(BadFile, match="'telepathy'"):
        unpack_smg(join_sections(["telepathy"], b"\x90", b""))


def test_a_flipped_bit_is_noticed_wherever_it_is() -> None:
    for at in range(len(sound())):
        data = bytearray(sound())
        data[at] ^= 1 << (at % 8)
        with pytest.raises(BadFile):
            unpack_smg(bytes(data))


def test_a_wrong_checksum_is_called_that() -> None:
    data = bytearray(sound())
    data[-100] ^= 1
    with pytest.raises(BadFile, match="checksum"):
        unpack_smg(bytes(data))


GRAPH = [3, 0]
NODES = [*GRAPH, 2]


def recurrent_file(change: Callable[[list[Any]], object]) -> bytes:
    """A file with scans inside scans, its structure changed."""
    sections = take_apart(pack_smg([nested_network()])).sections
    structure = msgpack.unpackb(sections.structure)
    change(structure)
    return join_sections(["scan"], msgpack.packb(structure), sections.streams)


SCAN = [*NODES, 0]
INNER = [*SCAN, 4, 1, 0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (set_at([*SCAN, 4], {"weight": 0}), "body is a dict, but a list"),
        (set_at([*SCAN, 4, 3], 7), "a body's name is a int"),
        (lambda s: s[3][0][2][0][4].pop(), "a body with 3 parts"),
        (set_at([*INNER, 4, 1, 0, 0], "scan"), "nested over 2 deep"),
        (set_at([*SCAN, 5, "kind"], [1]), "kind is a tuple"),
        (set_at([*SCAN, 5, "reverse"], 1), "reverse is a int"),
        (set_at([*SCAN, 4, 0, 1, 1], [3]), r"total1: add on \[3\], \[2\]"),
        (set_at([*GRAPH, 1, 0, 1], [2**20, 2**20, 2]), "fewer than 2,147,483,648 elements"),
        (set_at([*SCAN, 4, 2], []), "0 outputs of the body for 1 states"),
        (set_at([*SCAN, 4, 2], [9]), "output value number 9"),
        (set_at([*SCAN, 4, 0], []), "scan1: input value number 0"),
        (set_at([*INNER, 1], "scan0"), "two nodes have this name"),
        (set_at([*SCAN, 3], [0, 0]), "starts as .image. of another shape"),
    ],
)
def test_each_defect_of_a_scan_has_its_own_message(
    change: Callable[[list[Any]], object], message: str
) -> None:
    with pytest.raises(BadFile, match=message):
        unpack_smg(recurrent_file(change), SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            set_at([*NODES, 0, 3], [2]),
            r"conv1: input value number 2, but there are 1",
        ),  # reads its successor: a cycle
        (set_at([*NODES, 0, 3], [-1]), "input value number -1"),
        (set_at([*NODES, 0, 0], "q.dream"), "unknown operator 'q.dream'. Update smidgen"),
        (set_at([*NODES, 1, 1], "conv1"), "two weights are called"),
        (set_at([*NODES, 0, 4, "weight"], 77), "weight number 76"),
        (set_at([*NODES, 0, 4, "sauce"], 1), "takes no 'sauce'"),
        (set_at([*NODES, 0, 5, "stride"], [0, 0]), "does not fit"),
        (set_at([*NODES, 0, 5, "groups"], 0), "conv1"),
        (set_at([*NODES, 0, 5, "groups"], "two"), "graph"),
        (set_at([*NODES, 0, 5], {}), "lacks the attribute"),
        (set_at([*NODES, 0, 5, "stride"], [1] * 100), "100 entries"),
        (set_at([*GRAPH, 1, 0, 1], [8, 8, 4]), "does not fit 4 channels"),
        (set_at([*GRAPH, 1, 0, 1], [8, -8, 3]), "shape"),
        (set_at([*GRAPH, 1, 0, 1], [2**30, 2**30, 3]), "too large"),
        (set_at([*GRAPH, 1, 0, 1], [1] * 99), "shape"),
        (set_at([*GRAPH, 3], [55]), "output value number 55"),
        (set_at([*GRAPH, 5, 0, 0], float("nan")), "scale nan"),
        (set_at([*GRAPH, 5, 0, 1], 300), "zero point 300"),
        (set_at([*GRAPH, 5, 0, 2], 4000), "4000 bits"),
        (set_at([1, 0, 0, "format"], "os"), "unknown weight format 'os'"),
        (set_at([1, 0, 0, "shape"], [2**20, 2**20]), "decodes to"),
        (set_at([1, 0, 0, "shape"], [8, 3, 3, 4]), "are needed"),
        (set_at([1, 0, 1, "symbols"], 9999), "stream of 'symbols': number 9998"),
        (set_at([2, 0], 10**9), r"but \d+ are left"),
        (set_at([2, 0], 0), "belong to none"),
        (set_at([3], []), "no graph"),
        (set_at([0], {"a": 1}), "metadata"),
        (lambda structure: structure.pop(), "3 parts"),
    ],
)
def test_each_defect_has_its_own_message(change: Callable[[list[Any]], object], message: str) -> None:
    with pytest.raises(BadFile, match=message):
        unpack_smg(rebuilt(change), SMALL)


def test_a_structure_that_is_no_msgpack_is_refused() -> None:
    with pytest.raises(BadFile, match="msgpack"):
        unpack_smg(join_sections([], b"\xc1\xc1", b""))


def test_a_deeply_nested_structure_is_refused() -> None:
    with pytest.raises(BadFile):
        unpack_smg(join_sections([], b"\x91" * 100_000 + b"\x90", b""))


def test_deeply_nested_attributes_are_refused() -> None:
    nested: Any = []
    for _ in range(50):
        nested = [nested]
    with pytest.raises(BadFile, match="deep"):
        from_plain(nested)


def peak_bytes(data: bytes) -> int:
    tracemalloc.start()
    with pytest.raises(BadFile):
        unpack_smg(data, SMALL)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak


def test_a_huge_declared_stream_takes_no_memory() -> None:
    constant = bytes([7]) + write_varint(1 << 40) + bytes([0, 0])
    dense = {"format": "Integer", "shape": [1 << 20, 1 << 20], "dtype": "uint8"}
    packed = msgpack.packb([{}, [[dense, {"symbols": 0}]], [len(constant)], [["g", [], [], [], [], []]]])
    assert peak_bytes(join_sections([], packed, constant)) < 1 << 20


def test_a_structure_that_inflates_without_end_takes_no_memory() -> None:
    assert peak_bytes(join_sections([], b"\x90" * (100 << 20), b"")) < 1 << 20


def test_a_structure_larger_than_declared_stops_at_the_declared_size() -> None:
    bomb = zlib.compressobj(9, zlib.DEFLATED, -15)
    deflated = bomb.compress(b"\0" * (50 << 20)) + bomb.flush()
    head = sound()[:8] + write_varint(len(deflated)) + write_varint(1000) + write_varint(0)
    assert peak_bytes(signed(head + deflated + b"0000")) < 1 << 20


def test_a_group_larger_than_its_row_expands_no_further_than_the_row() -> None:
    graph = unpack_smg(pack_smg([integer_network()])).graph
    grouped = graph.weights["conv2.weight"]
    assert isinstance(grouped, Affine)
    assert grouped.multiples is not None
    hostile = replace(grouped, multiples=grouped.multiples[:, :1], group_size=1 << 40)
    assert np.array_equal(hostile.integers().values[0], grouped.symbols[0] * hostile.multiples[0, 0])


def test_the_size_limit_is_the_callers() -> None:
    with pytest.raises(BadFile, match="SMIDGEN_MAX_DECODED"):
        unpack_smg(sound(), 64 * 1200)


def opened_or_refused(data: bytes) -> str:
    """The contract of reading: a checked graph whose weights decode, or BadFile, nothing else."""
    try:
        file = unpack_smg(data, SMALL)
    except BadFile:
        return "refused"
    for graph in file.graphs:
        graph.check()
        assert all(fmt.decode().shape == fmt.shape for fmt in graph.weights.values())
    return "opened"


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Some bytes changed, removed or repeated."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 4))):
        at = int(rng.integers(len(out)))
        kind = rng.integers(4)
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            out[at] = int(rng.integers(256))
        elif kind == 2:
            del out[at : at + int(rng.integers(1, 5))]
        else:
            out[at:at] = out[at : at + int(rng.integers(1, 9))]
    return bytes(out)


def test_two_thousand_mutated_files_open_or_are_refused() -> None:
    rng = np.random.default_rng(0)
    outcomes = {opened_or_refused(signed(mutated(sound(), rng))) for _ in range(2000)}
    assert outcomes == {"opened", "refused"}


def test_two_thousand_mutated_structures_open_or_are_refused() -> None:
    rng = np.random.default_rng(1)
    streams = take_apart(sound()).sections.streams
    outcomes = {opened_or_refused(join_sections([], mutated(parts(), rng), streams)) for _ in range(2000)}
    assert outcomes == {"opened", "refused"}


def test_a_thousand_mutated_recurrent_structures_open_or_are_refused() -> None:
    rng = np.random.default_rng(3)
    sections = take_apart(pack_smg([recurrent_float_network()])).sections
    outcomes = {
        opened_or_refused(join_sections(["scan"], mutated(sections.structure, rng), sections.streams))
        for _ in range(1000)
    }
    assert outcomes == {"opened", "refused"}


def test_five_hundred_mutated_streams_open_or_are_refused() -> None:
    rng = np.random.default_rng(2)
    contents = take_apart(sound())
    outcomes = set()
    for _ in range(500):
        streams = list(contents.streams)
        at = int(rng.integers(len(streams)))
        streams[at] = mutated(streams[at], rng)
        lengths = [len(stream) for stream in streams]
        outcomes.add(opened_or_refused(rebuilt(set_at([2], lengths), b"".join(streams))))
    assert outcomes == {"opened", "refused"}


junk = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**40), 2**40)
    | st.floats()
    | st.text(max_size=3)
    | st.binary(max_size=3),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=6,
)


def locations(item: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inside = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else []
    return [path, *(spot for key, value in inside for spot in locations(value, (*path, key)))]


FILES = [
    take_apart(pack_smg([graph])).sections
    for graph in (float_network(), recurrent_float_network(), nested_network())
]
SPOTS = [(file, spot) for file in FILES for spot in locations(msgpack.unpackb(file.structure)) if spot]


@given(st.sampled_from(SPOTS), junk)
@settings(max_examples=900)
def test_anything_anywhere_in_the_structure_opens_or_is_refused(
    place: tuple[Sections, tuple[Any, ...]], value: Any
) -> None:
    sections, spot = place
    structure = msgpack.unpackb(sections.structure)
    set_at(list(spot), value)(structure)
    file = join_sections(sections.features, msgpack.packb(structure), sections.streams)
    assert opened_or_refused(file) in ("opened", "refused")
