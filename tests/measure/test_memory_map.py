"""Where memory goes: every figure against the program that is emitted."""

from __future__ import annotations

import pytest

from smidgen.emit.c import CEmitter
from smidgen.emit.c_source import constant_bytes
from smidgen.measure.feasibility import as_int8
from smidgen.measure.memory_map import memory_map
from smidgen.targets import load_target
from tests.integer_networks import NETWORKS, integer_network, integers_of
from tests.networks import small_cnn, small_gru

M4 = load_target("cortex-m4")


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_add_up_to_constants_and_arguments(name: str) -> None:
    graph = integer_network(name)
    program, found = CEmitter().scheduled(graph, M4).program, memory_map(graph, M4)
    arguments = sum(4 * len(call.args) for call in program.calls)
    assert sum(layer.nbytes for layer in found.layers) == constant_bytes(program) + arguments
    assert found.model_bytes == constant_bytes(program) + arguments


def test_ram_is_arena_ports_and_stack() -> None:
    graph = integer_network("int4")
    program, found = CEmitter().scheduled(graph, M4).program, memory_map(graph, M4)
    assert found.ram_bytes == program.arena_bytes + (64 + 10 + 2) + M4.stack_bytes  # ports in words


def test_the_moments_reach_the_peak_at_its_node() -> None:
    found = memory_map(integer_network("int4"), M4)
    highest = max(found.moments, key=lambda moment: moment.live_bytes)
    assert (highest.node, highest.live_bytes) == (found.peak_node, found.live_peak_bytes)
    assert sum(live.nbytes for live in found.peak) == found.live_peak_bytes


def test_a_tensor_at_the_peak_names_who_makes_and_who_reads_it() -> None:
    found = memory_map(integer_network("int4"), M4)
    assert [(live.value, live.made_by, live.last_read_by) for live in found.peak] == [
        ("relu1", "conv1", "max_pool1"),
        ("max_pool1", "max_pool1", "conv2"),
    ]


def test_the_expansion_of_a_weight_belongs_to_its_layer() -> None:
    computer = M4.model_copy(update={"kind": "computer"})
    found = memory_map(integer_network("int4"), computer)
    assert found.peak[0].value == "conv2.decode"
    names = [layer.node for layer in found.layers]
    assert "conv2" in names
    assert not [name for name in names if name.endswith("decode")]


def test_the_working_memory_of_a_recurrence_is_named() -> None:
    found = memory_map(integers_of(small_gru()), M4)
    assert [live.value for live in found.peak if "working memory" in live.value]


def test_made_up_ranges_give_the_bytes_of_calibrated_ones() -> None:
    assert memory_map(as_int8(small_cnn()), M4).layers == memory_map(integers_of(small_cnn()), M4).layers
    four = memory_map(integer_network("int4"), M4)
    assert memory_map(as_int8(small_cnn(), 4), M4).layers == four.layers
