"""Patch-based execution: the same integers from less memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, reject, settings
from hypothesis import strategies as st

from smidgen.emit.c import CEmitter
from smidgen.errors import BadInput, IllegalGraph
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cost import macs
from smidgen.graph.planner import plan_memory
from smidgen.lower.patches import cuts, with_patches
from smidgen.lower.regions import first_regions
from smidgen.models import cnn1d, mlp, resnet8
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.integer_networks import integers_of, random_integers
from tests.networks import large_maps

M4 = load_target("cortex-m4")


@st.composite
def images(draw) -> Graph:
    """A chain of convolutions (depthwise, dilated, strided, padded) and pools, then a classifier."""
    rng, b = np.random.default_rng(draw(st.integers(0, 99))), GraphBuilder("images")
    size, channels = draw(st.integers(24, 30)), draw(st.integers(1, 2))
    x = b.input("x", (size, size, channels))
    for _ in range(draw(st.integers(1, 3))):
        kernel, stride, padding = draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(0, 1))
        depthwise = draw(st.booleans())
        out, groups = (channels, channels) if depthwise else (3, 1)
        weight = rng.normal(size=(out, kernel, kernel, channels // groups))
        x = b.conv(x, weight, np.zeros(out), stride=stride, padding=padding, groups=groups)
        x, channels = b.op("relu", [x]), out
    x = b.flatten(b.pool("max", x, 2))
    try:
        return integers_of(b.graph(b.linear(x, rng.normal(size=(3, b.shape(x)[0])), np.zeros(3))))
    except IllegalGraph:  # a chain of dead maps: no grids for it
        reject()


@st.composite
def branches(draw) -> Graph:
    """One or two images, sums and products of branches with windows, strides and pools of their own."""
    rng, b = np.random.default_rng(draw(st.integers(0, 99))), GraphBuilder("branches")
    size = draw(st.integers(16, 20))
    both = b.input("x", (size, size, 4))
    images = [b.op("slice", [both], axis=2, start=i, stop=i + 2, step=1) for i in (0, 2)]
    maps = [_conv(draw, rng, b, x, 1) for x in images[: draw(st.integers(1, 2))]]
    for _ in range(draw(st.integers(1, 3))):
        x, stride = maps[-1], draw(st.integers(1, 2))
        left = _conv(draw, rng, b, _conv(draw, rng, b, x, 1), stride)
        right = draw(st.sampled_from(["same", "pooled", "conv"])) if stride == 1 else "conv"
        other = {
            "same": lambda x=x: x,
            "pooled": lambda x=x: b.pool("max", x, 3, stride=1, padding=1),
            "conv": lambda x=x, stride=stride: b.conv(
                x, rng.normal(size=(2, 1, 1, 2)), np.zeros(2), stride=stride
            ),
        }[right]()
        maps.append(b.op(draw(st.sampled_from(["add", "mul"])), [left, other]))
        if len(maps) > 2 and b.shape(maps[0]) == b.shape(maps[-1]) and draw(st.booleans()):
            maps.append(b.op("add", [maps[0], maps[-1]]))
    x = b.flatten(b.pool("max", b.op("relu", [maps[-1]]), 2))
    if draw(st.booleans()):  # nobody else may read what lies inside of what is cut
        x = b.op("concat", [x, b.flatten(maps[0])], axis=0)
    graph = b.graph(b.linear(x, rng.normal(size=(3, b.shape(x)[0])), np.zeros(3)))
    try:
        graph = integers_of(graph)
    except IllegalGraph:  # dead maps: no grids for them
        reject()
    # What is calibrated has one input: its halves become inputs of their own.
    slices = [node for node in graph.nodes if node.op == "q.slice"]
    rest = tuple(node for node in graph.nodes if node.op != "q.slice")
    values = {name: value for name, value in graph.values.items() if name != "x"}
    return replace(graph, nodes=rest, values=values, inputs=tuple(node.output for node in slices))


def _conv(draw, rng: np.random.Generator, b: GraphBuilder, x: str, stride: int) -> str:
    """3 x 3 or 5 x 5 with the padding that keeps the size (or half of it); 2 channels."""
    kernel = draw(st.sampled_from([3, 5]))
    weight = rng.normal(size=(2, kernel, kernel, 2)) / kernel
    return b.op("relu", [b.conv(x, weight, np.full(2, 0.1), stride=stride, padding=kernel // 2)])


def assert_strips_agree(graph: Graph, patches: int) -> None:
    """Integers of every cut, in the reference and in the native plan, are those of the whole network."""
    rng = np.random.default_rng(1)
    x = [rng.integers(-128, 128, (2, *graph.values[name].shape)).astype(np.int8) for name in graph.inputs]
    expected = run_integer(graph, x)
    for cut in cuts(graph, patches):
        cut.check()
        np.testing.assert_array_equal(run_integer(cut, x), expected)
        np.testing.assert_array_equal(native_plan(cut).run(x), expected)


@settings(max_examples=25, deadline=None)
@given(branches(), st.integers(2, 4))
def test_strips_of_branches_give_the_same_integers(graph: Graph, patches: int) -> None:
    assert_strips_agree(graph, patches)


@settings(max_examples=25, deadline=None)
@given(images(), st.integers(2, 4))
def test_strips_give_the_same_integers(graph: Graph, patches: int) -> None:
    assert_strips_agree(graph, patches)


def test_strips_take_less_memory_and_more_products() -> None:
    graph = integers_of(large_maps())
    cut = with_patches(graph, 4)
    assert plan_memory(graph).arena_bytes == 2 * 32 * 32 * 8
    assert plan_memory(cut).arena_bytes < plan_memory(graph).arena_bytes / 2
    extra = sum(macs(cut).values()) - sum(macs(graph).values())
    assert extra == 6 * 32 * 8 * 9  # three seams: one row of the first map on each side


def test_as_many_layers_are_cut_as_makes_the_arena_smallest() -> None:
    graph = integers_of(large_maps())
    assert [region.nodes[-1].op for region in first_regions(graph)] == ["q.conv", "q.conv", "q.max_pool"]
    assert sum(node.op == "q.max_pool" for node in with_patches(graph, 2).nodes) == 2


def test_a_residual_network_takes_half_the_memory() -> None:
    graph = integers_of(resnet8.build((32, 32, 3), 10))
    assert (
        plan_memory(graph).arena_bytes == 3 * 32 * 32 * 16
    )  # the first sum: both operands and the map before
    assert plan_memory(with_patches(graph, 8)).arena_bytes < 24_000
    assert plan_memory(with_patches(graph, 2)).arena_bytes < 35_000


def test_a_region_ends_where_all_branches_have_met() -> None:
    graph = integers_of(resnet8.build((32, 32, 3), 10))
    assert [region.output for region in first_regions(graph)] == ["relu1", "relu3", "relu5", "relu6"]
    assert [len(region.nodes) for region in first_regions(graph)] == [1, 4, 8, 12]


def test_sequences_are_cut_into_strips_of_steps() -> None:
    graph = integers_of(cnn1d.build((200, 6), 7))
    cut = with_patches(graph, 3)
    assert plan_memory(cut).arena_bytes < plan_memory(graph).arena_bytes
    x = random_integers(graph, 2)
    np.testing.assert_array_equal(native_plan(cut).run(x), run_integer(graph, x))


def test_a_network_without_images_is_refused() -> None:
    with pytest.raises(BadInput, match="no first layers"):
        with_patches(integers_of(mlp.build((16,), 4)), 2)


@pytest.mark.parametrize("patches", [1, 99])
def test_a_number_of_patches_that_makes_no_sense_is_refused(patches: int) -> None:
    graph = integers_of(large_maps())
    with pytest.raises(BadInput, match="patches"):
        with_patches(graph, patches)


def test_strips_that_save_nothing_are_refused() -> None:
    graph = integers_of(cnn1d.build((200, 6), 7))
    with pytest.raises(BadInput, match="whole"):
        with_patches(graph, 99)


def test_a_project_is_cut_into_strips_where_ram_asks_for_it(tmp_path: Path) -> None:
    graph = integers_of(large_maps())
    small = M4.model_copy(update={"ram_bytes": 14000})
    program = CEmitter().scheduled(graph, small).program
    assert any(call.node == "max_pool1.rows" for call in program.calls)
    assert CEmitter().check(graph, small) == []
    assert CEmitter().scheduled(graph, M4).graph is graph
    artifact = CEmitter().emit(graph, small, tmp_path / "c")
    assert artifact.selftest() == "3 of 3 samples agree in every layer"


def test_a_project_is_cut_into_the_strips_asked_for() -> None:
    cut = CEmitter(patches=5).scheduled(integers_of(large_maps()), M4).graph
    assert sum(node.op == "q.slice" for node in cut.nodes) == 5


def test_what_no_strips_make_fit_is_still_a_problem() -> None:
    tiny = M4.model_copy(update={"ram_bytes": 2000})
    (problem,) = CEmitter().check(integers_of(large_maps()), tiny)
    assert "bytes of RAM are needed" in problem.reason


def test_a_branch_whose_window_would_lie_in_the_padding_is_not_cut() -> None:
    rng, b = np.random.default_rng(0), GraphBuilder("padded")
    x = b.op("relu", [b.conv(b.input("x", (8, 8, 1)), rng.normal(size=(2, 3, 3, 1)), np.ones(2), padding=1)])
    far = b.conv(x, rng.normal(size=(2, 1, 1, 2)), np.zeros(2), padding=2)  # two rows of nothing on each side
    near = b.conv(x, rng.normal(size=(2, 3, 3, 2)), np.zeros(2), padding=3)
    total = b.flatten(b.op("add", [far, near]))
    graph = integers_of(b.graph(b.linear(total, rng.normal(size=(3, b.shape(total)[0])), np.zeros(3))))
    assert [region.output for region in first_regions(graph)] == ["relu1", "add1"]
    assert len(cuts(graph, 3)) == 2
    assert len(cuts(graph, 6)) == 1  # of the sum, the first two of twelve rows see no row of x
    assert_strips_agree(graph, 3)
    assert_strips_agree(graph, 6)
