"""`.smg`: bytes with their checksum made right again, entries of the structure, streams."""

from __future__ import annotations

import functools
import zlib
from pathlib import Path
from random import Random
from typing import Any

import msgpack
import numpy as np

from smidgen.codec.container import pack_smg, read_smg, take_apart
from smidgen.codec.sections import join_sections
from smidgen.errors import SmidgenError
from smidgen.formats import Codebook, Half, LowRank
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower.schedule import check_schedulable
from smidgen.run.native import native_plan
from tests.codec.networks import float_network, integer_network, nested_network, recurrent_float_network
from tests.fuzz.mutations import damaged, edited

SUFFIX = ".smg"
LIMIT_BYTES = 1 << 24
MOST_RUN = 1 << 20  # elements: larger networks are opened and not run


@functools.cache
def sound() -> tuple[bytes, ...]:
    graphs = (integer_network(), recurrent_float_network(), nested_network(), float_network(), _formats())
    return tuple(pack_smg([graph], {"note": "sound"}) for graph in graphs)


def _formats() -> Graph:
    rng = np.random.default_rng(5)
    weight = rng.normal(size=(6, 6)).astype(np.float32)
    build = GraphBuilder("formats")
    h = build.linear(build.input("x", (6,)), build.weight("codebook", weight), rng.normal(size=6))
    h = build.linear(h, build.weight("half", weight))
    h = build.linear(h, build.weight("low", weight))
    low = LowRank(Half.fit(weight[:, :2]), Half.fit(weight[:2]))
    formats = {"codebook": Codebook.fit(weight, 2), "half": Half.fit(weight), "low": low}
    return build.graph(h).with_weights(formats)


@functools.cache
def apart(number: int) -> tuple[tuple[str, ...], bytes, bytes, tuple[bytes, ...]]:
    contents = take_apart(sound()[number])
    sections = contents.sections
    return sections.features, sections.structure, sections.streams, tuple(contents.streams)


def case(rng: Random) -> bytes:
    number = rng.randrange(len(sound()))
    features, structure, streams, pieces = apart(number)
    kind = rng.randrange(5)
    if kind == 0:
        return damaged(sound()[number], rng, rng.choice(sound()))
    if kind == 1:
        data = damaged(sound()[number], rng, rng.choice(sound()))
        return data[:-4] + zlib.crc32(data[:-4]).to_bytes(4, "little")
    if kind == 2:
        return join_sections(features, damaged(structure, rng), streams)
    tree = msgpack.unpackb(structure)
    if kind == 3:
        return join_sections(features, _packed(edited(tree, rng)), streams)
    changed = [damaged(piece, rng, rng.choice(pieces)) if rng.random() < 0.3 else piece for piece in pieces]
    tree[2] = [len(piece) for piece in changed]
    return join_sections(features, _packed(tree), b"".join(changed))


def _packed(tree: Any) -> bytes:
    try:
        return bytes(msgpack.packb(tree))
    except (ValueError, OverflowError, TypeError):  # 2^63 and the like can't even be written
        return b"\xc1"


def use(path: Path) -> None:
    for graph in read_smg(path, LIMIT_BYTES).graphs:
        graph.check()
        for weight in graph.weights.values():
            assert weight.decode().shape == weight.shape
        if graph.is_integer and sum(value.size for value in graph.values.values()) < MOST_RUN:
            _run(graph)


def _run(graph: Graph) -> None:
    """One sample, if the network has kernels; whatever it computes."""
    if check_schedulable(graph):
        return
    try:
        plan = native_plan(graph)
    except SmidgenError:
        return
    values = [graph.values[name] for name in graph.inputs]
    plan.run([np.zeros((1, *value.shape), value.dtype) for value in values])
