"""What a device makes of a network, and what a search remembers of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CEmitter
from smidgen.errors import BadInput, Mismatch
from smidgen.graph import Graph
from smidgen.measure.call_costs import CallCosts
from smidgen.measure.device import measure_device
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.targets import load_target
from tests.integer_networks import integer_network, integers_of, random_integers
from tests.networks import large_maps, small_cnn
from tests.targets.test_cross import emulated, need

M4 = load_target("cortex-m4")


@pytest.fixture(autouse=True)
def tools() -> None:
    need("ziglang", "elftools", "unicorn")


def test_the_report_has_every_figure_and_how_it_was_obtained() -> None:
    graph = integer_network("int8")
    told: list[tuple[int, int]] = []
    found = measure_device(graph, M4, (random_integers(graph, 4),), lambda done, of: told.append((done, of)))
    how = {m.name: m.how for m in found.measurements}
    assert how == {
        **dict.fromkeys(("flash_bytes", "ram_bytes", "code_bytes", "model_bytes"), "measured"),
        **dict.fromkeys(("stack_used_bytes", "arena_used_bytes", "instructions"), "emulated"),
        "latency_ms": "modelled",
    }
    assert found.exact
    assert found.inputs == len(found.counts) == 4
    assert told == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert sum(found.layers.values()) <= found.value("instructions")
    assert json.loads(json.dumps(found.to_dict()))["exact"] is True


def test_differing_outputs_are_an_error_that_names_the_first() -> None:
    graph = integer_network("int8")
    found = measure_device(graph, M4, (random_integers(graph, 2),))
    found.require_exact()
    with pytest.raises(Mismatch, match=r"emulated cortex-m4: 1 of 2 inputs differ, input 1 first"):
        replace(found, differing=1, first_differing=1).require_exact()


def test_what_is_measured_is_what_export_writes_for_the_part() -> None:
    graph = integers_of(large_maps())
    small = M4.model_copy(update={"ram_bytes": 14_000})
    whole, cut = (measure_device(graph, part, (random_integers(graph, 2),)) for part in (M4, small))
    assert cut.exact
    assert cut.value("ram_bytes") <= 14_000 < whole.value("ram_bytes")
    assert cut.value("arena_used_bytes") == CEmitter().scheduled(graph, small).program.arena_bytes


def test_what_does_not_fit_is_measured_on_a_larger_part() -> None:
    graph = integer_network("int8")
    tiny = M4.model_copy(update={"ram_bytes": 1_100, "flash_bytes": 1_000})
    sizes = [
        measure_device(graph, part, (random_integers(graph, 1),)).value("ram_bytes") for part in (M4, tiny)
    ]
    assert sizes[0] == sizes[1] > 1_100


def test_a_core_without_an_emulator_is_named() -> None:
    graph = integer_network("int8")
    unknown = M4.model_copy(update={"cpu": "cortex_m85"})
    with pytest.raises(BadInput, match="no emulator for cortex_m85"):
        measure_device(graph, unknown, (random_integers(graph, 1),))


def instructions(costs: CallCosts, graph: Graph, folder: Path) -> int:
    CEmitter().emit(graph, M4, folder)
    sample = (np.zeros((1, *graph.values[graph.inputs[0]].shape), np.int8),)
    return costs.instructions(CEmitter().scheduled(graph, M4).program, folder, M4, sample)


@pytest.mark.parametrize("bits", [8, 4])  # 4: multiplied as they are stored
def test_a_network_of_the_same_calls_is_not_emulated_again(bits: int, tmp_path: Path) -> None:
    costs, stored = CallCosts(), AffineQuantization(bits=bits)
    first, other = (integers_of(small_cnn(seed=seed), stored) for seed in (2, 3))
    instructions(costs, first, tmp_path / "a")
    known = instructions(costs, other, tmp_path / "b")
    assert costs.emulated == 1
    (tmp_path / "true").mkdir()
    true = emulated(other, random_integers(other, 1), tmp_path / "true").total_instructions
    assert abs(known - true) < 50


def test_other_shapes_are_emulated(tmp_path: Path) -> None:
    costs = CallCosts()
    instructions(costs, integers_of(small_cnn()), tmp_path / "a")
    instructions(costs, integers_of(small_cnn(classes=4)), tmp_path / "b")
    assert costs.emulated == 2


def test_what_depends_on_stored_values_is_emulated_each_time(tmp_path: Path) -> None:
    costs = CallCosts()
    for name in "ab":
        instructions(costs, integer_network("very sparse"), tmp_path / name)
    assert costs.emulated == 2
