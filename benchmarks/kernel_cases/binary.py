"""Layers on packed bits against float32 ones of the same shape.

Each case is a chain, as bits are worth packing where several layers hand them on: int8 goes in and out, signs
are taken once, and a threshold a channel stands between two layers. ONNX Runtime computes the bare float
layers and LiteRT the bare int8 ones, without anything between them. `smidgen` is the plan that users get, its
kernels chosen by their time; `counting bits` has the ones that multiply by xor and popcount.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from benchmarks.kernel_cases.case import Case
from benchmarks.kernel_cases.onnx_peer import session
from smidgen.formats import Affine, Binary, Format, Grid
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.lower.grids import with_grids
from smidgen.lower.schedule import schedule
from smidgen.measure.baselines import litert_contender
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.reference import run_integer

LAYERS = 8
COUNTING, FP32, INT8 = "counting bits", "ONNX Runtime fp32", "LiteRT int8"
NOTE = f"{LAYERS} layers in a chain, from int8 to int8, {{operations:.3g}} operations, 2 a bit."
RNG = np.random.default_rng(0)
Call = Callable[[], Any]
Goals = tuple[float, float]  # over float32 in ONNX Runtime, over int8 in LiteRT


def conv_64() -> Case:
    return _convolutions(32, 64, (18.0, 5.0))


def conv_128() -> Case:
    return _convolutions(16, 128, (18.0, 5.0))


def linear_64_rows() -> Case:
    return _linear(64, (18.0, 5.0))


def linear_one_row() -> Case:
    return _linear(1, (30.0, 6.0))


def _convolutions(size: int, channels: int, goals: Goals) -> Case:
    weights = [_normal(channels, 3, 3, channels) for _ in range(LAYERS)]
    first_channels = [np.moveaxis(w, -1, 1) for w in weights]
    x = _normal(1, size, size, channels)
    peer = _chain("Conv", first_channels, np.moveaxis(x, -1, 1), pads=[1, 1, 1, 1])
    name = f"{LAYERS} × conv 3×3, {channels}→{channels} @{size}²"
    return _case(name, weights, x, peer, goals, size * size)


def _linear(rows: int, goals: Goals) -> Case:
    weights = [_normal(1024, 1024) for _ in range(LAYERS)]
    x = _normal(rows, 1024)
    peer = _chain("MatMul", [w.T for w in weights], x)
    return _case(f"{LAYERS} × linear 1024→1024, batch {rows}", weights, x, peer, goals, rows)


def _case(
    name: str, weights: list[np.ndarray], x: np.ndarray, peer: Call, goals: Goals, positions: int
) -> Case:
    graph = _signs(x.shape[1:], weights)
    grid = graph.values["x"].grid
    assert grid is not None
    plan, counting, q = (
        native_plan(graph),
        NativePlan(graph, schedule(graph)),
        grid.quantize(x).astype(np.int8),
    )
    for each in (plan, counting):
        np.testing.assert_array_equal(each.run(q), run_integer(graph, q))
    operations = 2.0 * sum(w.size for w in weights) * positions
    ours = {"smidgen": lambda: plan.run(q), COUNTING: lambda: counting.run(q)}
    tiles = any("amx" in kernel for kernel in plan.chosen)
    roofs = {"smidgen": "tiles" if tiles else "popcount", COUNTING: "popcount", FP32: "multiply_add"}
    return Case(
        name,
        {**ours, FP32: peer, INT8: _int8(weights, x)},
        "smidgen",
        dict(zip((FP32, INT8), goals, strict=True)),
        operations=operations,
        roofs=roofs if positions > 1 else {},
        roof_goals={COUNTING: 0.8},
        note=NOTE.format(operations=operations),
    )


def _signs(shape: tuple[int, ...], weights: list[np.ndarray]) -> Graph:
    """The integer graph of the layers, a threshold near the median of the sums between them."""
    b = GraphBuilder("chain")
    h = b.input("x", shape)
    for weight in weights:
        h = _layer(b, b.op("binarize", [h]), Binary.fit(weight))
    return lower(with_grids(b.graph(h), {"x": Grid(1 / 32, 0), h: Grid(4.0, 0)}))


def _int8(weights: list[np.ndarray], x: np.ndarray) -> Call:
    """The same layers with int8 weights on int8 values, in LiteRT."""
    b = GraphBuilder("chain")
    h = b.input("x", x.shape[1:])
    grids = {h: Grid(1 / 32, 0)}
    for weight in weights:
        h = _layer(b, h, Affine.fit(weight, 8))
        grids[h] = Grid(1.0, 0)
    return litert_contender(lower(with_grids(b.graph(h), grids)), len(x), 1, INT8).call


def _layer(b: GraphBuilder, x: str, weight: Format) -> str:
    bias = RNG.normal(size=weight.shape[0])
    return b.linear(x, weight, bias) if len(weight.shape) == 2 else b.conv(x, weight, bias, padding=1)


def _chain(op: str, weights: list[np.ndarray], x: np.ndarray, **settings: Any) -> Call:
    nodes = [helper.make_node(op, [f"y{i}", f"w{i}"], [f"y{i + 1}"], **settings) for i in range(len(weights))]
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("y0", f"y{len(weights)}")
    ]
    constants = [numpy_helper.from_array(np.ascontiguousarray(w), f"w{i}") for i, w in enumerate(weights)]
    graph = helper.make_graph(nodes, "chain", ends[:1], ends[1:], constants)
    opsets = [helper.make_opsetid("", 17)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    model.graph.input[0].name = model.graph.node[0].input[0] = "x"
    return session(model, np.ascontiguousarray(x))


def _normal(*shape: int) -> np.ndarray:
    return RNG.normal(size=shape).astype(np.float32)


CASES = [conv_64, conv_128, linear_64_rows, linear_one_row]
