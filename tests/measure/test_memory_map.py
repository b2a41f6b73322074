"""Where memory goes: every figure against the program that is emitted."""

from __future__ import annotations

import pytest

from smidgen.emit.c_source import constant_bytes
from smidgen.lower.schedule import expand_weights, schedule
from smidgen.measure.feasibility import as_int8
from smidgen.measure.memory_map import memory_map
from tests.integer_networks import NETWORKS, integer_network, integers_of
from tests.networks import small_cnn, small_gru


@pytest.mark.parametrize("name", NETWORKS)
def test_layers_add_up_to_constants_and_arguments(name: str) -> None:
    graph = integer_network(name)
    program, found = schedule(expand_weights(graph)), memory_map(graph, 0)
    arguments = sum(4 * len(call.args) for call in program.calls)
    assert sum(layer.nbytes for layer in found.layers) == constant_bytes(program) + arguments
    assert found.model_bytes == constant_bytes(program) + arguments


def test_ram_is_arena_ports_and_stack() -> None:
    graph = integer_network("int4")
    program, found = schedule(expand_weights(graph)), memory_map(graph, 512)
    assert found.ram_bytes == program.arena_bytes + (64 + 10 + 2) + 512  # ports in words


def test_the_moments_reach_the_peak_at_its_node() -> None:
    found = memory_map(integer_network("int4"), 0)
    highest = max(found.moments, key=lambda moment: moment.live_bytes)
    assert (highest.node, highest.live_bytes) == (found.peak_node, found.live_peak_bytes)
    assert sum(live.nbytes for live in found.peak) == found.live_peak_bytes


def test_a_tensor_at_the_peak_names_who_makes_and_who_reads_it() -> None:
    found = memory_map(integer_network("int4"), 0)
    assert [(live.value, live.made_by, live.last_read_by) for live in found.peak] == [
        ("conv2.decode", "conv2.decode", "conv2"),
        ("max_pool1", "max_pool1", "conv2"),
        ("relu2", "conv2", "avg_pool1"),
    ]


def test_the_expansion_of_a_weight_belongs_to_its_layer() -> None:
    names = [layer.node for layer in memory_map(integer_network("int4"), 0).layers]
    assert "conv2" in names
    assert not [name for name in names if name.endswith("decode")]


def test_the_working_memory_of_a_recurrence_is_named() -> None:
    found = memory_map(integers_of(small_gru()), 0)
    assert [live.value for live in found.peak if "working memory" in live.value]


def test_made_up_ranges_give_the_bytes_of_calibrated_ones() -> None:
    assert memory_map(as_int8(small_cnn()), 0).layers == memory_map(integers_of(small_cnn()), 0).layers
    four = memory_map(integer_network("int4"), 0)
    assert memory_map(as_int8(small_cnn(), 4), 0).layers == four.layers
