"""Modelled energy against counters that walk every single operation."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.emit.c import CEmitter
from smidgen.formats import Binary, Grid
from smidgen.formats.packing import pack_bits
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.lower import lower
from smidgen.lower.decode import worth_expanding
from smidgen.lower.grids import with_grids
from smidgen.lower.schedule import expand_weights
from smidgen.measure.energy import Work, energy_pj, energy_table, modelled_energy, work_of
from smidgen.measure.feasibility import as_int8
from smidgen.targets import load_target
from tests.integer_networks import integer_network, integers_of
from tests.networks import peaked, small_cnn

HOST, BOARD = load_target("x86-64"), load_target("cortex-m4")
TABLE = energy_table()


@st.composite
def float_networks(draw: st.DrawFn) -> Graph:
    """One or two convolutions, sometimes depthwise, strided or pooled, and a linear layer."""
    channels, filters = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    size, stride, padding = draw(st.integers(4, 6)), draw(st.integers(1, 2)), draw(st.integers(0, 1))
    rng, b = np.random.default_rng(draw(st.integers(0, 99))), GraphBuilder("random")
    x = b.input("x", (size, size, channels))
    weight = rng.normal(size=(filters, 3, 3, channels))
    x = b.op("relu", [b.conv(x, weight, np.zeros(filters), stride=stride, padding=padding)])
    if draw(st.booleans()):
        x = b.conv(x, rng.normal(size=(filters, 1, 1, 1)), np.zeros(filters), groups=filters)
    if draw(st.booleans()):
        x = b.op("add", [x, x])
    x = b.flatten(b.pool("avg", x, 1))
    return b.graph(b.linear(x, rng.normal(size=(3, b.shape(x)[0])), np.zeros(3)))


def counted(graph: Graph) -> tuple[Counter[str], Counter[str]]:
    """(multiplications, additions) by type, found by performing the loops of every node."""
    multiplies, adds = Counter[str](), Counter[str]()
    for node in graph.nodes:
        whole = node.op.startswith("q.")
        number, total = ("int8", "int32") if whole else ("float32", "float32")
        out = graph.values[node.output].shape
        for _ in itertools.product(*map(range, out)):
            for _ in taps(graph, node):
                if node.op.endswith(("conv", "linear")):
                    multiplies[number] += 1
                adds[total] += 1
            if "multiplier" in node.params:
                times = 2 if node.op == "q.add" else 1
                multiplies["int32"] += times
                adds["int32"] += times
    return multiplies, adds


def taps(graph: Graph, node: Node):
    """What one output element of a node is made from."""
    if node.op.endswith(("conv", "linear")):
        weight = node.params.get("weight")
        shape = graph.weights[weight].shape if weight else graph.values[node.inputs[1]].shape
        yield from itertools.product(*map(range, shape[1:]))
    elif "kernel" in node.attrs:
        yield from itertools.product(*map(range, node.attrs["kernel"]))
    elif not node.op.endswith("reshape"):
        yield from node.inputs  # each element that is read


@settings(max_examples=25, deadline=None)
@given(float_networks(), st.booleans())
def test_operations_are_those_of_the_loops(network: Graph, lowered: bool) -> None:
    graph = as_int8(network) if lowered else network
    work = work_of(graph)
    assert (work.multiplies, work.adds) == counted(graph)


def test_a_float_layer_by_hand() -> None:
    b = GraphBuilder("g")
    graph = b.graph(b.linear(b.input("x", (10,)), np.ones((4, 10)), np.zeros(4)))
    computing = 40 * (3.7 + 0.9)
    moving = (44 * 4 + 14 * 4) / 4 * 5.0
    found = modelled_energy(graph, HOST)
    assert [m.name for m in found] == ["energy_uj"]
    assert found[0].value == pytest.approx((computing + moving) / 1e6)
    assert found[0].how == "modelled"


def test_products_of_signs_are_three_steps_a_word() -> None:
    b = GraphBuilder("signs")
    weight = Binary.fit(np.random.default_rng(0).normal(size=(10, 64)).astype(np.float32))
    graph = b.graph(b.linear(b.op("binarize", [b.input("x", (64,))]), weight))
    whole = lower(with_grids(graph, {"x": Grid(0.1, 0), graph.outputs[0]: Grid(1.0, 0)}))
    work = work_of(whole)
    requantized, compared = 10, 64
    assert work.multiplies == {"int32": requantized}
    assert work.adds == {"int32": 10 * 2 * 3 + requantized + compared}
    constants = 4 * 10 + (2 + 1) * 10 + 2 + 1  # biases, ratios, threshold, flip
    assert work.weight_bytes == 10 * 64 // 8 + constants


def test_decoded_weights_are_read_packed_and_others_whole() -> None:
    graph = integer_network("int4")
    expanded = expand_weights(graph)
    packed = whole = 0
    for node in graph.nodes:
        for role, name in node.params.items():
            fmt = graph.weights[name]
            array = fmt.decode() if fmt.integers() is None else fmt.integers().values
            small = role == "weight"
            size = sum(len(pack_bits(leaf)) for leaf in fmt.leaves() if leaf.name != "scale") if small else 0
            whole += math.prod(fmt.shape) if small else work_bytes(array, role)
            packed += size if small else work_bytes(array, role)
    assert work_of(graph).weight_bytes == whole
    assert work_of(expanded).weight_bytes == packed < whole


def work_bytes(array: np.ndarray, role: str) -> int:
    return array.size * {"bias": 4, "multiplier": 2, "shift": 1, "table": 1}[role]


def test_a_decoded_weight_is_written_and_read_again() -> None:
    graph = integer_network("int4")
    weights = sum(
        math.prod(graph.weights[n.params["weight"]].shape)
        for n in graph.nodes
        if n.op in ("q.conv", "q.linear")
    )
    assert work_of(expand_weights(graph)).activation_bytes == work_of(graph).activation_bytes + 2 * weights


def test_weights_lie_in_the_smallest_memory_that_holds_all_of_them() -> None:
    words = [TABLE.word_pj(n, HOST) for n in (1, 8192, 8193, 32768, 32769, 1 << 20, (1 << 20) + 1)]
    assert words == [5, 5, 10, 10, 50, 50, 640]


def test_a_microcontroller_has_no_memory_beyond_its_chip() -> None:
    assert TABLE.word_pj(1 << 24, BOARD) == 50
    assert TABLE.word_pj(1 << 24, HOST) == 640


@given(st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_energy_is_the_sum_of_its_parts(macs: int, adds: int, read: int, moved: int) -> None:
    work = Work({"int8": macs}, {"int32": adds}, read, moved, 10_000, 100)
    expected = macs * 0.2 + adds * 0.1 + read / 4 * 10 + moved / 4 * 5
    assert energy_pj(work, TABLE, HOST) == pytest.approx(expected)


def test_int8_takes_less_than_float() -> None:
    for target in (HOST, BOARD):
        whole, real = (modelled_energy(g, target)[0].value for g in (as_int8(small_cnn()), small_cnn()))
        assert whole < real / 4


@pytest.mark.parametrize("name", ["int4", "codebook"])
def test_a_device_adds_once_for_every_weight_that_it_unpacks(name: str) -> None:
    graph, unpacked = integer_network(name), 0
    for node in graph.nodes:
        if node.op in ("q.conv", "q.linear"):
            positions = math.prod(graph.values[node.output].shape[:-1])
            unpacked += math.prod(graph.weights[node.params["weight"]].shape) * math.ceil(positions / 16)
    expected = energy_pj(work_of(graph, worth_expanding), TABLE, BOARD) + 0.1 * unpacked
    assert modelled_energy(graph, BOARD)[0].value == pytest.approx(expected / 1e6)


def test_weights_that_exceed_the_flash_are_decoded_before_they_are_used() -> None:
    graph = integers_of(peaked())
    small = BOARD.model_copy(update={"flash_bytes": 512})
    executed = CEmitter().scheduled(graph, small).graph
    assert any(node.op == "q.decode" for node in executed.nodes)
    expected = energy_pj(work_of(executed, worth_expanding), TABLE, small)
    assert modelled_energy(graph, small)[0].value == pytest.approx(expected / 1e6)


def test_what_an_island_takes_is_not_guessed() -> None:
    graph = small_cnn()
    last = graph.nodes[-1]
    hidden = replace(graph, nodes=(*graph.nodes[:-1], replace(last, op="island")))
    assert modelled_energy(hidden, HOST) == []


def test_the_table_names_its_source() -> None:
    assert "Horowitz 2014" in TABLE.source
