"""Small networks that use everything a file can hold."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import numpy as np

from smidgen.formats import Affine, Format, Grid, Integer, Sparse
from smidgen.graph import Graph, GraphBuilder
from tests.recurrent import cell

GRID = Grid(0.0625, 3)


def integer_layer(weight: Format, rng: np.random.Generator) -> dict[str, Format]:
    """The params of a q.conv or q.linear."""
    channels = weight.shape[0]
    return {
        "weight": weight,
        "bias": Integer(rng.integers(-3000, 3000, channels).astype(np.int32)),
        "multiplier": Integer(rng.integers(1 << 15, 1 << 16, channels).astype(np.uint16)),
        "shift": Integer(rng.integers(22, 25, channels).astype(np.uint8)),
    }


def integer_network(seed: int = 0) -> Graph:
    """A lowered network [8, 8, 3] -> 10: sparse 4-bit, grouped, asymmetric and 8-bit weights."""
    rng = np.random.default_rng(seed)
    weight = partial(rng.normal, 0.0, 0.1)
    window = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    build = GraphBuilder("tiny")
    x = build.input("image", (8, 8, 3))
    first = weight(size=(8, 3, 3, 3)).astype(np.float32)
    sparse = Sparse(rng.random(first.shape) < 0.3, Affine.fit(first, 4))
    h = build.op("q.conv", [x], integer_layer(sparse, rng), "conv1", lo=-128, hi=127, **window)
    grouped = Affine.fit(weight(size=(8, 3, 3, 8)).astype(np.float32), 4, "group", group_size=16)
    h2 = build.op("q.conv", [h], integer_layer(grouped, rng), "conv2", lo=3, hi=127, **window)
    multipliers = {"multiplier": Integer(np.array([20000, 30000], np.int32))}
    h = build.op("q.add", [h, h2], multipliers, "add", shift=15, lo=-128, hi=127)
    h = build.op("q.max_pool", [h], name="pool", kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    h = build.op("q.reshape", [h], name="flat", shape=(-1,))
    asymmetric = Affine.fit(weight(size=(10, 128)).astype(np.float32) + np.float32(0.05), 3, symmetric=False)
    h = build.op("q.linear", [h], integer_layer(asymmetric, rng), "dense", lo=-128, hi=127)
    graph = build.graph(h)
    grids = {name: replace(v, dtype="int8", grid=GRID) for name, v in graph.values.items()}
    grids["dense"] = replace(grids["dense"], grid=Grid(0.1, -7))  # 0.1 is no float32
    return graph.with_values(grids)


def float_network() -> Graph:
    """Real numbers, a quantized value, and a weight tied between two layers."""
    rng = np.random.default_rng(1)
    build = GraphBuilder("float")
    x = build.input("x", (12,))
    tied = build.weight("tied", rng.normal(size=(12, 12)))
    h = build.op("relu", [build.linear(x, tied, rng.normal(size=12))])
    h = build.linear(h, tied)
    graph = build.graph(build.linear(h, rng.normal(size=(3, 12)), name="head"))
    return graph.with_values({"relu1": replace(graph.values["relu1"], grid=Grid(0.5, 0, 4))})


def recurrent_float_network() -> Graph:
    """Two directions, an initial state, no sequence output, and a weight of one body used outside it too."""
    rng = np.random.default_rng(2)
    build = GraphBuilder("recurrent")
    x = build.input("x", (4, 5))
    start = build.linear(build.input("start", (5,)), rng.normal(size=(5, 5)))
    forward = build.scan(x, cell("lstm", rng, "there", 5, 5), kind="lstm", name="there")
    back = cell("gru_before", rng, "back", 5, 5, sequence=False)
    backward = build.scan(forward[0], back, kind="gru_before", reverse=True, initial=[start], name="back")
    return build.graph(build.linear(build.op("add", [forward[2], backward[0]]), "back.new.input"))


def nested_network(depth: int = 2) -> Graph:
    """A scan over rows whose body runs a scan over each row, and so on `depth` deep."""
    build = GraphBuilder("nested")
    x = build.input("image", (3,) * depth + (2,))
    return build.graph(build.scan(x, _rows(depth, 1), name="scan0")[0])


def _rows(depth: int, level: int) -> Graph:
    """A body that adds what it finds in one row to its state."""
    build = GraphBuilder(f"body{level}")
    x = build.input(f"row{level}", (3,) * (depth - level) + (2,))
    state = build.input(f"sum{level}", (2,))
    inner = build.scan(x, _rows(depth, level + 1), name=f"scan{level}")[0] if level < depth else x
    total = build.op("add", [state, inner], name=f"total{level}")
    return build.graph([total])


def assert_same(found: Graph, expected: Graph) -> None:
    """Equal structure, and weights with equal leaves."""
    assert found.name == expected.name
    assert found.nodes == expected.nodes
    assert dict(found.values) == dict(expected.values)
    assert (found.inputs, found.outputs) == (expected.inputs, expected.outputs)
    assert found.weights.keys() == expected.weights.keys()
    for name, fmt in expected.weights.items():
        stored = found.weights[name]
        assert type(stored) is type(fmt)
        assert stored.meta() == fmt.meta()
        assert stored.decode().tobytes() == fmt.decode().tobytes()
        for a, b in zip(stored.leaves(), fmt.leaves(), strict=True):
            assert (a.name, a.bits, a.signed) == (b.name, b.bits, b.signed)
            assert np.array_equal(a.symbols, b.symbols)
