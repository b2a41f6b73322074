"""The planned arena is the measured one, byte for byte, and one byte less is noticed."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from benchmarks.device_networks import CASES, integers
from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs
from smidgen.errors import SmidgenError
from smidgen.graph import Graph
from smidgen.measure.memory_map import memory_map
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware, measure_cross
from smidgen.targets.emulator import Emulated, emulate
from smidgen.targets.project import read_manifest
from smidgen.targets.target import Target
from tests.conftest import require
from tests.integer_networks import integer_network

ROOMY = {"flash_bytes": 1 << 26, "ram_bytes": 1 << 26}
M0 = load_target("cortex-m0").model_copy(update=ROOMY)
M4 = load_target("cortex-m4").model_copy(update=ROOMY)


def emit(graph: Graph, target: Target, folder: Path) -> Path:
    for package in ("ziglang", "elftools", "unicorn"):
        require(importlib.util.find_spec(package), package)
    return CEmitter().emit(graph, target, folder / "project").folder


def run(graph: Graph, project: Path, target: Target, folder: Path) -> Emulated:
    elf = build_firmware(project, target, folder)
    return emulate(elf, read_manifest(project), target, random_inputs(graph, 2))


@pytest.mark.parametrize("name", CASES)
def test_the_predicted_arena_is_the_one_that_is_used(name: str, tmp_path: Path) -> None:
    graph = integers(name)
    found = run(graph, emit(graph, M4, tmp_path), M4, tmp_path)
    assert found.arena_bytes == memory_map(graph, M4).arena_bytes
    assert found.stack_bytes <= M4.stack_bytes
    assert np.array_equal(found.outputs[0], run_integer(graph, random_inputs(graph, 2)))


@pytest.mark.parametrize("name", ["LeNet-5", "GRU", "autoencoder"])
def test_the_predicted_ram_is_what_the_linker_reserves(name: str, tmp_path: Path) -> None:
    graph = integers(name)
    (ram,) = (m.value for m in measure_cross(emit(graph, M0, tmp_path), M0) if m.name == "ram_bytes")
    assert ram == memory_map(graph, M0).ram_bytes


@pytest.mark.parametrize("target", [M0, M4], ids=["cortex-m0", "cortex-m4"])
def test_an_arena_that_is_one_byte_too_small_is_noticed(target: Target, tmp_path: Path) -> None:
    graph = integer_network("int4")
    project = emit(graph, target, tmp_path)
    header = project / "model.h"
    needed = memory_map(graph, target).arena_bytes
    header.write_text(re.sub(rf"ARENA_BYTES {needed}\b", f"ARENA_BYTES {needed - 1}", header.read_text()))
    with pytest.raises(SmidgenError, match=f"wrote 1 bytes beyond its arena of {needed - 1}"):
        run(graph, project, target, tmp_path)


def test_a_stack_that_is_too_small_is_noticed(tmp_path: Path) -> None:
    graph = integers("DS-CNN")  # the depthwise kernel keeps sums of several channels on the stack
    small = M4.model_copy(update={"stack_bytes": 256})
    with pytest.raises(SmidgenError, match="emulator: Invalid memory write"):
        run(graph, emit(graph, small, tmp_path), small, tmp_path)
