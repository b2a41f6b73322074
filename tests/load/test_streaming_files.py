"""Files of streaming models for one sample: where the batch is, is settled by what reads a tensor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from smidgen.load import load
from smidgen.load.onnx_batch import aligned, settled
from smidgen.run.float_ops import run_float_all
from smidgen.run.islands import islands
from tests.load.onnx_models import op

BANDS, HIDDEN = 3, 4


def band_recurrence(opset: int = 11) -> onnx.ModelProto:
    """x [1, bands, I], cache [2, 1, bands, H]: a GRU across frames for every band, its state in cache[0]."""
    rng = np.random.default_rng(0)
    arrays = {
        "w": rng.normal(size=(1, 3 * HIDDEN, 2)).astype(np.float32),
        "r": rng.normal(size=(1, 3 * HIDDEN, HIDDEN)).astype(np.float32),
        "b": rng.normal(size=(1, 6 * HIDDEN)).astype(np.float32),
        "first": np.array(0, np.int64),
        "at": np.array([[0]], np.int64),
        "flat": np.array([BANDS, -1, 2], np.int64),
        "shape": np.array([1, 1, BANDS, HIDDEN], np.int64),
    }
    gru = helper.make_node(
        "GRU", ["steps", "w", "r", "b", "", "h"], ["all", "last"], hidden_size=HIDDEN, linear_before_reset=1
    )
    nodes = [
        op("Gather", "cache first", "h", axis=0),
        op("Reshape", "x flat", "rows"),
        op("Transpose", "rows", "steps", perm=[1, 0, 2]),
        gru,
        op("Squeeze", "all", "y", axes=[1]),
        op("Reshape", "last shape", "kept"),
        op("ScatterND", "cache at kept", "cache_out"),
    ]
    ports = {"x": (1, BANDS, 2), "cache": (2, 1, BANDS, HIDDEN)}
    inputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in ports.items()]
    outputs = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "cache_out")]
    weights = [numpy_helper.from_array(array, name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "bands", inputs, outputs, weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def test_sequences_side_by_side_with_their_cache_are_captured(tmp_path: Path) -> None:
    model, file = band_recurrence(), tmp_path / "m.onnx"
    onnx.save(model, file)
    graph = load(file, batch_axes=(0, 1))
    assert not islands(graph)
    assert graph.states == (("cache", "cache_out"),)
    rng = np.random.default_rng(1)
    x, cache = (rng.normal(size=s).astype(np.float32) for s in ((1, BANDS, 2), (2, 1, BANDS, HIDDEN)))
    y, kept = run_float_all(graph, (x, np.moveaxis(cache, 1, 0)))
    wanted = ReferenceEvaluator(model).run(None, {"x": x, "cache": cache})
    assert np.allclose(y.ravel(), wanted[0].ravel(), atol=1e-5)
    assert np.allclose(np.moveaxis(kept, 0, 1), wanted[1], atol=1e-5)


def test_the_batch_moves_across_axes_of_size_one_only() -> None:
    assert settled((1, 16), 0, 1) == 1
    assert settled((3, 16), 0, 1) == 0
    assert aligned([(1, 16), (1, 16)], [0, 1]) == [0, 0]
    assert aligned([(3, 16), (16,)], [0, 0]) == [0, 0]


def taken_apart() -> onnx.ModelProto:
    """A layer norm over the last two axes, written without the operator; the difference is computed twice."""
    arrays = {"eps": np.float32(1e-5)}
    nodes = [
        op("ReduceMean", "x", "mean", axes=[1, 2]),
        op("Sub", "x mean", "d1"),
        op("Sub", "x mean", "d2"),
        op("Mul", "d1 d1", "squares"),
        op("ReduceMean", "squares", "variance", axes=[1, 2]),
        op("Add", "variance eps", "safe"),
        op("Sqrt", "safe", "deviation"),
        op("Div", "d2 deviation", "y"),
    ]
    port = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 5, 6])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    weights = [numpy_helper.from_array(np.asarray(array), name) for name, array in arrays.items()]
    graph = helper.make_graph(nodes, "norm", [port], [out], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)], ir_version=8)


def test_a_normalization_in_pieces_becomes_one_node(tmp_path: Path) -> None:
    model, file = taken_apart(), tmp_path / "m.onnx"
    onnx.save(model, file)
    graph = load(file)
    assert [node.op for node in graph.nodes] == ["normalize"]
    x = np.random.default_rng(2).normal(size=(3, 5, 6)).astype(np.float32)
    (wanted,) = ReferenceEvaluator(model).run(None, {"x": x})
    assert np.allclose(run_float_all(graph, (x,))[0], wanted, atol=1e-5)
