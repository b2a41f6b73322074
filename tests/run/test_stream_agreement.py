"""The same stream gives the same integers everywhere: reference, native, a written file, C, exact ONNX."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.container import read_smg, write_smg
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.graph import Graph
from smidgen.numerics import Array
from smidgen.run.float_ops import run_float_all
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer_all
from smidgen.run.stream import run_stream
from smidgen.targets import load_target
from tests.conftest import require
from tests.streaming_networks import chunks, integers_of_stream, stacked_memory

HOST = load_target("generic-c")


@pytest.fixture(scope="module")
def lowered() -> Graph:
    return integers_of_stream(stacked_memory())


def stored(graph: Graph, count: int = 8) -> list[tuple[Array]]:
    grid = graph.values["x"].grid
    assert grid is not None
    return [(grid.quantize(x).astype(np.int8),) for (x,) in chunks(count)]


def assert_same(graph: Graph, run: object) -> None:
    expected = run_stream(graph, graph.states, stored(graph), partial(run_integer_all, graph))
    made = run_stream(graph, graph.states, stored(graph), run)  # type: ignore[arg-type]
    for (_, wanted), (_, found) in zip(expected, made, strict=True):
        assert all(
            np.array_equal(a, np.asarray(b).reshape(a.shape)) for a, b in zip(wanted, found, strict=True)
        )


def test_states_have_one_grid_of_16_bits_and_what_layers_read_has_8(lowered: Graph) -> None:
    given, made = lowered.values["memory"], lowered.values["new_memory"]
    assert (given.dtype, given.grid) == (made.dtype, made.grid)
    assert given.dtype == "int16"
    assert lowered.values["state0"].dtype == "int8"
    assert lowered.values["state1"].dtype == "int16"


def test_integers_stay_close_to_the_real_stream(lowered: Graph) -> None:
    graph, grid = stacked_memory(), lowered.values["y"].grid
    assert grid is not None
    real = run_stream(graph, graph.states, chunks(50), lambda x: run_float_all(graph, tuple(x)))
    made = run_stream(lowered, lowered.states, stored(lowered, 50), partial(run_integer_all, lowered))
    worst = [np.abs(grid.dequantize(q[0]) - y[0]).max() for (_, y), (_, q) in zip(real, made, strict=True)]
    assert max(worst) < 12 * grid.scale


def test_native_agrees(lowered: Graph) -> None:
    assert_same(lowered, native_plan(lowered).run)


def test_a_file_keeps_the_states_and_agrees(lowered: Graph, tmp_path: Path) -> None:
    write_smg(tmp_path / "m.smg", [lowered])
    read = read_smg(tmp_path / "m.smg").graph
    assert read.states == (("memory", "new_memory"),)
    assert_same(lowered, native_plan(read).run)


def test_emitted_c_agrees(lowered: Graph, tmp_path: Path) -> None:
    artifact = CEmitter().emit(lowered, HOST, tmp_path / "c")
    assert_same(lowered, artifact.runner.run)


def test_exact_onnx_agrees(lowered: Graph, tmp_path: Path) -> None:
    require(find_spec("onnxruntime"), "onnxruntime")
    artifact = OnnxEmitter().emit(lowered, HOST, tmp_path)

    def run(x: Sequence[Array]) -> Sequence[Array]:
        ports = artifact.session.get_inputs()
        return artifact.session.run(None, {port.name: a for port, a in zip(ports, x, strict=True)})

    assert_same(lowered, run)
