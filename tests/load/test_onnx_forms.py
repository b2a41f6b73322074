"""Older and newer forms of ONNX: operator sets, where constants are, arithmetic of shapes, types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, version_converter
from onnx.reference import ReferenceEvaluator

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import run_float
from smidgen.run.islands import islands
from tests.load.onnx_models import constant, floats, integers, model, op, write

N = 3
VALUES: dict[str, Any] = {
    "value_float": 1.5,
    "value_floats": [0.5, 1.0, 2.0, 4.0],
    "value_int": 2,
    "value_ints": [1, 2, 3, 4],
    "value": numpy_helper.from_array(floats(4)),
}


def same(made: Any, folder: Path, *shape: int) -> Graph:
    """The graph of a model, which must agree with onnx's own reference."""
    x = floats(N, *shape, seed=1)
    with np.errstate(all="ignore"):
        expected = ReferenceEvaluator(made).run(None, {"x": x})[0]
        graph = load(write(made, folder / "model.onnx"))
        np.testing.assert_allclose(run_float(graph, x), expected, rtol=1e-4, atol=1e-6)
    return graph


@pytest.mark.parametrize("attribute", VALUES)
def test_every_kind_of_constant_node(attribute: str, tmp_path: Path) -> None:
    made = helper.make_node("Constant", [], ["c"], **{attribute: VALUES[attribute]})
    nodes = [made, op("Cast", "c", "r", to=TensorProto.FLOAT), op("Add", "x r")]
    assert islands(same(model(nodes), tmp_path, 4)) == []


def test_arithmetic_of_shapes_is_folded(tmp_path: Path) -> None:
    nodes = [
        op("Shape", "x", "s"),
        op("Gather", "s zero", "n", axis=0),
        op("Concat", "n rest", "target", axis=0),
        op("Reshape", "x target"),
    ]
    made = model(nodes, {"zero": integers(0), "rest": integers(-1)}, ("any name", 2, 3))
    assert [node.op for node in same(made, tmp_path, 2, 3).nodes] == ["reshape"]


def test_a_constant_of_a_shape_is_folded(tmp_path: Path) -> None:
    fill = helper.make_node(
        "ConstantOfShape", ["size"], ["c"], value=numpy_helper.from_array(np.float32([2]))
    )
    assert islands(same(model([fill, op("Mul", "x c")], {"size": integers(4)}), tmp_path, 4)) == []


@pytest.mark.parametrize("opset", range(11, onnx.defs.onnx_opset_version() + 1))
def test_a_model_of_operator_set_11_converted_to_each_newer_one(opset: int, tmp_path: Path) -> None:
    nodes = [
        op("Squeeze", "x", "a", axes=[1]),
        op("Split", "a", "b", axis=1, split=[4]),
        op("Unsqueeze", "b", "c", axes=[1]),
        op("ReduceSum", "c", "d", axes=[2], keepdims=1),
        op("Dropout", "d"),
    ]
    made = version_converter.convert_version(onnx.shape_inference.infer_shapes(_typed(nodes)), opset)
    assert islands(same(made, tmp_path, 1, 4)) == []


def _typed(nodes: list[Any]) -> Any:
    made = model(nodes, {}, ("n", 1, 4), 11)
    made.graph.output[0].type.tensor_type.shape.SetInParent()
    return made


def test_a_local_function_is_inlined(tmp_path: Path) -> None:
    twice = helper.make_function(
        "local",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    made = model([helper.make_node("Twice", ["x"], ["y"], domain="local")])
    made.functions.append(twice)
    made.opset_import.append(helper.make_opsetid("local", 1))
    assert [node.op for node in same(made, tmp_path, 4).nodes] == ["add"]


def test_half_precision_inside_a_model(tmp_path: Path) -> None:
    nodes = [
        op("Cast", "x", "h", to=TensorProto.FLOAT16),
        op("Add", "h c", "s"),
        op("Cast", "s", "y", to=TensorProto.FLOAT),
    ]
    graph = load(write(model(nodes, {"c": floats(4).astype(np.float16)}), tmp_path / "model.onnx"))
    x = floats(N, 4, seed=1)
    np.testing.assert_allclose(run_float(graph, x), x + floats(4), atol=5e-3)


def test_samples_of_one_number(tmp_path: Path) -> None:
    nodes = [op("Mul", "x c", "h"), op("Sigmoid", "h")]
    assert islands(same(model(nodes, {"c": np.float32(2)}, ("n",)), tmp_path)) == []


def test_weights_of_an_old_file_version_that_are_no_inputs(tmp_path: Path) -> None:
    made = model([op("Add", "x c")], {"c": floats(4)}, opset=11)
    made.ir_version = 3
    assert islands(same(made, tmp_path, 4)) == []


def test_a_file_for_one_sample_runs_its_islands_one_by_one(tmp_path: Path) -> None:
    made = model([op("Det", "x", "d"), op("Reshape", "d one", "y")], {"one": integers(1, 1)}, (1, 2, 2))
    graph = load(write(made, tmp_path / "model.onnx"))
    x = floats(N, 2, 2)
    np.testing.assert_allclose(run_float(graph, x), np.linalg.det(x)[:, None], rtol=1e-4)


REFUSED: dict[str, tuple[list[Any], str]] = {
    "random numbers": ([op("RandomNormalLike", "x", "r"), op("Add", "x r")], "random"),
    "an operation across samples": ([op("CumSum", "x axis")], "across the samples"),
    "a size that depends on numbers": (
        [op("NonZero", "x", "p"), op("Transpose", "p")],
        "size of its result|one entry a sample|none of its dim",
    ),
    "text": ([op("Cast", "x", to=TensorProto.STRING)], "text"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_no_island_can_hold_is_refused(name: str, tmp_path: Path) -> None:
    nodes, reason = REFUSED[name]
    used = {"axis": np.int64(0)} if name == "an operation across samples" else {}
    with pytest.raises(BadInput, match=reason):
        load(write(model(nodes, used), tmp_path / "model.onnx"))


@pytest.mark.parametrize(
    ("kind", "shape", "problem"),
    [
        (TensorProto.STRING, ["n", 4], "strings"),
        (TensorProto.COMPLEX64, ["n", 4], "complex64s"),
        (TensorProto.FLOAT, ["n", 0], "no elements"),
        (TensorProto.FLOAT, [], "no dimensions"),
    ],
)
def test_inputs_that_are_no_batches_of_numbers(
    kind: int, shape: list[Any], problem: str, tmp_path: Path
) -> None:
    made = model([op("Identity")])
    made.graph.input[0].CopyFrom(helper.make_tensor_value_info("x", kind, shape))
    with pytest.raises(BadInput, match=problem):
        load(write(made, tmp_path / "model.onnx"))


def test_a_sparse_weight_is_refused(tmp_path: Path) -> None:
    made = model([op("Add", "x c")])
    values = helper.make_tensor("c", TensorProto.FLOAT, [1], [3.0])
    places = helper.make_tensor("places", TensorProto.INT64, [1], [2])
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, places, [4]))
    with pytest.raises(BadInput, match=r"weight c: it is stored as a sparse tensor"):
        load(write(made, tmp_path / "model.onnx"))


def test_a_constant_node_of_an_unused_name(tmp_path: Path) -> None:
    assert islands(same(model([constant("unused", floats(4)), op("Relu")]), tmp_path, 4)) == []


def test_a_remainder_that_would_round_is_left_to_onnx(tmp_path: Path) -> None:
    graph = load(write(model([op("Mod", "x c", fmod=1)], {"c": np.float32(49)}), tmp_path / "model.onnx"))
    assert len(islands(graph)) == 1
    assert run_float(graph, np.full((1, 4), 49, np.float32)).tolist() == [[0, 0, 0, 0]]


def test_a_choice_may_keep_nan_out(tmp_path: Path) -> None:
    """A row that is masked wholly has no softmax; exporters guard against it."""
    mask, kept = np.zeros((2, 3), np.float32), np.ones((2, 1), bool)
    mask[1], kept[1] = -np.inf, False
    nodes = [op("Add", "x mask", "m"), op("Softmax", "m", "s"), op("Where", "kept s zero")]
    same(model(nodes, {"mask": mask, "kept": kept, "zero": np.float32(0)}, ("n", 2, 3)), tmp_path, 2, 3)
