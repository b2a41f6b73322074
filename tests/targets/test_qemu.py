"""Cortex-M55, whose firmware runs with the vector unit switched on, in QEMU."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from smidgen.emit.c import CEmitter
from smidgen.graph import Graph
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware
from smidgen.targets.project import read_manifest
from tests.conftest import require
from tests.integer_networks import integer_network, random_integers
from tests.targets.qemu import run_in_qemu
from tests.targets.test_cross import need
from tests.targets.test_dsp import cases, samples_and_outputs, side_by_side, stored_cases


def on_m55(graph: Graph, x: Sequence[np.ndarray], folder: Path) -> tuple[np.ndarray, ...]:
    require(shutil.which("qemu-system-arm"), "qemu-system-arm")
    need("ziglang", "elftools")
    m55 = load_target("cortex-m55")
    project = CEmitter().emit(graph, m55, folder / "project").folder
    return run_in_qemu(build_firmware(project, m55, folder), read_manifest(project), x, folder)


@pytest.mark.parametrize("name", ["sink", "sparse codebook"])
def test_an_emulated_cortex_m55_computes_the_same_bytes(name: str, tmp_path: Path) -> None:
    graph = integer_network(name)
    x = random_integers(graph, 20)
    np.testing.assert_array_equal(on_m55(graph, (x,), tmp_path)[0], run_integer(graph, x))


@pytest.mark.parametrize("graphs", [cases(), stored_cases()[::2], stored_cases()[1::2]])
def test_odd_shapes_are_bit_exact_in_vectors(graphs: list[Graph], tmp_path: Path) -> None:
    graph = side_by_side(graphs)
    x, expected = samples_and_outputs(graph)
    for found, true in zip(on_m55(graph, x, tmp_path), expected, strict=True):
        np.testing.assert_array_equal(found, true)
