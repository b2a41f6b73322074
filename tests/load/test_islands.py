"""Islands: listed, self-contained, and harmless when their payload is not what it should be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgpack
import numpy as np
import pytest
import torch
from onnx import TensorProto, helper

from smidgen.errors import BadFile, MissingExtra
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.load.aten_island import encode_tensor
from smidgen.run import islands as runner
from smidgen.run.islands import islands, run_island


def aten(steps: list[Any], output: Any = None, shape: tuple[int, ...] = (3,), inputs: int = 1) -> Node:
    program = {
        "dtypes": ["float32"] * inputs,
        "steps": steps,
        "outputs": [output or {"step": len(steps) - 1}],
    }
    return island("aten", msgpack.packb(program), shape, inputs)


def island(kind: str, payload: bytes, shape: tuple[int, ...] = (3,), inputs: int = 1) -> Node:
    attrs = {"kind": kind, "source": "test", "payload": payload, "shapes": (shape,)}
    names = tuple(f"x{i}" for i in range(inputs))
    return Node("node", "island", names, ("y",), {}, {**attrs, "reason": "why", "remedy": "how"})


X = np.array([[-1.0, 0.0, 2.0], [3.0, -4.0, 5.0]], dtype=np.float32)


def test_a_graph_lists_its_islands() -> None:
    builder = GraphBuilder("g")
    builder.input("x0", (3,))
    builder.append(aten([["aten::exp.default", [{"in": 0}], {}]]))
    graph: Graph = builder.graph("y")
    assert islands(graph) == [("node", "test", "why", "how")]


def test_a_program_runs_its_steps() -> None:
    constant = encode_tensor(torch.tensor([1.0, 2.0, 3.0]))
    steps = [
        ["aten::mul.Tensor", [{"in": 0}, constant], {}],
        ["aten::sum.dim_IntList", [{"step": 0}, [1]], {"keepdim": True, "dtype": {"torch": "float64"}}],
        ["aten::add.Tensor", [{"step": 0}, {"step": 1}], {"alpha": 2}],
    ]
    weighted = X * [1, 2, 3]
    expected = weighted + 2 * weighted.sum(1, keepdims=True)
    np.testing.assert_allclose(run_island(aten(steps), [X])[0], expected, rtol=1e-6)


def test_the_batch_size_is_that_of_the_run() -> None:
    steps = [
        ["aten::ones.default", [[{"batch": 1}, 3]], {"device": {"device": "cpu"}}],
        ["aten::add.Tensor", [{"step": 0}, {"in": 0}], {}],
    ]
    np.testing.assert_array_equal(run_island(aten(steps), [X])[0], X + 1)


def test_an_item_of_a_tuple_is_taken() -> None:
    steps = [["aten::split.Tensor", [{"in": 0}, 1, 1], {}]]
    np.testing.assert_array_equal(run_island(aten(steps, {"item": [0, 2]}, (1,)), [X])[0], X[:, 2:])


@pytest.mark.parametrize("dtype", [torch.int64, torch.bool, torch.bfloat16, torch.float64])
def test_tensors_of_any_type_survive(dtype: torch.dtype) -> None:
    values = torch.tensor([0, 1, 2]).to(dtype)
    steps = [["aten::add.Tensor", [{"in": 0}, encode_tensor(values)], {}]]
    np.testing.assert_array_equal(run_island(aten(steps), [X])[0], X + values.float().numpy())


@pytest.mark.parametrize(
    "step",
    [
        ["aten::add_.Tensor", [{"in": 0}, 1], {}],
        ["aten::from_file.default", ["/etc/hostname"], {}],
        ["aten::no_such_operator.default", [{"in": 0}], {}],
        ["prim::Print.default", [{"in": 0}], {}],
        ["aten::exp.default", [{"torch": "load"}], {}],
        ["aten::exp.default", [{"secret": 1}], {}],
        ["aten::exp.default", [{"in": 7}], {}],
    ],
)
def test_programs_that_are_not_plain_computations_are_refused(step: list[Any]) -> None:
    with pytest.raises(BadFile, match="island node: test failed"):
        run_island(aten([step]), [X])


@pytest.mark.parametrize("kind", ["aten", "onnx"])
@pytest.mark.parametrize("payload", [b"", b"\xff\x00garbage", b"\x80"])
def test_a_corrupt_payload_is_refused(kind: str, payload: bytes) -> None:
    with pytest.raises(BadFile, match="island node"):
        run_island(island(kind, payload), [X])


def test_an_unknown_kind_is_refused() -> None:
    with pytest.raises(BadFile, match="unknown kind 'lua'"):
        run_island(island("lua", b""), [X])


def test_a_result_of_another_shape_is_refused() -> None:
    with pytest.raises(BadFile, match=r"\[\(3,\)\], but \[\(4,\)\] are declared"):
        run_island(aten([["aten::exp.default", [{"in": 0}], {}]], shape=(4,)), [X])


def test_an_onnx_payload_runs_with_its_own_input_types() -> None:
    graph = helper.make_graph(
        [helper.make_node("BitwiseNot", ["a"], ["b"])],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.INT32, ["n", 3])],
        [helper.make_tensor_value_info("b", TensorProto.INT32, ["n", 3])],
    )
    payload = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]).SerializeToString()
    np.testing.assert_array_equal(run_island(island("onnx", payload), [X])[0], ~X.astype(np.int32))


@pytest.mark.parametrize(("kind", "package"), [("aten", "torch"), ("onnx", "onnx")])
def test_a_missing_runtime_names_the_extra(kind: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    runner._onnx_evaluator.cache_clear()
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "smidgen.run.aten_program", raising=False)
    with pytest.raises(MissingExtra, match=rf"package {package} .*smidgen\[compress\]"):
        run_island(replace(island(kind, b"")), [X])
