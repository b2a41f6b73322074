"""The float flavour of ONNX against the NumPy interpreter, operator by operator and on whole networks."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from smidgen.emit.onnx_artifact import OnnxArtifact
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_real_ops import REAL_RULES
from smidgen.errors import Unsupported
from smidgen.formats import Affine, Dense, Integer, LowRank, Sparse
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.graph.activations import DOMAINS
from smidgen.graph.cells import GRU_GATES, LSTM_GATES, gru_cell, lstm_cell
from smidgen.graph.ops import ACTIVATIONS, OPS
from smidgen.lower.canonical import FOLDED
from smidgen.models import cnn1d, dscnn, lenet, mlp, mobilenet, resnet8
from smidgen.run.float_ops import run_float
from smidgen.targets import load_target
from tests.integer_networks import integer_network
from tests.networks import batch_norm, kitchen_sink, shift_norm

HOST, BOARD = load_target("generic-c"), load_target("cortex-m0")
FEW = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
RNG = np.random.default_rng(0)
MODELS = {
    "mlp": (mlp.build, (28, 28, 1)),
    "lenet": (lenet.build, (28, 28, 1)),
    "cnn1d": (cnn1d.build, (200, 6)),
    "resnet8": (resnet8.build, (32, 32, 3)),
    "mobilenet": (mobilenet.build, (32, 32, 3)),
    "dscnn": (dscnn.build, (49, 10, 1)),
}


def emitted(graph: Graph, folder: Path) -> OnnxArtifact:
    return OnnxArtifact(FloatOnnxEmitter().emit(graph, HOST, folder).path, threads=1)


def transposes(artifact: OnnxArtifact) -> int:
    return sum(node.op_type == "Transpose" for node in onnx.load(artifact.path).graph.node)


def assert_close(graph: Graph, folder: Path, n: int = 3) -> OnnxArtifact:
    """ONNX Runtime and NumPy agree to 1e-4 of the output's reach, or of 1 where that is smaller."""
    rng = np.random.default_rng(1)
    x = [(rng.normal(size=(n, *graph.values[i].shape)) * 3).astype(np.float32) for i in graph.inputs]
    artifact = emitted(graph, folder)
    expected = run_float(graph, x)
    atol = 1e-4 * max(1.0, float(np.abs(expected[np.isfinite(expected)]).max(initial=0.0)))
    np.testing.assert_allclose(artifact.run(x), expected, rtol=0, atol=atol)
    return artifact


# Operators. Each stands twice: alone, and behind a convolution, where values lie channels first.

Step = Callable[[GraphBuilder, str], str]


def recurrent(b: GraphBuilder, x: str, cell: str) -> str:
    """Both the sequence and the last state of a recurrence over the rows."""
    rows, gates = b.op("reshape", [x], shape=(5, 24)), GRU_GATES if "gru" in cell else LSTM_GATES
    shapes = {"input": (3, 24), "recurrent": (3, 3), "bias": (3,)}
    weights = {f"{gate}.{role}": RNG.normal(size=s) / 4 for gate in gates for role, s in shapes.items()}
    if "gru" in cell:
        weights["new.recurrent_bias"] = RNG.normal(size=3)
        body = gru_cell("cell", 24, 3, weights, "before" if "before" in cell else "after")
    else:
        body = lstm_cell("cell", 24, 3, weights)
    sequence, last, *_ = b.scan(rows, body, reverse="backwards" in cell)
    return b.op("add", [sequence, last])


MASK = np.tril(np.ones((6, 4), np.uint8), -1)  # nothing counts in its first row


def defined(b: GraphBuilder, x: str, op: str) -> str:
    """`x` where `op` has a value."""
    if op not in (*DOMAINS, "reciprocal", "tan"):
        return x
    inside = b.op("mul_constant", [b.op("sigmoid", [x])], {"constant": np.full(4, 0.5)})
    return b.op("add_constant", [inside], {"constant": np.full(4, 1.25 if op == "acosh" else 0.25)})


STEPS: dict[str, Step] = {
    "linear": lambda b, x: b.linear(x, RNG.normal(size=(3, 4)), RNG.normal(size=3)),
    "linear without bias": lambda b, x: b.linear(x, RNG.normal(size=(3, 4))),
    "linear on one axis": lambda b, x: b.linear(b.flatten(x), RNG.normal(size=(3, 120)), RNG.normal(size=3)),
    "conv": lambda b, x: b.conv(
        x, RNG.normal(size=(5, 2, 3, 4)), RNG.normal(size=5), padding=((1, 0), (2, 1))
    ),
    "conv, grouped, dilated": lambda b, x: b.conv(
        x, RNG.normal(size=(6, 2, 2, 2)), groups=2, dilation=(2, 1)
    ),
    "batch_norm": lambda b, x: batch_norm(b, x, RNG),
    "shift_norm": lambda b, x: shift_norm(b, x, RNG),
    "add_constant": lambda b, x: b.op("add_constant", [x], {"constant": RNG.normal(size=4)}),
    "mul_constant": lambda b, x: b.op("mul_constant", [x], {"constant": RNG.normal(size=4)}),
    **{op: lambda b, x, op=op: b.op(op, [defined(b, x, op)]) for op in ACTIVATIONS},  # type: ignore[misc]
    "softmax": lambda b, x: b.op("softmax", [x]),
    "softmax, masked": lambda b, x: b.op("softmax", [x], {"mask": Integer(MASK)}),
    "normalize": lambda b, x: b.op("normalize", [x], axes=(2,), epsilon=1e-5, centered=True),
    "normalize, not centred": lambda b, x: b.op("normalize", [x], axes=(0, 2), epsilon=1e-5, centered=False),
    "constant": lambda b, x: b.op(
        "add", [x, b.op("constant", [], {"value": np.linspace(-1, 2, 20).reshape(5, 1, 4)})]
    ),
    "reduce_max": lambda b, x: b.op("reduce_max", [x], axes=(0, 2), keepdims=True),
    "reduce_max, axes dropped": lambda b, x: b.op("reduce_max", [x], axes=(1,), keepdims=False),
    "max_pool": lambda b, x: b.pool("max", x, (3, 2), 2, ((1, 1), (0, 1))),
    "max_pool, wide padding": lambda b, x: b.pool("max", x, 2, 1, 2),
    "avg_pool": lambda b, x: b.pool("avg", x, (3, 2), 2, ((1, 1), (0, 1))),
    "avg_pool, counted padding": lambda b, x: b.op(
        "avg_pool", [x], kernel=(2, 3), stride=(1, 2), padding=((1, 1), (0, 2)), count_padding=True
    ),
    **{
        f"mean over {axes}, keepdims={keep}": lambda b, x, axes=axes, keep=keep: b.op(  # type: ignore[misc]
            "mean", [x], axes=axes, keepdims=keep
        )
        for axes in ((0, 1), (1,), (2,), (0, 2), (0, 1, 2))
        for keep in (True, False)
    },
    "add": lambda b, x: b.op("add", [x, b.op("tanh", [x])]),
    "sub": lambda b, x: b.op("sub", [b.op("tanh", [x]), x]),
    "mul with broadcasting": lambda b, x: b.op("mul", [x, b.op("mean", [x], axes=(0, 1), keepdims=False)]),
    "concat of channels": lambda b, x: b.op("concat", [x, b.op("relu", [x])], axis=2),
    "concat of rows": lambda b, x: b.op("concat", [x, b.op("relu", [x]), x], axis=0),
    "reshape": lambda b, x: b.op("reshape", [x], shape=(5, -1)),
    "transpose": lambda b, x: b.op("transpose", [x], perm=(2, 0, 1)),
    "slice of rows": lambda b, x: b.op("slice", [x], axis=1, start=1, stop=6, step=2),
    "slice of channels": lambda b, x: b.op("slice", [x], axis=2, start=1, stop=3, step=1),
    "gather": lambda b, x: b.op("gather", [x], {"indices": Integer(np.array([3, 0, 0], np.int32))}, axis=2),
    "spread": lambda b, x: b.op("spread", [x], steps=(2, 3, 1)),
    "overwrite": lambda b, x: b.op("overwrite", [x], scale=0.5, bits=3, fraction=1, reach=2, tile=2),
    "matmul": lambda b, x: b.op("matmul", [x, b.op("transpose", [x], perm=(0, 2, 1))], scale=0.5),
    "embedding": lambda b, x: b.op("embedding", [b.op("relu6", [x])], {"weight": RNG.normal(size=(4, 3))}),
    **{
        f"scan of {cell}": lambda b, x, cell=cell: recurrent(b, x, cell)  # type: ignore[misc]
        for cell in ("gru", "gru, reset before", "lstm", "lstm, backwards")
    },
    "pad": lambda b, x: b.op("pad", [x], pads=((1, 0), (0, 2), (3, 1)), value=-1.5),
}


@pytest.mark.parametrize("behind_a_convolution", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_an_operator_computes_what_numpy_does(step: str, behind_a_convolution: bool, tmp_path: Path) -> None:
    b = GraphBuilder("one")
    x = b.input("x", (5, 6, 4))
    if behind_a_convolution:
        x = b.conv(x, RNG.normal(size=(4, 1, 1, 4)))
    assert_close(b.graph(STEPS[step](b, x)), tmp_path)


def test_every_real_operator_stands_in_the_test_above() -> None:
    real = {op for op in OPS if not op.startswith("q.")} - {
        "quantize",
        "dequantize",
        "island",
        "trees",
        "on_grid",
    }
    tried = {step.split(",")[0].split(" ")[0] for step in STEPS}
    assert tried == real
    assert real - {*FOLDED, "scan", "constant"} == set(REAL_RULES) - {"requantize"}


@FEW
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 2),
)
def test_windows_over_a_sequence(tmp_path, seed, groups, kernel, stride, pad, dilation):
    rng = np.random.default_rng(seed)
    b = GraphBuilder("sequence")
    h = b.input("x", (9, 2 * groups))
    weight, bias = rng.normal(size=(3 * groups, kernel, 2)), rng.normal(size=3 * groups)
    h = b.conv(h, weight, bias, stride=stride, padding=[pad], dilation=dilation, groups=groups)
    h = b.pool("max", b.op("relu", [h]), min(2, b.shape(h)[0]), 1)
    assert_close(b.graph(h), tmp_path)


# Whole networks


@pytest.mark.parametrize("model", MODELS)
def test_a_built_in_model_computes_what_numpy_does(model: str, tmp_path: Path) -> None:
    build, shape = MODELS[model]
    assert_close(build(shape, 10), tmp_path, n=2)


def test_channels_turn_only_where_a_value_enters_or_leaves_the_convolutions(tmp_path: Path) -> None:
    assert transposes(emitted(resnet8.build((32, 32, 3), 10), tmp_path)) == 1


def test_the_boundary_keeps_the_graphs_layout_and_names(tmp_path: Path) -> None:
    b = GraphBuilder("image to image")
    graph = b.graph(b.conv(b.input("image", (5, 7, 2)), RNG.normal(size=(3, 1, 1, 2)), name="out"))
    session = assert_close(graph, tmp_path).session
    assert [(p.name, p.shape) for p in session.get_inputs()] == [("image", ["n", 5, 7, 2])]
    assert [(p.name, p.shape) for p in session.get_outputs()] == [("out", ["n", 5, 7, 3])]


def test_compressed_weights_are_decoded(tmp_path: Path) -> None:
    weight = RNG.normal(size=(3, 8)).astype(np.float32)
    b = GraphBuilder("weight only")
    b.weight("dense", Affine.fit(weight, 3))
    b.weight("sparse", Sparse(np.abs(weight[:, :3]) > 0.5, Affine.fit(weight[:, :3], 4)))
    h = b.op("relu", [b.linear(b.input("x", (8,)), "dense")])
    assert_close(b.graph(b.linear(h, "sparse")), tmp_path)


def test_batch_norm_behind_compressed_weights_is_computed(tmp_path: Path) -> None:
    b = GraphBuilder("norm")
    b.weight("w", Affine.fit(RNG.normal(size=(4, 8)).astype(np.float32), 8))
    assert_close(b.graph(batch_norm(b, b.linear(b.input("x", (8,)), "w"), RNG)), tmp_path)


def test_several_inputs_are_taken_in_order(tmp_path: Path) -> None:
    b = GraphBuilder("two")
    a, c = b.input("a", (4,)), b.input("c", (3, 4))
    assert_close(b.graph(b.op("mul", [a, c])), tmp_path)


def test_a_network_whose_output_is_its_input_is_written(tmp_path: Path) -> None:
    b = GraphBuilder("identity")
    assert_close(b.graph(b.input("x", (4,))), tmp_path)


def test_files_pass_the_onnx_checker_and_name_their_flavour(tmp_path: Path) -> None:
    model = onnx.load(emitted(kitchen_sink(), tmp_path).path)
    onnx.checker.check_model(model, full_check=True)
    assert {p.key: p.value for p in model.metadata_props}["flavour"] == "float"


# Islands


def island(payload: bytes, kind: str = "onnx") -> Graph:
    """relu, then an island on [3], then tanh."""
    b = GraphBuilder("islands")
    x = b.op("relu", [b.input("x", (3,))])
    attrs = {
        "kind": kind,
        "source": "Erf",
        "payload": payload,
        "shapes": ((3,),),
        "reason": "r",
        "remedy": "f",
    }
    (y,) = b.append(Node("island1", "island", (x,), ("y",), {}, attrs))
    return b.graph(b.op("tanh", [y]))


def payload(opset: int = 17, kind: int = TensorProto.FLOAT) -> bytes:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    nodes = [helper.make_node("Add", ["x", "c"], ["t"]), helper.make_node("Abs", ["t"], ["y"])]
    ports = [helper.make_tensor_value_info(name, kind, ["n", 3]) for name in ("x", "y")]
    constant = numpy_helper.from_array(np.array([1, -2, 3], dtype), "c")
    graph = helper.make_graph(nodes, "g", ports[:1], ports[1:], [constant])
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return bytes(made.SerializeToString())


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.INT64, TensorProto.DOUBLE])
def test_an_island_from_onnx_is_embedded_with_its_own_types(kind: int, tmp_path: Path) -> None:
    graph = island(payload(kind=kind))
    assert_close(graph, tmp_path)
    onnx.checker.check_model(onnx.load(tmp_path / "model.onnx"), full_check=True)


def test_two_islands_with_the_same_inner_names_do_not_meet(tmp_path: Path) -> None:
    graph = island(payload())
    first = graph.node("island1")
    second = Node("island2", "island", ("y",), ("z",), {}, first.attrs)
    tail = graph.nodes[-1]
    grown = graph.with_values({"z": graph.values["y"]}).replace(
        tail.name, second, Node(tail.name, "tanh", ("z",), tail.outputs)
    )
    assert_close(grown, tmp_path)


def external() -> bytes:
    model = onnx.load_model_from_string(payload())
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="secret")
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("graph", "reason"),
    [
        (island(b"", "aten"), "Erf runs only in its source's runtime"),
        (island(payload(opset=18)), "Erf is written for ai.onnx 18, not 17"),
        (island(b"\xff\x00garbage"), "its payload is no self-contained ONNX model for its inputs"),
        (island(b""), "its payload is no self-contained ONNX model for its inputs"),
        (island(external()), "its payload is no self-contained ONNX model for its inputs"),
    ],
)
def test_islands_that_cannot_be_embedded_are_listed(graph: Graph, reason: str) -> None:
    assert [(p.node, p.reason) for p in FloatOnnxEmitter().check(graph, HOST)] == [("island1", reason)]


# Problems


def test_check_lists_every_problem_at_once() -> None:
    problems = FloatOnnxEmitter().check(integer_network("int4"), BOARD)
    assert len(problems) == len(integer_network("int4").nodes) + 1
    assert problems[-1].node == "cortex-m0"


def test_steps_that_wait_for_training_are_a_problem() -> None:
    from dataclasses import replace

    from smidgen.methods.prune.global_magnitude import GlobalMagnitude

    graph = replace(kitchen_sink(), pending=(GlobalMagnitude(),))
    assert [p.reason for p in FloatOnnxEmitter().check(graph, HOST)] == ["it still waits for training"]


def test_an_average_with_padding_as_wide_as_its_window_is_a_problem(tmp_path: Path) -> None:
    b = GraphBuilder("wide")
    graph = b.graph(b.pool("avg", b.input("x", (4, 2)), 2, 1, 2, name="pool"))
    with pytest.raises(Unsupported, match="pool: its padding is as wide as its window"):
        FloatOnnxEmitter().emit(graph, HOST, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_low_rank_layer_is_written_as_its_factors(tmp_path: Path) -> None:
    b = GraphBuilder("low rank")
    x = b.input("x", (6, 6, 4))

    def small(*shape: int) -> Dense:
        return Dense(RNG.normal(size=shape).astype(np.float32))

    h = b.conv(x, b.weight("k", LowRank(small(8, 1, 1, 2), small(2, 3, 3, 4))), padding=1)
    graph = b.graph(b.linear(b.flatten(h), b.weight("w", LowRank(small(10, 3), small(3, 288)))))
    artifact = assert_close(graph, tmp_path)
    sizes = [list(item.dims) for item in onnx.load(artifact.path).graph.initializer]
    assert [2, 4, 3, 3] in sizes
    assert all(math.prod(size) <= 3 * 288 for size in sizes)
