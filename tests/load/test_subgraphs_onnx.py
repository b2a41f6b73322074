"""If and Loop: inlined where the condition is known, islands that hold what they read elsewhere."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from smidgen.errors import BadInput
from smidgen.load import load
from smidgen.run.float_ops import run_float
from smidgen.run.islands import islands
from tests.conftest import require
from tests.load.onnx_models import constant, floats, integers, model, op, write

W = floats(4, 4, seed=3)


def branch(name: str, *nodes: Any) -> Any:
    """A branch whose last node makes its only output."""
    out = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    return helper.make_graph(list(nodes), name, [], [out])


def choice(condition: str) -> Any:
    return helper.make_node(
        "If",
        [condition],
        ["y"],
        then_branch=branch("yes", op("MatMul", "h w", "yes_m"), op("Relu", "yes_m", "yes_y")),
        else_branch=branch("no", op("Neg", "h", "no_y")),
    )


def repeated() -> Any:
    ports = [
        helper.make_tensor_value_info("i", TensorProto.INT64, []),
        helper.make_tensor_value_info("go", TensorProto.BOOL, []),
        helper.make_tensor_value_info("s", TensorProto.FLOAT, None),
    ]
    outs = [helper.make_tensor_value_info(n, t, None) for n, t in (("on", 9), ("t", 1))]
    nodes = [op("Identity", "go", "on"), op("MatMul", "s w", "m"), op("Tanh", "m", "t")]
    body = helper.make_graph(nodes, "body", ports, outs)
    return helper.make_node("Loop", ["count", "", "h"], ["y"], body=body)


@pytest.mark.parametrize("known", ["constant", "shape"])
@pytest.mark.parametrize("taken", [True, False])
def test_a_known_condition_is_inlined(taken: bool, known: str, tmp_path: Path) -> None:
    sizes = [op("Shape", "x", "n", start=1), op("ReduceSum", "n axes", "total", keepdims=0)]
    conditions = {
        "constant": [constant("c", np.array(taken))],
        "shape": [*sizes, constant("four", np.int64(4 if taken else 5)), op("Equal", "total four", "c")],
    }
    nodes = [op("Mul", "x two", "h"), *conditions[known], choice("c")]
    made = model(nodes, {"w": W, "two": np.float32(2), "axes": integers(0)})
    graph, x = load(write(made, tmp_path / "m.onnx")), floats(6, 4)
    assert not islands(graph)
    assert np.allclose(run_float(graph, x), ReferenceEvaluator(made).run(None, {"x": x})[0], atol=1e-5)


@pytest.mark.parametrize("kind", ["If", "Loop"])
def test_what_the_data_decide_is_an_island_with_reason_and_remedy(kind: str, tmp_path: Path) -> None:
    condition = [op("ReduceMax", "x", "top", keepdims=0), op("Greater", "top one", "c"), choice("c")]
    tail = condition if kind == "If" else [constant("count", np.int64(3)), repeated()]
    require(find_spec("onnxruntime"), "onnxruntime")
    from onnxruntime import InferenceSession

    # A choice is one for all samples at once, so only a file for a single sample may make it.
    weights = {"w": W, "two": np.float32(2), "one": np.float32(1)}
    made = model([op("Mul", "x two", "h"), *tail], weights, shape=(1, 4))
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 4]))
    graph = load(write(made, tmp_path / "m.onnx"))
    (island,) = islands(graph)
    assert (island.source, bool(island.reason), bool(island.remedy)) == (kind, True, True)
    session = InferenceSession(made.SerializeToString())
    for x in (floats(6, 4), -np.abs(floats(5, 4))):
        expected = np.concatenate([session.run(None, {"x": one[None]})[0] for one in x])
        assert np.allclose(run_float(graph, x), expected, atol=1e-5)


@pytest.mark.parametrize("count", ["", "count"])
def test_a_loop_without_an_end_is_refused(count: str, tmp_path: Path) -> None:
    endless = repeated()
    endless.input[0], endless.input[1] = count, "" if count else "yes"
    nodes = [
        op("Mul", "x two", "h"),
        constant("count", np.int64(2**40)),
        constant("yes", np.array(True)),
        endless,
    ]
    made = model(nodes, {"w": W, "two": np.float32(2)})
    made.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 4]))
    with pytest.raises(BadInput, match=r"a Loop takes more than 5,000 turns"):
        load(write(made, tmp_path / "m.onnx"))
