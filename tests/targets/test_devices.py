"""Devices other than Cortex-M, and what every device's counts must satisfy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CEmitter
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware
from smidgen.targets.elf import read_image
from smidgen.targets.emulator import emulate
from smidgen.targets.latency import instruction_costs
from smidgen.targets.project import read_manifest
from tests.integer_networks import integer_network, integers_of, random_integers
from tests.networks import small_gru
from tests.targets.test_cross import emulated, need


@pytest.mark.parametrize("target", ["rv32imc", "cortex-a53", "pi-zero", "cortex-m33"])
def test_another_instruction_set_computes_the_same_bytes(target: str, tmp_path: Path) -> None:
    graph = integer_network("sink")
    x = random_integers(graph, 3)
    assert np.array_equal(emulated(graph, x, tmp_path, target).outputs[0], run_integer(graph, x))


def test_two_runs_count_the_same_instructions(tmp_path: Path) -> None:
    graph = integer_network("int4")
    x = random_integers(graph, 3)
    first, second = (emulated(graph, x, tmp_path / name, "rv32imc") for name in ("a", "b"))
    assert first.counts == second.counts
    assert np.array_equal(first.calls, second.calls)


def test_calls_add_up_to_the_whole_but_for_a_few_instructions_around_them(tmp_path: Path) -> None:
    graph = integer_network("sink")
    ran = emulated(graph, random_integers(graph, 2), tmp_path)
    around = np.array(ran.counts) - ran.calls.sum(axis=1)
    assert ((around > 0) & (around < 50)).all()
    assert sum(ran.functions.values()) == sum(ran.counts)


def test_a_loop_s_calls_are_all_counted_for_their_layer(tmp_path: Path) -> None:
    need("ziglang", "elftools", "unicorn")
    graph, m4 = integers_of(small_gru()), load_target("cortex-m4")
    project = CEmitter().emit(graph, m4, tmp_path / "project").folder
    manifest = read_manifest(project)
    ran = emulate(build_firmware(project, m4, tmp_path), manifest, m4, random_integers(graph, 1))
    assert len(manifest.executed_layers) == ran.calls.shape[1] > len(manifest.steps)
    layers = ran.by_layer(manifest)
    assert tuple(layers) == manifest.layers
    assert sum(layers.values()) == ran.calls.sum()


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-a53", "rv32imc"])
def test_the_stack_begins_where_any_processor_accepts_it(target: str, tmp_path: Path) -> None:
    need("ziglang", "elftools")
    device = load_target(target)
    project = CEmitter().emit(integer_network("int8"), device, tmp_path / "project").folder
    assert read_image(build_firmware(project, device, tmp_path)).address("ld_stack_top") % 16 == 0


def test_firmware_calls_no_library_and_computes_no_real_numbers(tmp_path: Path) -> None:
    need("ziglang", "elftools")
    m0 = load_target("cortex-m0")  # without any unit for real numbers: every use would need a helper
    project = CEmitter().emit(integer_network("sink"), m0, tmp_path / "project").folder
    names = {symbol.name for symbol in read_image(build_firmware(project, m0, tmp_path)).symbols}
    helpers = {name for name in names if "aeabi" in name or "compiler_rt" in name}
    assert helpers
    assert not [
        name for name in helpers if "float" in name or "_f2" in name or "_d2" in name or "aeabi_f" in name
    ]
    assert not names & {"malloc", "calloc", "realloc", "free", "printf", "__aeabi_dadd", "__aeabi_dmul"}


def test_costs_follow_from_the_slowest_sample() -> None:
    device = load_target("cortex-m0")
    found = {m.name: m for m in instruction_costs((100, 300, 200), device)}
    cycles = 300 * device.cycles_per_instruction
    assert (found["instructions"].value, found["instructions"].how) == (300, "emulated")
    assert found["latency_ms"].value == pytest.approx(cycles / (device.clock_mhz * 1e3))
    assert found["core_energy_uj"].value == pytest.approx(cycles * device.cycle_pj / 1e6)
    assert {found["latency_ms"].how, found["core_energy_uj"].how} == {"modelled"}


def test_energy_is_not_derived_where_no_figure_is_known() -> None:
    assert "core_energy_uj" not in {m.name for m in instruction_costs((1,), load_target("cortex-m4"))}


def test_a_computer_holds_the_image_in_its_ram(tmp_path: Path) -> None:
    from smidgen.targets.cross import measure_cross

    need("ziglang", "elftools")
    device = load_target("cortex-a53")
    project = CEmitter().emit(integer_network("int8"), device, tmp_path / "project").folder
    found = {m.name: m.value for m in measure_cross(project, device)}
    assert found["ram_bytes"] > found["flash_bytes"] + device.stack_bytes
