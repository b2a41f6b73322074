"""Channels in another order: the network computes the same, whatever reads and makes them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.channel_ids import ChannelIds
from smidgen.graph.reorder import path_from_input, read_classes, reordered, with_gathered_input
from smidgen.run.float_ops import run_float
from tests.networks import batch_norm


def branches(concat: bool = False) -> Graph:
    """A residual sum or a concatenation of two convolutions, a depthwise one, flattened, two readers.

    All weights are -1, 0 and 1: sums of whole numbers are exact in any order.
    """
    b, rng = GraphBuilder("branches"), np.random.default_rng(1)

    def ternary(*shape: int) -> np.ndarray:
        return rng.integers(-1, 2, shape)

    x = b.conv(b.input("x", (4, 4, 3)), ternary(6, 1, 1, 3), ternary(6), name="first")
    h = b.conv(x, ternary(6, 3, 3, 6), padding=1, name="second")
    h = b.op("relu", [b.op("add_constant", [h], {"constant": ternary(6)})])
    h = b.op("concat", [x, h], axis=2) if concat else b.op("add", [x, h])
    n = b.shape(h)[-1]
    h = b.conv(h, ternary(n, 3, 3, 1), padding=1, groups=n, name="depthwise")
    flat = b.flatten(b.pool("max", h, 2))
    left, right = (b.linear(flat, ternary(5, 4 * n), name=name) for name in ("left", "right"))
    return b.graph(b.op("add", [left, right]))


def assert_same(first: Graph, second: Graph) -> None:
    x = np.random.default_rng(2).integers(-5, 6, (5, *first.values[first.inputs[0]].shape))
    np.testing.assert_array_equal(*(run_float(graph, x.astype(np.float32)) for graph in (first, second)))


@settings(max_examples=10, deadline=None)
@given(st.permutations(range(6)), st.sampled_from(["second.weight", "left.weight"]))
def test_the_function_stays(order: list[int], weight: str) -> None:
    graph = branches()
    walk = ChannelIds(graph)
    classes = read_classes(walk, weight)
    made = reordered(graph, walk, classes, order)
    assert made is not None
    assert_same(graph, made)
    columns, moved = (g.weights["right.weight"].decode().reshape(5, 4, 6) for g in (graph, made))
    assert np.array_equal(moved, columns[..., order])


def test_channels_of_a_concatenation_move_within_their_part_only() -> None:
    graph = branches(concat=True)
    walk = ChannelIds(graph)
    classes = read_classes(walk, "left.weight")
    assert len(classes) == 12
    within = [*range(5, -1, -1), *range(6, 12)]
    made = reordered(graph, walk, classes, within)
    assert made is not None
    assert_same(graph, made)
    assert reordered(graph, walk, classes, list(range(11, -1, -1))) is None


def test_inputs_and_outputs_of_a_network_do_not_move() -> None:
    assert read_classes(ChannelIds(branches()), "first.weight") == ()


def normed() -> Graph:
    b, rng = GraphBuilder("normed"), np.random.default_rng(3)
    h = b.op("sign", [batch_norm(b, b.input("x", (7,)), rng)])
    return b.graph(b.linear(h, rng.integers(-9, 10, (4, 7)), name="layer"))


@pytest.mark.parametrize("order", [[6, 5, 4, 3, 2, 1, 0], [1, 0, 2, 3, 5, 6, 4]])
def test_inputs_are_gathered_before_what_leads_to_the_layer(order: list[int]) -> None:
    graph = normed()
    layer = graph.node("layer")
    path = path_from_input(graph, layer.inputs[0])
    assert path is not None
    assert [node.op for node in path] == ["sign", "batch_norm"]
    made = with_gathered_input(graph, layer, path, order)
    assert made is not None
    made.check()
    assert [node.op for node in made.nodes] == ["gather", "batch_norm", "sign", "linear"]
    assert_same(graph, made)


def test_a_layer_behind_another_has_no_path_from_the_input() -> None:
    graph = branches()
    assert path_from_input(graph, graph.node("second").inputs[0]) is None
