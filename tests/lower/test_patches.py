"""Patch-based execution: the same integers from less memory."""

from __future__ import annotations

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
from smidgen.lower.patches import first_stages, with_patches
from smidgen.models import mlp
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


@settings(max_examples=25, deadline=None)
@given(images(), st.integers(2, 4))
def test_strips_give_the_same_integers(graph: Graph, patches: int) -> None:
    try:
        cut = with_patches(graph, patches)
    except BadInput:  # the deepest map has fewer rows
        return
    cut.check()
    x = random_integers(graph, 2)
    expected = run_integer(graph, x)
    np.testing.assert_array_equal(run_integer(cut, x), expected)
    np.testing.assert_array_equal(native_plan(cut).run(x), expected)


def test_strips_take_less_memory_and_more_products() -> None:
    graph = integers_of(large_maps())
    cut = with_patches(graph, 4)
    assert plan_memory(graph).arena_bytes == 2 * 32 * 32 * 8
    assert plan_memory(cut).arena_bytes < plan_memory(graph).arena_bytes / 2
    extra = sum(macs(cut).values()) - sum(macs(graph).values())
    assert extra == 6 * 32 * 8 * 9  # three seams: one row of the first map on each side


def test_as_many_layers_are_cut_as_makes_the_arena_smallest() -> None:
    graph = integers_of(large_maps())
    assert [node.op for node in first_stages(graph)] == ["q.conv", "q.conv", "q.max_pool"]
    assert sum(node.op == "q.max_pool" for node in with_patches(graph, 2).nodes) == 2


def test_a_network_without_images_is_refused() -> None:
    with pytest.raises(BadInput, match="no chain of convolutions"):
        with_patches(integers_of(mlp.build((16,), 4)), 2)


@pytest.mark.parametrize("patches", [1, 99])
def test_a_number_of_patches_that_makes_no_sense_is_refused(patches: int) -> None:
    graph = integers_of(large_maps())
    with pytest.raises(BadInput, match="patches"):
        with_patches(graph, patches)


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
