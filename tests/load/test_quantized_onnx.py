"""Models that are quantized already keep their integers and grids, and compute what their runtime does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx.reference import ReferenceEvaluator

from smidgen.codec.container import read_smg, write_smg
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.formats import Affine, Grid, Imported
from smidgen.graph import Graph
from smidgen.load import load
from smidgen.load.stored import StoredGrid
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from tests.conftest import require
from tests.integer_networks import NETWORKS, integer_network, random_integers
from tests.load.onnx_models import floats, integers, model, op, write
from tests.networks import noise_like

CHANNEL_SCALES = np.array([0.013, 0.0071, 0.0299, 0.011], np.float32)  # none of them a bfloat16 value
WEIGHT = np.random.default_rng(5).integers(-127, 128, (4, 3, 3, 3)).astype(np.int8)
GRIDS = {"x": (0.031, 120, np.uint8), "h": (0.47, 3, np.uint8), "y": (0.0613, 101, np.uint8)}


def pair(name: str, source: str, out: str) -> list[Any]:
    """QuantizeLinear and DequantizeLinear on the grid `name`."""
    grid = f"{name}_s {name}_z"
    return [
        op("QuantizeLinear", f"{source} {grid}", f"{out}_q"),
        op("DequantizeLinear", f"{out}_q {grid}", out),
    ]


def grids(**declared: tuple[float, int, Any]) -> dict[str, np.ndarray]:
    made: dict[str, np.ndarray] = {}
    for name, (scale, zero, kind) in declared.items():
        made |= {f"{name}_s": np.float32(scale), f"{name}_z": np.array(zero, kind)}
    return made


def small(weight: np.ndarray = WEIGHT, scale: Any = CHANNEL_SCALES, zero: Any = None, **attrs: Any) -> Any:
    """conv, relu, mean, linear, everything on grids of its own; weights as integers."""
    zeros = np.zeros(np.shape(scale), weight.dtype) if zero is None else zero
    nodes = [
        *pair("x", "x", "xr"),
        op("DequantizeLinear", "conv.weight_quantized w_s w_z", "wr", axis=0, **attrs),
        op("DequantizeLinear", "b b_s", "br", axis=0),
        op("Conv", "xr wr br", "c", pads=[1, 1, 1, 1]),
        op("Relu", "c", "r"),
        *pair("h", "r", "hr"),
        op("GlobalAveragePool", "hr", "g"),
        *pair("h", "g", "gr"),
        op("Flatten", "gr", "f"),
        op("DequantizeLinear", "v v_s v_z", "vr"),
        op("MatMul", "f vr", "m"),
        *pair("y", "m", "y"),
    ]
    rng = np.random.default_rng(6)
    arrays = {
        "conv.weight_quantized": weight,
        "w_s": np.asarray(scale, np.float32),
        "w_z": zeros,
        "b": rng.integers(-3000, 3000, 4).astype(np.int32),
        "b_s": np.asarray(scale, np.float32).reshape(-1)[: 4 if np.size(scale) >= 4 else 1]
        * np.float32(0.031),
        "v": rng.integers(-128, 128, (4, 5)).astype(np.int8),
        "v_s": np.float32(0.001),
        "v_z": np.int8(0),
        **grids(**GRIDS),
    }
    return model(nodes, arrays, ("n", 3, 6, 6), opset=attrs.pop("opset", 21))


def loaded(made: Any, folder: Path) -> Graph:
    return load(write(made, folder / "m.onnx"))


def agree(graph: Graph, expected: np.ndarray, x: np.ndarray, share: float) -> Graph:
    """The lowered graph is within one step of `expected`, and off in no more than `share` of the outputs."""
    lowered = lower(graph)
    source, made = lowered.values[lowered.inputs[0]], lowered.values[lowered.outputs[0]]
    assert source.grid is not None
    assert made.grid is not None
    whole = run_integer(lowered, source.grid.quantize(x).astype(source.dtype))
    steps = np.rint((made.grid.dequantize(whole) - expected) / made.grid.scale)
    assert np.abs(steps).max() <= 1
    assert (steps != 0).mean() <= share
    return lowered


def reference(made: Any, x: np.ndarray) -> np.ndarray:
    return np.asarray(ReferenceEvaluator(made).run(None, {"x": x})[0])


def test_integers_scales_and_zero_points_are_kept(tmp_path: Path) -> None:
    graph = loaded(small(), tmp_path)
    kept = graph.weights["conv.weight"]
    assert isinstance(kept, Affine)
    assert np.array_equal(kept.symbols, np.moveaxis(WEIGHT, 1, -1))
    assert np.array_equal(kept.scale, CHANNEL_SCALES)
    assert graph.values[graph.outputs[0]].grid == Grid(float(np.float32(0.0613)), 101 - 128)
    assert not any(node.op == "on_grid" for node in graph.nodes)


def test_it_computes_what_the_model_does(tmp_path: Path) -> None:
    made, x = small(), 2 * floats(200, 3, 6, 6)
    lowered = agree(loaded(made, tmp_path), reference(made, x), x, 0.03)
    assert lowered.is_integer
    source = lowered.values[lowered.inputs[0]].grid
    assert source is not None
    bytes_in = source.quantize(x[:8]).astype(np.int8)
    assert np.array_equal(native_plan(lowered).run(bytes_in), run_integer(lowered, bytes_in))


def test_a_file_keeps_float32_scales(tmp_path: Path) -> None:
    graph = loaded(small(), tmp_path)
    write_smg(tmp_path / "m.smg", [graph])
    back = read_smg(tmp_path / "m.smg").graph
    for name, fmt in graph.weights.items():
        assert np.array_equal(back.weights[name].decode(), fmt.decode())


def test_quantizing_again_changes_nothing_and_says_so(tmp_path: Path) -> None:
    graph = loaded(small(), tmp_path)
    ctx = Context(noise_like(graph, 16), graph)
    again = AffineQuantization(bits=4).apply(graph, ctx)
    assert any("integers already" in note for note in ctx.notes)
    assert any("grids already" in note for note in ctx.notes)
    x = random_integers(lower(graph), 20)
    assert np.array_equal(run_integer(lower(again), x), run_integer(lower(graph), x))


def test_layers_without_grids_run_in_float_until_they_are_quantized(tmp_path: Path) -> None:
    nodes = [*pair("x", "x", "xr"), op("MatMul", "xr w", "m"), op("Relu", "m", "y")]
    made = model(nodes, {"w": floats(4, 5), **grids(x=GRIDS["x"])}, opset=21)
    graph, x = loaded(made, tmp_path), floats(20, 4)
    lowered = lower(graph)
    assert not lowered.is_integer
    grid = graph.values["x"].grid
    assert grid is not None
    got = run_integer(lowered, grid.quantize(x).astype(np.int8))
    assert np.allclose(got, reference(made, x), atol=1e-6)
    whole = AffineQuantization().apply(graph, Context(noise_like(graph, 16), graph))
    assert lower(whole).is_integer
    assert whole.values["x"].grid == grid


@pytest.mark.parametrize("kind", ["int16", "uint8", "blocks"])
def test_what_no_integer_kernel_multiplies_is_kept_and_runs_in_float(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    cases: dict[str, Any] = {
        "int16": lambda: small(
            rng.integers(-30000, 30000, WEIGHT.shape).astype(np.int16), 1e-4 * CHANNEL_SCALES
        ),
        "uint8": lambda: small((WEIGHT.astype(int) + 128).astype(np.uint8), 0.02, np.uint8(33)),
        "blocks": lambda: small(scale=rng.uniform(0.01, 0.02, (2, 3, 3, 3)).astype(np.float32), block_size=2),
    }
    made, x = cases[kind](), floats(50, 3, 6, 6)
    graph = loaded(made, tmp_path)
    kept = graph.weights["conv.weight"]
    assert isinstance(kept, Imported)
    stored = next(t for t in made.graph.initializer if t.name == "conv.weight_quantized")
    shift = 128 if kind == "uint8" else 0
    assert np.array_equal(
        kept.symbols, np.moveaxis(onnx.numpy_helper.to_array(stored), 1, -1).astype(int) - shift
    )
    if kind != "blocks":  # the reference evaluator knows blocks along other axes only
        assert not agree(graph, reference(made, x), x, 0.01).is_integer


def test_four_bit_weights(tmp_path: Path) -> None:
    made = small()
    (tensor,) = (t for t in made.graph.initializer if t.name == "conv.weight_quantized")
    (zeros,) = (t for t in made.graph.initializer if t.name == "w_z")
    four = np.clip(WEIGHT, -8, 7)
    tensor.CopyFrom(onnx.helper.make_tensor(tensor.name, onnx.TensorProto.INT4, four.shape, four.ravel()))
    zeros.CopyFrom(onnx.helper.make_tensor("w_z", onnx.TensorProto.INT4, [4], [0] * 4))
    kept = loaded(made, tmp_path).weights["conv.weight"]
    assert isinstance(kept, Affine)
    assert kept.bits == 4
    assert np.array_equal(kept.symbols, np.moveaxis(four, 1, -1))


def test_weights_in_real_numbers_before_their_pair(tmp_path: Path) -> None:
    w = floats(4, 5)
    nodes = [*pair("x", "x", "xr"), *pair("w", "w", "wr"), op("MatMul", "xr wr", "m"), *pair("y", "m", "y")]
    made = model(nodes, {"w": w, **grids(x=GRIDS["x"], y=GRIDS["y"], w=(0.0123, 0, np.int8))}, opset=21)
    x = floats(200, 4)
    graph = loaded(made, tmp_path)
    agree(graph, reference(made, x), x, 0.01)
    (kept,) = (graph.weights[node.params["weight"]] for node in graph.nodes if node.op == "linear")
    assert isinstance(kept, Affine)
    assert np.array_equal(kept.symbols, np.clip(np.rint(w.T / np.float32(0.0123)), -128, 127))


def test_moves_of_integers_carry_their_grid(tmp_path: Path) -> None:
    nodes = [
        op("QuantizeLinear", "x x_s x_z", "q"),
        op("Reshape", "q shape", "r"),
        op("Transpose", "r", "t", perm=[0, 2, 1]),
        op("DequantizeLinear", "t x_s x_z", "y"),
    ]
    made = model(nodes, {"shape": integers(0, 2, 2), **grids(x=GRIDS["x"])}, opset=21)
    x = floats(20, 4)
    agree(loaded(made, tmp_path), reference(made, x), x, 0.0)


@pytest.mark.parametrize("opset", [13, 21])
def test_integers_read_as_another_grid_become_an_island(opset: int, tmp_path: Path) -> None:
    nodes = [op("QuantizeLinear", "x x_s x_z", "q"), op("DequantizeLinear", "q h_s h_z", "y")]
    arrays, x = grids(x=GRIDS["x"], h=GRIDS["h"]), floats(20, 4)
    graph = loaded(model(nodes, arrays, opset=opset), tmp_path)
    assert [node.op for node in graph.nodes] == ["island"]
    assert np.allclose(run_float(graph, x), reference(model(nodes, arrays, opset=21), x))


@pytest.mark.parametrize("float_boundary", [False, True])
@pytest.mark.parametrize(
    "name", [name for name in NETWORKS if name not in ("binary", "few bits", "packs")]
)  # QDQ knows no bits
def test_our_own_export_comes_back_equal(name: str, float_boundary: bool, tmp_path: Path) -> None:
    graph = integer_network(name)
    path = QdqOnnxEmitter(float_boundary).emit(graph, load_target("generic-c"), tmp_path).path
    back, x = lower(load(path)), random_integers(graph, 50)
    assert back.is_integer
    assert np.array_equal(run_integer(back, x), run_integer(graph, x))


@given(
    bits=st.sampled_from([4, 8, 16]),
    axis=st.integers(-1, 2),
    signed=st.booleans(),
    seed=st.integers(0, 2**32 - 1),
)
def test_any_integers_are_found_again_from_their_real_numbers(
    bits: int, axis: int, signed: bool, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    shape, low = (3, 4, 5), -(1 << (bits - 1)) if signed else 0
    q = rng.integers(low, low + (1 << bits), shape)
    size = 1 if axis < 0 else shape[axis]
    scale = rng.uniform(1e-6, 9.0, size).astype(np.float32)
    zero = rng.integers(low, low + (1 << bits), size)
    placed = [size if i == axis else 1 for i in range(3)]
    real = (q - zero.reshape(placed)).astype(np.float32) * scale.reshape(placed)
    fmt = StoredGrid(scale, zero, bits, signed).format(real)
    assert isinstance(fmt, (Affine, Imported))
    assert np.array_equal(fmt.symbols, q if signed else q - (1 << (bits - 1)))
    assert np.array_equal(fmt.decode(), real)


# Operators on integers


@pytest.mark.parametrize("form", ["QDQ", "QOperator"])
@pytest.mark.parametrize("per_channel", [False, True])
def test_what_another_tool_quantized_agrees_with_its_runtime(
    form: str, per_channel: bool, tmp_path: Path
) -> None:
    runtime = _runtime()
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    x = floats(100, 3, 6, 6)
    quantize_static(
        str(write(_float_model(), tmp_path / "f.onnx")),
        str(tmp_path / "q.onnx"),
        _Batches(x),
        quant_format=QuantFormat[form],
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=per_channel,
    )
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = runtime.InferenceSession(str(tmp_path / "q.onnx"), options)
    lowered = agree(load(tmp_path / "q.onnx"), session.run(None, {"x": x})[0], x, 0.02)
    assert lowered.is_integer


def test_dynamic_quantization_keeps_the_weights_and_drops_the_rounding(tmp_path: Path) -> None:
    runtime = _runtime()
    from onnxruntime.quantization import quantize_dynamic

    source = write(_float_model(), tmp_path / "f.onnx")
    quantize_dynamic(str(source), str(tmp_path / "d.onnx"))
    graph, x = load(tmp_path / "d.onnx"), floats(20, 3, 6, 6)
    layers = [node for node in graph.nodes if node.op in ("conv", "linear")]
    assert all(graph.weights[node.params["weight"]].label in ("affine8", "imported8") for node in layers)
    assert not any(node.op == "island" for node in graph.nodes)
    expected = runtime.InferenceSession(str(tmp_path / "d.onnx")).run(None, {"x": x})[0]
    assert np.abs(run_float(graph, x) - expected).max() < 0.03 * np.abs(expected).max()


def _runtime() -> Any:
    try:
        import onnxruntime
    except ImportError:
        onnxruntime = None
    require(onnxruntime, "onnxruntime")
    return onnxruntime


def _float_model() -> Any:
    nodes = [
        op("Conv", "x w b", "c", pads=[1, 1, 1, 1]),
        op("Relu", "c", "r"),
        op("Conv", "r d", "e", group=4, pads=[1, 1, 1, 1]),
        op("Add", "e r", "s"),
        op("MaxPool", "s", "p", kernel_shape=[2, 2], strides=[2, 2]),
        op("Flatten", "p", "f"),
        op("Gemm", "f v u", "y", transB=1),
    ]
    arrays = {
        "w": 0.3 * floats(4, 3, 3, 3),
        "b": 0.1 * floats(4),
        "d": 0.3 * floats(4, 1, 3, 3),
        "v": 0.3 * floats(5, 36),
        "u": 0.1 * floats(5),
    }
    return model(nodes, arrays, ("n", 3, 6, 6))


class _Batches:
    """What the other tool calibrates on."""

    def __init__(self, x: np.ndarray) -> None:
        self._batches = iter([{"x": x[:50]}, {"x": x[50:]}])

    def get_next(self) -> dict[str, np.ndarray] | None:
        return next(self._batches, None)
