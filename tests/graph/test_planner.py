"""The memory planner, checked by simulating which bytes hold which value."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats import Grid, Integer
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.placement import Buffer, least_height, place_buffers
from smidgen.graph.planner import MemoryPlan, plan_memory

TABLE = Integer(np.zeros(256, np.int8))
ADD = {"multiplier": Integer(np.ones(2, np.uint16))}
BOUNDS = {"lo": -128, "hi": 127}


def integer(graph: Graph) -> Graph:
    return graph.with_values(
        {k: replace(v, dtype="int8", grid=Grid(1.0, 0)) for k, v in graph.values.items()}
    )


def pad_to(b: GraphBuilder, x: str, size: int) -> str:
    """An operator that can't run in place, with an output of `size` >= the input's."""
    return b.op("q.pad", [x], pads=((0, size - b.shape(x)[0]),))


def chain(sizes: list[int]) -> Graph:
    """Values of the given sizes, one after the other; transposes and concatenations never run in place."""
    b = GraphBuilder("chain")
    x = b.input("x", (1,))
    for size in sizes:
        x = b.op("q.linear", [x], linear_params(size, b.shape(x)[0]), **BOUNDS)
    return integer(b.graph(x))


def linear_params(out: int, features: int) -> dict[str, Integer]:
    return {
        "weight": Integer(np.zeros((out, features), np.int8)),
        "bias": Integer(np.zeros(out, np.int32)),
        "multiplier": Integer(np.ones(1, np.uint16)),
        "shift": Integer(np.ones(1, np.uint8)),
    }


@st.composite
def graphs(draw) -> Graph:
    """Random graphs of operators that do and do not share memory."""
    b = GraphBuilder("random")
    values = [b.input("x", (draw(st.integers(1, 40)),)), b.input("x2", (draw(st.integers(1, 40)),))]
    for _ in range(draw(st.integers(1, 14))):
        x = draw(st.sampled_from(values[-4:]))
        kind = draw(st.sampled_from(["table", "reshape", "linear", "add", "concat"]))
        if kind == "table":
            made = b.op("q.table", [x], {"table": TABLE})
        elif kind == "reshape":
            made = b.op("q.reshape", [x], shape=(b.shape(x)[0],))
        elif kind == "linear":
            made = b.op("q.linear", [x], linear_params(draw(st.integers(1, 60)), b.shape(x)[0]), **BOUNDS)
        elif kind == "concat":
            made = b.op("q.concat", [x, draw(st.sampled_from(values))], axis=0)
        else:
            same = [v for v in values if b.shape(v) in (b.shape(x), (1,))]
            made = b.op("q.add", [x, draw(st.sampled_from(same))], ADD, shift=1, **BOUNDS)
        values.append(made)
    outputs = draw(st.sets(st.sampled_from(values[2:]), min_size=1, max_size=3))
    return integer(b.graph(sorted(outputs)))


def execute(graph: Graph, plan: MemoryPlan, nbytes: int) -> list[object]:
    """The arena after a run with symbols for bytes. Every read must find the bytes of its value."""
    memory: dict[tuple[str, int], list[object]] = {("arena", 0): [None] * nbytes}
    for i, name in enumerate(graph.inputs):
        memory["input", i] = [(name, k) for k in range(graph.values[name].nbytes)]
    for i, name in enumerate(graph.outputs):
        memory["output", i] = [None] * graph.values[name].nbytes

    def view(name: str) -> tuple[list[object], slice]:
        place = plan.places[name]
        return memory[place.where, place.index], slice(place.offset, place.offset + graph.values[name].nbytes)

    contents = {name: [(name, k) for k in range(graph.values[name].nbytes)] for name in graph.inputs}
    for node in graph.nodes:
        for name in node.inputs:
            held, where = view(name)
            assert held[where] == contents[name], f"{node.name} reads {name} after it was overwritten"
        out = node.output
        alias = node.op == "q.reshape"
        contents[out] = (
            contents[node.inputs[0]] if alias else [(out, k) for k in range(graph.values[out].nbytes)]
        )
        if not alias or node.name in plan.copies:
            held, where = view(out)
            held[where] = contents[out]
    for name in graph.outputs:
        held, where = view(name)
        assert held[where] == contents[name], f"output {name} does not hold its value at the end"
    for i, name in enumerate(graph.inputs):
        assert memory["input", i] == contents[name], "an input was overwritten"
    return memory["arena", 0]


@settings(max_examples=150)
@given(graphs(), st.sampled_from([1, 4, 16]))
def test_no_value_is_overwritten_while_it_is_needed(graph: Graph, alignment: int) -> None:
    plan = plan_memory(graph, alignment)
    arena = execute(graph, plan, plan.arena_bytes)
    assert plan.arena_bytes == 0 or arena[-1] is not None, "the last byte of the arena is never written"
    assert all(place.offset % alignment == 0 for place in plan.places.values())


@settings(max_examples=80)
@given(graphs())
def test_the_arena_is_at_least_the_live_peak(graph: Graph) -> None:
    plan = plan_memory(graph)
    assert plan.live_peak_bytes <= plan.aligned_peak_bytes <= plan.arena_bytes
    assert {name: graph.values[name].nbytes for name in plan.live_at_peak} == plan.live_at_peak
    assert sum(plan.live_at_peak.values()) == plan.live_peak_bytes


@settings(max_examples=80)
@given(st.lists(st.integers(1, 300), min_size=1, max_size=15))
def test_the_arena_of_a_chain_is_its_live_peak(sizes: list[int]) -> None:
    plan = plan_memory(chain(sizes), alignment_bytes=1)
    inner = sizes[:-1]  # the last value is the caller's
    pairs = [a + b for a, b in pairwise(inner)]
    assert plan.arena_bytes == plan.live_peak_bytes == max(pairs or inner or [0])


@settings(max_examples=150)
@given(
    st.lists(st.tuples(st.integers(1, 50), st.integers(0, 12), st.integers(0, 5)), max_size=14),
    st.sampled_from([1, 4, 16]),
)
def test_buffers_that_meet_never_overlap(drawn: list[tuple[int, int, int]], alignment: int) -> None:
    buffers = [Buffer((str(i),), n, first, first + span) for i, (n, first, span) in enumerate(drawn)]
    offsets = place_buffers(buffers, alignment)
    assert all(offset % alignment == 0 for offset in offsets)
    for i, a in enumerate(buffers):
        for j, b in enumerate(buffers[:i]):
            apart = offsets[i] + a.nbytes <= offsets[j] or offsets[j] + b.nbytes <= offsets[i]
            assert apart or not a.meets(b)
    assert place_buffers(buffers, alignment) == offsets


@settings(max_examples=60)
@given(
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=6),
    st.sampled_from([1, 4]),
)
def test_no_order_of_first_fit_gets_below_the_bound(
    drawn: list[tuple[int, int, int]], alignment: int
) -> None:
    """Every optimal placement is the first fit of some order: trying all of them finds the optimum."""
    buffers = [Buffer((str(i),), n, first, first + span) for i, (n, first, span) in enumerate(drawn)]
    heights = []
    for order in permutations(range(len(buffers))):
        offsets: dict[int, int] = {}
        for i in order:
            at = 0
            while any(
                at < offsets[j] + buffers[j].nbytes and offsets[j] < at + buffers[i].nbytes
                for j in offsets
                if buffers[j].meets(buffers[i])
            ):
                at += alignment
            offsets[i] = at
        heights.append(max(offsets[i] + buffers[i].nbytes for i in offsets))
    found = place_buffers(buffers, alignment)
    assert least_height(buffers, alignment) <= min(heights)
    assert min(heights) <= max(at + b.nbytes for at, b in zip(found, buffers, strict=True))


def test_bytes_lost_to_alignment_are_counted() -> None:
    plan = plan_memory(chain([9, 20, 5]))
    assert (plan.live_peak_bytes, plan.aligned_peak_bytes, plan.arena_bytes) == (29, 36, 36)
    assert (plan.alignment_bytes_lost, plan.fragmentation_bytes) == (7, 0)


def residual() -> Graph:
    b = GraphBuilder("residual")
    x = b.op("q.linear", [b.input("x", (8,))], linear_params(64, 8), name="stem", **BOUNDS)
    y = b.op("q.linear", [x], linear_params(64, 64), name="branch", **BOUNDS)
    y = b.op("q.add", [x, y], ADD, name="sum", shift=1, **BOUNDS)
    return integer(b.graph(b.op("q.linear", [y], linear_params(2, 64), name="head", **BOUNDS)))


def test_an_addition_overwrites_an_operand_that_dies() -> None:
    plan = plan_memory(residual())
    assert plan.places["sum"] in (plan.places["stem"], plan.places["branch"])
    assert plan.arena_bytes == 128


def test_an_operand_that_is_broadcast_is_not_overwritten() -> None:
    b = GraphBuilder("gate")
    x = b.input("x", (4, 4))
    row = b.op("q.table", [b.input("row", (4,))], {"table": TABLE})
    y = b.op("q.add", [row, x], ADD, name="sum", shift=1, **BOUNDS)
    graph = integer(b.graph(b.op("q.transpose", [y], perm=(1, 0))))
    plan = plan_memory(graph)
    assert plan.places["sum"] != plan.places[row]


def test_a_reshape_between_two_outputs_copies() -> None:
    b = GraphBuilder("twice")
    y = b.op("q.table", [b.input("x", (2, 3))], {"table": TABLE}, name="y")
    flat = b.op("q.reshape", [y], name="flat", shape=(-1,))
    assert plan_memory(integer(b.graph([y, flat]))).copies == {"flat"}


def test_inputs_and_outputs_take_no_arena() -> None:
    b = GraphBuilder("direct")
    plan = plan_memory(integer(b.graph(b.op("q.table", [b.input("x", (9,))], {"table": TABLE}))))
    assert (plan.arena_bytes, plan.live_peak_bytes, plan.live_at_peak) == (0, 0, {})


def test_the_peak_names_its_node_and_tensors() -> None:
    plan = plan_memory(residual())
    assert (plan.peak_node, set(plan.live_at_peak)) == ("branch", {"stem", "branch"})


def test_an_alignment_of_zero_is_refused() -> None:
    with pytest.raises(ValueError, match="alignment of 0"):
        plan_memory(residual(), 0)
