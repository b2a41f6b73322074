"""ONNX files: the graph computes what onnxruntime does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smidgen.graph import Graph
from smidgen.load import load
from smidgen.run.float_ops import run_float
from smidgen.run.islands import islands
from tests.load.onnx_models import constant, floats, integers, model, op, write

N = 3


def loaded(made: Any, folder: Path, *shape: int) -> Graph:
    """The model's graph, which must agree with onnxruntime on a random batch."""
    graph = load(write(made, folder / "model.onnx"))
    x = 2 * floats(N, *shape, seed=1)
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(run_float(graph, x), session.run(None, {"x": x})[0], atol=1e-4, rtol=1e-4)
    return graph


def batch_norm(channels: int) -> dict[str, np.ndarray]:
    names = {name: floats(channels, seed=i) for i, name in enumerate(("gamma", "beta", "mean"))}
    return {**names, "var": 1 + floats(channels) ** 2}


Case = tuple[Any, tuple[int, ...]]


def case(nodes: Any, shape: tuple[int, ...], opset: int = 17, **weights: np.ndarray) -> Case:
    made = nodes if isinstance(nodes, list) else [nodes]
    return model(made, weights, ("n", *shape), opset), shape


IMAGE = (3, 6, 5)
CAPTURED: dict[str, Case] = {
    "gemm": case(op("Gemm", "x w b", alpha=0.5, beta=2.0), (4,), w=floats(4, 5), b=floats(5)),
    "gemm transposed": case(op("Gemm", "x w", transB=1), (4,), w=floats(5, 4)),
    "gemm with one bias": case(op("Gemm", "x w b", transB=1), (4,), w=floats(5, 4), b=floats(1)),
    "matmul and bias": case(
        [op("MatMul", "x w", "h"), op("Add", "b h")], (6, 4), w=floats(4, 5), b=floats(5)
    ),
    "constant nodes": case([constant("w", floats(4, 5)), op("MatMul", "x w")], (4,)),
    "conv same upper": case(
        op("Conv", "x w", auto_pad="SAME_UPPER", strides=[2, 2]), IMAGE, w=floats(4, 3, 2, 3)
    ),
    "conv same lower": case(op("Conv", "x w", auto_pad="SAME_LOWER"), IMAGE, w=floats(4, 3, 2, 2)),
    "conv valid": case(op("Conv", "x w", auto_pad="VALID"), IMAGE, w=floats(4, 3, 2, 2)),
    "pad and conv": case(
        [op("Pad", "x p", "h"), op("Conv", "h w b")],
        IMAGE,
        p=integers(0, 0, 0, 1, 0, 0, 2, 1),
        w=floats(4, 3, 2, 2),
        b=floats(4),
    ),
    "batch norm": case(
        op("BatchNormalization", "x gamma beta mean var", epsilon=0.01), IMAGE, **batch_norm(3)
    ),
    "max pool": case(op("MaxPool", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1), IMAGE),
    "avg pool": case(op("AveragePool", kernel_shape=[2, 3], pads=[1, 1, 0, 1]), IMAGE),
    "avg pool counting": case(
        op("AveragePool", kernel_shape=[2, 2], pads=[1, 1, 1, 1], count_include_pad=1), IMAGE
    ),
    "global avg pool": case([op("GlobalAveragePool", output="h"), op("Flatten", "h")], IMAGE),
    "global max pool": case(op("GlobalMaxPool"), IMAGE),
    "mean over attribute": case(op("ReduceMean", axes=[2, 3], keepdims=0), IMAGE),
    "mean over input": case(op("ReduceMean", "x a"), IMAGE, 18, a=integers(-1)),
    "sum": case(op("ReduceSum", "x a", keepdims=0), IMAGE, a=integers(2)),
    "relu": case(op("Relu"), (4,)),
    "sigmoid": case(op("Sigmoid"), (4,)),
    "tanh": case(op("Tanh"), (4,)),
    "hard swish": case(op("HardSwish"), (4,)),
    "hard sigmoid of torch": case(op("HardSigmoid", alpha=1 / 6), (4,)),
    "hard sigmoid by default": case(op("HardSigmoid"), (4,)),
    "leaky relu": case(op("LeakyRelu", alpha=0.2), (4,)),
    "prelu": case(op("PRelu", "x w"), IMAGE, w=floats(3, 1, 1)),
    "relu6": case(op("Clip", "x lo hi"), (4,), lo=np.float32(0), hi=np.float32(6)),
    "clip from below": case(op("Clip", "x lo"), (4,), lo=np.float32(-1)),
    "clip from above": case(op("Clip", "x - hi"), (4,), hi=np.float32(1)),
    "softmax": case(op("Softmax", axis=1), IMAGE),
    "old softmax": case(op("Softmax"), (4,), 11),
    "sum of several": case([op("Relu", output="h"), op("Sum", "x h x")], (4,)),
    "subtract": case(op("Sub", "w x"), IMAGE, w=floats(5)),
    "multiply per channel": case(op("Mul", "x w"), IMAGE, w=floats(1, 3, 1, 1)),
    "multiply elements": case(op("Mul", "x w"), IMAGE, w=floats(*IMAGE)),
    "multiply values": case([op("GlobalAveragePool", output="h"), op("Mul", "x h")], IMAGE),
    "divide": case(op("Div", "x w"), (4,), w=np.float32(4)),
    "split": case(
        [helper.make_node("Split", ["x"], ["a", "b"], axis=1, num_outputs=2), op("Mul", "a b")], (4, 3), 18
    ),
    "slice": case(
        op("Slice", "x s e a t"),
        IMAGE,
        s=integers(-2, 0),
        e=integers(9, 5),
        a=integers(1, 3),
        t=integers(1, 2),
    ),
    "gather a position": case(op("Gather", "x i", axis=-1), IMAGE, i=np.int64(-2)),
    "gather a stretch": case(op("Gather", "x i", axis=2), IMAGE, i=integers(1, 2, 3)),
    "subtract values": case([op("Relu", output="h"), op("Sub", "h x")], (4,)),
    "negate": case(op("Neg"), (4,)),
    "square": case(op("Pow", "x w"), (4,), w=np.float32(2)),
    "concat": case(op("Concat", "x x", axis=-2), IMAGE),
    "transpose": case(op("Transpose", perm=[0, 2, 3, 1]), IMAGE),
    "pad": case(op("Pad", "x p v"), (2, 3), p=integers(0, 1, 0, 0, 0, 2), v=np.float32(1.5)),
    "pad some axes": case(op("Pad", "x p - a"), (2, 3), 18, p=integers(1, 2), a=integers(-1)),
    "reshape": case(op("Reshape", "x s"), IMAGE, s=integers(0, -1, 2)),
    "squeeze": case(op("Squeeze", "x a"), (4, 1), a=integers(2)),
    "unsqueeze": case(op("Unsqueeze", "x a"), (4,), a=integers(1, -1)),
    "old squeeze": case([op("Unsqueeze", output="h", axes=[1]), op("Squeeze", "h", axes=[1])], (4,), 11),
    "cast": case(
        [op("Cast", output="h", to=TensorProto.DOUBLE), op("Cast", "h", to=TensorProto.FLOAT)], (4,)
    ),
    "identity and dropout": case(
        [op("Identity", output="h"), op("Dropout", "h", "i"), op("Relu", "i")], (4,)
    ),
    "shape arithmetic": case(
        [
            *(op("Shape", output="s"), op("Gather", "s zero", "b"), op("Unsqueeze", "b zeros", "b1")),
            *(op("Concat", "b1 minus", "t", axis=0), op("Reshape", "x t")),
        ],
        IMAGE,
        zero=np.int64(0),
        zeros=integers(0),
        minus=integers(-1),
    ),
    "expand where broadcasting follows": case(
        [
            op("GlobalAveragePool", output="h"),
            op("Shape", output="s"),
            op("Expand", "h s", "e"),
            op("Mul", "x e"),
        ],
        IMAGE,
    ),
}


@pytest.mark.parametrize("name", CAPTURED)
def test_operators_are_captured(name: str, tmp_path: Path) -> None:
    made, shape = CAPTURED[name]
    assert not islands(loaded(made, tmp_path, *shape))


ISLANDS: dict[str, Case] = {
    "running sum": case(op("CumSum", "x axis"), (4,), axis=np.int64(1)),
    "top k": case([helper.make_node("TopK", ["x", "k"], ["y", "i"], axis=1)], (4, 3), k=integers(2)),
    "lookup": case([op("Cast", output="i", to=TensorProto.INT64), op("Gather", "w i")], (4,), w=floats(9, 3)),
    "the batch moved and moved back": case(
        [
            op("Transpose", output="t", perm=[1, 0, 2]),
            op("Hardmax", "t", "e", axis=2),
            op("Transpose", "e", perm=[1, 0, 2]),
        ],
        (3, 4),
    ),
    "the batch size in a shape": case(
        [op("Shape", output="s"), op("ConstantOfShape", "s", "z"), op("Max", "x z")], (3, 4)
    ),
}


@pytest.mark.parametrize("name", ISLANDS)
def test_what_the_graph_lacks_becomes_a_listed_island(name: str, tmp_path: Path) -> None:
    made, shape = ISLANDS[name]
    x = np.abs(floats(N, *shape))
    graph = load(write(made, tmp_path / "model.onnx"))
    session = onnxruntime.InferenceSession(made.SerializeToString(), providers=["CPUExecutionProvider"])
    np.testing.assert_allclose(run_float(graph, x), session.run(None, {"x": x})[0], atol=1e-5)
    assert islands(graph)
    assert all(island.reason and island.remedy for island in islands(graph))


folder_is_reused = settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
two = st.tuples(st.integers(0, 2), st.integers(0, 2))


@folder_is_reused
@given(
    kernel=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    stride=two.map(lambda p: [p[0] + 1, p[1] + 1]),
    before=two,
    after=two,
    dilation=st.tuples(st.integers(1, 2), st.integers(1, 2)),
    groups=st.sampled_from([1, 2, 4]),
)
def test_any_convolution(kernel, stride, before, after, dilation, groups, tmp_path) -> None:  # type: ignore[no-untyped-def]
    attrs = {"strides": stride, "pads": [*before, *after], "dilations": list(dilation), "group": groups}
    made, shape = case(
        op("Conv", "x w b", **attrs), (4, 7, 6), w=floats(8, 4 // groups, *kernel), b=floats(8)
    )
    graph = loaded(made, tmp_path, *shape)
    assert [node.op for node in graph.nodes] == ["transpose", "conv", "transpose"]


@folder_is_reused
@given(
    kind=st.sampled_from(["MaxPool", "AveragePool"]),
    size=st.integers(4, 9),
    kernel=st.integers(2, 4),
    stride=st.integers(1, 3),
    before=st.integers(0, 1),
    after=st.integers(0, 1),
)
def test_any_pool(kind, size, kernel, stride, before, after, tmp_path) -> None:  # type: ignore[no-untyped-def]
    made, shape = case(op(kind, kernel_shape=[kernel], strides=[stride], pads=[before, after]), (2, size))
    graph = loaded(made, tmp_path, *shape)
    assert not islands(graph)


@pytest.mark.parametrize("opset", range(11, 24))
def test_operator_sets_from_11_on(opset: int, tmp_path: Path) -> None:
    nodes = [op("Conv", "x w b", "c"), op("Relu", "c", "r"), op("MaxPool", "r", "p", kernel_shape=[2, 2])]
    nodes += [op("Flatten", "p", "f"), op("Gemm", "f v", "g", transB=1), op("Softmax", "g", axis=1)]
    made = model(nodes, {"w": floats(4, 3, 3, 3), "b": floats(4), "v": floats(5, 24)}, ("n", 3, 6, 5), opset)
    assert not islands(loaded(made, tmp_path, 3, 6, 5))


def test_padding_and_bias_are_merged_into_their_layer(tmp_path: Path) -> None:
    made, shape = CAPTURED["pad and conv"]
    assert [n.op for n in loaded(made, tmp_path, *shape).nodes] == ["transpose", "conv", "transpose"]
    made, shape = CAPTURED["matmul and bias"]
    assert [n.op for n in loaded(made, tmp_path, *shape).nodes] == ["linear"]


def test_names_are_the_users(tmp_path: Path) -> None:
    made = model([op("Gemm", "x fc.weight fc.bias")], {"fc.weight": floats(4, 5), "fc.bias": floats(5)})
    graph = loaded(made, tmp_path, 4)
    assert (graph.inputs, graph.outputs) == (("x",), ("y",))
    assert graph.node("fc").params == {"weight": "fc.weight", "bias": "fc.bias"}


def test_a_weight_used_twice_is_stored_once(tmp_path: Path) -> None:
    made = model([op("MatMul", "x w", "h"), op("MatMul", "h w")], {"w": floats(4, 4)})
    assert list(loaded(made, tmp_path, 4).weights) == ["w"]


def test_a_file_for_one_sample_loads_for_any_batch(tmp_path: Path) -> None:
    nodes = [op("Relu", output="h"), op("Reshape", "h s")]
    made = model(nodes, {"s": integers(1, 12)}, (1, 3, 4))
    graph = load(write(made, tmp_path / "model.onnx"))
    x = floats(N, 3, 4)
    np.testing.assert_array_equal(run_float(graph, x), np.maximum(x, 0).reshape(N, 12))


def test_an_example_fixes_open_sizes(tmp_path: Path) -> None:
    path = write(model([op("Relu")], None, ("n", "t", 4)), tmp_path / "model.onnx")
    graph = load(path, np.zeros((1, 7, 4), np.float32))
    assert graph.values["x"].shape == (7, 4)


def test_half_precision_weights_are_widened(tmp_path: Path) -> None:
    nodes = [op("Cast", "half", "w", to=TensorProto.FLOAT), op("MatMul", "x w")]
    graph = loaded(model(nodes, {"half": floats(4, 5).astype(np.float16)}), tmp_path, 4)
    assert graph.weights["w"].decode().dtype == np.float32


def test_external_weights_beside_the_model(tmp_path: Path) -> None:
    made = model([op("MatMul", "x w")], {"w": floats(4, 5)})
    expected = numpy_helper.to_array(made.graph.initializer[0]).T
    onnx.save(made, str(tmp_path / "m.onnx"), save_as_external_data=True, location="m.bin", size_threshold=0)
    graph = load(tmp_path / "m.onnx")
    np.testing.assert_array_equal(graph.weights["w"].decode(), expected)
