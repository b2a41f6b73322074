"""The QDQ flavour: valid files that runtimes fuse, each operator within a step of the exact integers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from smidgen.emit.onnx_artifact import OnnxArtifact
from smidgen.emit.onnx_qdq import QdqOnnxEmitter, known_function
from smidgen.formats import Grid, Integer
from smidgen.graph import Graph, GraphBuilder, Node, Value
from smidgen.graph.activations import ACTIVATION_FUNCTIONS
from smidgen.lower import lower
from smidgen.measure.agreement import mismatch_rate
from smidgen.models import cnn1d, lenet, mlp, resnet8
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.emit.test_onnx_float import STEPS, island, payload
from tests.integer_networks import NETWORKS, integer_network, integers_of, random_integers
from tests.networks import kitchen_sink, small_cnn

HOST, BOARD = load_target("generic-c"), load_target("cortex-m0")


def emitted(graph: Graph, folder: Path, float_boundary: bool = False) -> OnnxArtifact:
    path = QdqOnnxEmitter(float_boundary).emit(graph, HOST, folder).path
    return OnnxArtifact(path, threads=1)


def steps_apart(graph: Graph, folder: Path, n: int = 50) -> np.ndarray:
    x = random_integers(graph, n)
    return np.abs(emitted(graph, folder).run(x).astype(int) - run_integer(graph, x))


# Against the exact integers


@pytest.mark.parametrize("behind_a_convolution", [False, True])
@pytest.mark.parametrize("step", [step for step in STEPS if step != "overwrite"])  # QDQ can't say that
def test_an_operator_is_within_one_step_of_the_exact_integers(
    step: str, behind_a_convolution: bool, tmp_path: Path
) -> None:
    b = GraphBuilder("one")
    x = b.input("x", (5, 6, 4))
    if behind_a_convolution:
        x = b.conv(x, np.eye(4).reshape(4, 1, 1, 4))
    apart = steps_apart(integers_of(b.graph(STEPS[step](b, x))), tmp_path)
    # Behind the convolution an input may already be a step off, and softmax or a product makes more of it.
    # A recurrence reads its own roundings again at every step.
    assert apart.max() <= (3 if behind_a_convolution else 2 if "scan" in step else 1)
    assert (apart > 0).mean() < (0.4 if "scan" in step else 0.1)


@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("sink", "binary", "few bits", "packs")]
)
def test_weight_formats_become_int8(name: str, tmp_path: Path) -> None:
    graph = integer_network(name)
    assert steps_apart(graph, tmp_path).max() <= 1
    types = {t.name: t.data_type for t in onnx.load(tmp_path / "model.onnx").graph.initializer}
    assert types["conv2.weight"] == onnx.TensorProto.INT8


@pytest.mark.parametrize(
    ("build", "shape"),
    [
        (mlp.build, (28, 28, 1)),
        (lenet.build, (28, 28, 1)),
        (cnn1d.build, (200, 6)),
        (resnet8.build, (32, 32, 3)),
    ],
)
def test_a_built_in_model_stays_close(build: Any, shape: tuple[int, ...], tmp_path: Path) -> None:
    apart = steps_apart(integers_of(build(shape, 10)), tmp_path, 20)
    assert apart.max() <= 3
    assert (apart > 0).mean() < 0.2


def test_narrow_grids_saturate_where_the_integers_do(tmp_path: Path) -> None:
    grid = Grid(0.5, 1, bits=4)
    values = {"x": Value((200,), "int8", Grid(0.5, 0)), "y": Value((200,), "int8", grid)}
    weights = {
        "multiplier": Integer(np.full(1, 1 << 15, np.uint16)),
        "shift": Integer(np.full(1, 15, np.uint8)),
    }
    attrs = {"lo": grid.qmin, "hi": grid.qmax}
    node = Node("node", "q.requantize", ("x",), ("y",), {k: k for k in weights}, attrs)
    graph = Graph("narrow", (node,), values, weights, ("x",), ("y",))
    assert steps_apart(graph, tmp_path).max() == 0


def test_a_pool_with_wide_padding_starts_from_the_lowest_byte(tmp_path: Path) -> None:
    values = {"x": Value((3, 3, 2), "int8", Grid(0.5, 7)), "y": Value((6, 6, 2), "int8", Grid(0.5, 7))}
    attrs = {"kernel": (2, 2), "stride": (1, 1), "padding": ((2, 2), (2, 2))}
    graph = Graph(
        "pool", (Node("node", "q.max_pool", ("x",), ("y",), {}, attrs),), values, {}, ("x",), ("y",)
    )
    graph.check()
    assert steps_apart(graph, tmp_path).max() == 0


# Tables


@pytest.mark.parametrize("function", ["sigmoid", "tanh", "hardsigmoid", "hardswish"])
def test_a_table_of_a_known_function_is_recognized(function: str) -> None:
    x, y = Grid(0.04, 10), Grid(1 / 128, -20)
    points = (np.arange(-128, 128) - x.zero) * x.scale
    assert known_function(y.quantize(ACTIVATION_FUNCTIONS[function](points)), x, y) == function


def test_any_other_table_is_looked_up_exactly(tmp_path: Path) -> None:
    table = np.random.default_rng(0).integers(-128, 128, 256).astype(np.int8)
    grid = Grid(0.5, 0)
    values = {"x": Value((300,), "int8", grid), "y": Value((300,), "int8", grid)}
    node = Node("node", "q.table", ("x",), ("y",), {"table": "t"})
    graph = Graph("table", (node,), values, {"t": Integer(table)}, ("x",), ("y",))
    assert steps_apart(graph, tmp_path).max() == 0


# Float parts


def test_float_islands_stand_between_the_pairs(tmp_path: Path) -> None:
    b = GraphBuilder("mixed")
    h = b.conv(b.input("x", (6, 6, 2)), np.ones((3, 3, 3, 2)) / 9, padding=1)
    h = b.op("pad", [h], pads=((1, 0), (0, 0), (0, 0)), value=2.0)  # has no integer rule
    graph = integers_of(b.graph(b.op("relu", [h])))
    assert {node.op for node in graph.nodes} >= {"dequantize", "pad", "quantize"}
    assert steps_apart(graph, tmp_path).max() <= 1


def test_an_island_from_onnx_is_embedded(tmp_path: Path) -> None:
    assert steps_apart(integers_of(island(payload())), tmp_path).max() <= 1


# The file


def test_the_float_boundary_quantizes_as_the_grid_does(tmp_path: Path) -> None:
    graph = integer_network("int8")
    x = np.random.default_rng(2).normal(size=(20, 8, 8, 1)).astype(np.float32)
    into, out = graph.values[graph.inputs[0]].grid, graph.values[graph.outputs[0]].grid
    assert into is not None
    assert out is not None
    expected = out.dequantize(run_integer(graph, into.quantize(x).astype(np.int8)))
    made = emitted(graph, tmp_path, float_boundary=True).run(x)
    assert made.dtype == np.float32
    assert np.abs(made - expected).max() <= 1.01 * out.scale


def test_files_pass_the_onnx_checker_and_name_flavour_and_grids(tmp_path: Path) -> None:
    model = onnx.load(emitted(integer_network("sink"), tmp_path).path)
    onnx.checker.check_model(model, full_check=True)
    props = {p.key: p.value for p in model.metadata_props}
    assert props["flavour"] == "qdq"
    assert props["input0.zero"] == str(integer_network("sink").values["x"].grid.zero)  # type: ignore[union-attr]
    assert {opset.version for opset in model.opset_import} <= set(range(13, 22))


def test_onnx_runtime_fuses_every_layer_with_weights(tmp_path: Path) -> None:
    """Otherwise the pairs only slow it down, and a comparison of speed would be unfair."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimized.onnx")
    # Without the layouts of this very processor, which other tools can't read.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    path = emitted(integers_of(resnet8.build((32, 32, 3), 10)), tmp_path).path
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    kinds = [node.op_type for node in onnx.load(tmp_path / "optimized.onnx").graph.node]
    assert "Conv" not in kinds
    assert "Gemm" not in kinds
    assert kinds.count("QLinearConv") == 9


def test_check_lists_every_problem_at_once() -> None:
    values = {"x": Value((2, 2, 1), "int16", Grid(0.5, 0, 16)), "y": Value((5, 5, 1), "int8", Grid(0.5, 0))}
    attrs = {"kernel": (2, 2), "stride": (1, 1), "padding": ((2, 2), (2, 2)), "count_padding": True}
    nodes = (Node("pool", "q.avg_pool", ("x",), ("y",), {}, {**attrs, "lo": -128, "hi": 127}),)
    problems = QdqOnnxEmitter().check(Graph("wide", nodes, values, {}, ("x",), ("y",)), BOARD)
    assert [p.node for p in problems] == ["pool", "x", "cortex-m0"]


def test_a_float_network_is_sent_elsewhere() -> None:
    assert [p.remedy for p in QdqOnnxEmitter().check(small_cnn(), HOST)] == [
        "Quantize it, or export float ONNX"
    ]


# The mismatch rate


def test_the_mismatch_rate_is_the_share_of_differing_bytes(tmp_path: Path) -> None:
    graph = integer_network("sink")
    x = random_integers(graph, 50)
    assert mismatch_rate(graph, x) == (steps_apart(graph, tmp_path, 50) > 0).mean()


def test_a_tie_rounds_to_even_in_qdq_and_up_in_the_exact_integers() -> None:
    """Why the flavour can't be exact: -1.5, -0.5, 0.5, 1.5 become -2, 0, 0, 2 instead of -1, 0, 1, 2."""
    values = {"x": Value((4,), "int8", Grid(0.5, 0)), "y": Value((4,), "int8", Grid(1.0, 0))}
    weights = {
        "multiplier": Integer(np.full(1, 1 << 15, np.uint16)),
        "shift": Integer(np.full(1, 16, np.uint8)),
    }
    node = Node("half", "q.requantize", ("x",), ("y",), {k: k for k in weights}, {"lo": -128, "hi": 127})
    graph = Graph("ties", (node,), values, weights, ("x",), ("y",))
    assert mismatch_rate(graph, np.array([[-3, -1, 1, 3]], np.int8)) == 0.5


def test_lowered_networks_without_grids_are_float(tmp_path: Path) -> None:
    assert not lower(kitchen_sink()).is_integer
    assert QdqOnnxEmitter().check(lower(kitchen_sink()), HOST)
