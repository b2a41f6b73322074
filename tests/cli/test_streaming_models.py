"""A streaming model file: states are shown, it is compressed over whole streams, and goes out by chunks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from smidgen.codec.container import read_smg
from tests.cli.conftest import Cli

CHUNKS, ROWS = 5, 120


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """y = W x + U memory, memory' = tanh(V x + memory / 2): names that tell no pair, but shapes do."""
    rng = np.random.default_rng(0)
    arrays = {"W": (3, 2), "U": (4, 2), "V": (3, 4), "half": None}
    weights = {
        name: np.float32(0.5) if shape is None else rng.normal(size=shape).astype(np.float32)
        for name, shape in arrays.items()
    }
    lines = ["MatMul x W a", "MatMul memory U b", "Add a b y", "MatMul x V c", "Mul memory half d"]
    lines += ["Add c d e", "Tanh e kept"]
    nodes = [helper.make_node(kind, names[:-1], names[-1:]) for kind, *names in map(str.split, lines)]
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", s]) for n, s in (("x", 3), ("memory", 4))
    ]
    outputs = [
        helper.make_tensor_value_info(n, TensorProto.FLOAT, ["n", s]) for n, s in (("y", 2), ("kept", 4))
    ]
    stored = [numpy_helper.from_array(np.asarray(array), name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "echo", inputs, outputs, stored)
    file = tmp_path_factory.mktemp("streams") / "echo.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), file)
    return file


def stream_data(model: Path) -> dict[str, np.ndarray]:
    """Streams [n, chunks, 3] with what the model itself makes of them, flat, as targets."""
    from smidgen.graph.sequence import over_sequence
    from smidgen.load import load
    from smidgen.run.float_ops import run_float

    x = np.random.default_rng(1).normal(size=(ROWS, CHUNKS, 3)).astype(np.float32)
    y = run_float(over_sequence(load(model), CHUNKS), x)
    return {"x": x, "y": y.reshape(ROWS, -1).astype(np.float32)}


def test_inspect_shows_the_states_and_what_is_captured(model: Path, cli: Cli) -> None:
    said = " ".join(cli("inspect", model).out.split())
    assert "state memory [4]: is given kept of the chunk before" in said
    assert "Captured: 100% of the nodes, 100% of the multiply-accumulates, 100% of the weight bytes" in said


def test_a_pair_that_can_not_be_is_refused(model: Path, cli: Cli) -> None:
    ran = cli("inspect", model, "--state", "memory=y")
    assert ran.code == 3
    assert "a state keeps its shape" in " ".join(ran.err.split())


def test_streams_are_compressed_and_exported_step_by_step(model: Path, cli: Cli, tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **stream_data(model))
    args = ("--trials", 1, "--seeds", 1, "--workers", 1, "--max-drop", 20, "--out", "o")
    ran = cli("compress", model, "--data", "d.npz", *args)
    assert ran.code == 0, ran.err
    chosen = tmp_path / "o/chosen/model.smg"
    ran = cli("export", "smg", chosen, "step", "--stream")
    assert ran.code == 0, ran.err
    step = read_smg(tmp_path / "step/model.smg").graph
    assert len(step.states) == len(step.inputs) - 1 == 1
    assert f"state: input {step.states[0][0]}" in " ".join(ran.out.split())


def test_samples_that_are_no_streams_are_refused(model: Path, cli: Cli, tmp_path: Path) -> None:
    found = stream_data(model)
    np.savez(tmp_path / "d.npz", x=found["x"][:, 0], y=found["y"])
    ran = cli("compress", model, "--data", "d.npz", "--trials", 1)
    assert ran.code == 3
    assert "Give streams [chunks, 3]" in " ".join(ran.err.split())
