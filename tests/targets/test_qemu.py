"""Cortex-M55 in QEMU, its vector unit switched on: the same bytes, and instructions counted by a plugin."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CEmitter
from smidgen.errors import BadInput, SmidgenError
from smidgen.graph import Graph
from smidgen.measure.device import measure_device
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cores import QEMU_MACHINES
from smidgen.targets.cross import build_firmware
from smidgen.targets.emulator import Emulated, emulate
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target
from tests.conftest import require
from tests.integer_networks import integer_network, random_integers
from tests.targets.test_cross import need
from tests.targets.test_dsp import cases, samples_and_outputs, side_by_side, stored_cases

M4, M55 = load_target("cortex-m4"), load_target("cortex-m55")


def in_qemu(graph: Graph, x: Sequence[np.ndarray], folder: Path, target: Target = M55) -> Emulated:
    require(shutil.which("qemu-system-arm"), "qemu-system-arm")
    need("ziglang", "elftools")
    project = CEmitter().emit(graph, target, folder / "project").folder
    return emulate(build_firmware(project, target, folder), read_manifest(project), target, x)


@pytest.mark.parametrize("name", ["sink", "sparse codebook"])
def test_an_emulated_cortex_m55_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    graph = integer_network(name)
    x = random_integers(graph, 20)
    np.testing.assert_array_equal(in_qemu(graph, (x,), tmp_path).outputs[0], run_integer(graph, x))


@pytest.mark.parametrize("graphs", [cases(), *(stored_cases()[part::6] for part in range(6))])
def test_odd_shapes_are_bit_exact_in_vectors(graphs: list[Graph], tmp_path: Path) -> None:
    graph = side_by_side(graphs)
    x, expected = samples_and_outputs(graph)
    for found, true in zip(in_qemu(graph, x, tmp_path).outputs, expected, strict=True):
        np.testing.assert_array_equal(found, true)


def test_counts_arena_and_stack_are_those_of_the_other_emulator(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need("unicorn")
    graph = integer_network("int4")
    x = (random_integers(graph, 3),)
    expected = in_qemu(graph, x, tmp_path / "unicorn", M4)
    monkeypatch.setitem(QEMU_MACHINES, "cortex_m4", "mps2-an386")
    found = in_qemu(graph, x, tmp_path / "qemu", M4)
    np.testing.assert_array_equal(found.calls, expected.calls)
    assert found.counts == expected.counts
    assert (found.stack_bytes, found.arena_bytes) == (expected.stack_bytes, expected.arena_bytes)
    run = [name for name in expected.functions if name != "smidgen_start"]
    assert {name: found.functions[name] for name in run} == {name: expected.functions[name] for name in run}


def test_instructions_of_a_cortex_m55_are_reported_as_emulated(tmp_path: Path) -> None:
    graph = integer_network("int8")
    in_qemu(graph, (random_integers(graph, 1),), tmp_path)
    found = measure_device(graph, M55, (random_integers(graph, 2),))
    found.require_exact()
    assert {m.name: m.how for m in found.measurements}["instructions"] == "emulated"
    assert found.value("instructions") == max(found.counts) > sum(found.layers.values()) > 0


def test_a_device_that_stops_is_an_error_with_the_emulators_own_words(tmp_path: Path) -> None:
    graph = integer_network("int8")
    nowhere = M55.model_copy(update={"flash_origin": 0xE000_0000})
    with pytest.raises(SmidgenError, match="emulator: qemu-system-arm ended"):
        in_qemu(graph, (random_integers(graph, 1),), tmp_path, nowhere)


def test_without_qemu_the_program_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("smidgen.targets.cores.shutil.which", lambda name: None)
    graph = integer_network("int8")
    with pytest.raises(BadInput, match="no qemu-system-arm is installed"):
        measure_device(graph, M55, (random_integers(graph, 1),))
