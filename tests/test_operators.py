"""Every operator through every back end: float, torch twin, integers in C and ONNX, and back from a file."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.formats import Integer
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.activations import DOMAINS, SMOOTH, STEEP
from smidgen.learn.twin import GraphTwin
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import layer_checksums, run_integer
from smidgen.targets import load_target
from tests.conftest import require
from tests.integer_networks import integers_of, random_integers

RNG = np.random.default_rng(0)
CAUSAL = np.tril(np.ones((5, 5)))
NOTHING_KEPT = np.concatenate([np.zeros((1, 5)), CAUSAL[1:]])
Build = Callable[[GraphBuilder, str], str]


def mask(array: np.ndarray) -> dict[str, Integer]:
    return {"mask": Integer(array.astype(np.uint8))}


def constant(b: GraphBuilder, *shape: int) -> str:
    return b.op("constant", [], {"value": RNG.normal(size=shape)})


def scores(b: GraphBuilder, x: str) -> str:
    """[4, 3, 5, 5] out of [4, 5, 5]: masks are broadcast to several heads."""
    made = b.op("reshape", [x], shape=(4, 1, 5, 5))
    return b.op("concat", [made, b.op("tanh", [made]), made], axis=1)


INTEGER: dict[str, Build] = {
    **{op: lambda b, x, op=op: b.op(op, [x]) for op in (*SMOOTH, *STEEP)},  # type: ignore[misc]
    **{
        f"maximum over {axes}": lambda b, x, axes=axes: b.op(  # type: ignore[misc]
            "reduce_max", [x], axes=axes, keepdims=len(axes) == 2
        )
        for axes in ((0,), (1,), (2,), (0, 2), (0, 1, 2))
    },
    "constant added": lambda b, x: b.op("add", [x, constant(b, 4, 1, 5)]),
    "constant multiplied, larger": lambda b, x: b.op(
        "mul", [b.op("mean", [x], axes=(0,), keepdims=True), constant(b, 4, 5, 5)]
    ),
    "constant minus": lambda b, x: b.op("sub", [constant(b, 4, 5, 5), x]),
    "constant prepended": lambda b, x: b.op("concat", [constant(b, 4, 1, 5), x], axis=1),
    "constant moved": lambda b, x: b.op(
        "add",
        [x, b.op("transpose", [b.op("reshape", [constant(b, 20, 5)], shape=(5, 4, 5))], perm=(1, 0, 2))],
    ),
    "constant of one row": lambda b, x: b.op("add", [x, constant(b, 5)]),
    "softmax, causal": lambda b, x: b.op("softmax", [scores(b, x)], mask(CAUSAL)),
    "softmax, a mask a head": lambda b, x: b.op("softmax", [x], mask(RNG.random((4, 1, 5)) > 0.3)),
    "softmax, nothing kept": lambda b, x: b.op("softmax", [x], mask(NOTHING_KEPT)),
    "constants of 4 axes": lambda b, x: b.op("mul_constant", [scores(b, x)], {"constant": [0.5] * 5}),
    **{
        f"normalize over {axes}": lambda b, x, axes=axes: b.op(  # type: ignore[misc]
            "normalize", [x], axes=axes, epsilon=1e-5, centered=axes != (1,)
        )
        for axes in ((2,), (1,), (0, 2), (0, 1, 2))
    },
    "normalize, scaled and shifted": lambda b, x: b.op(
        "normalize",
        [x],
        {"gamma": RNG.normal(size=5), "beta": RNG.normal(size=5)},
        axes=(1, 2),
        epsilon=1e-3,
        centered=True,
    ),
}


@cache
def network(name: str) -> Graph:
    """The operator alone, on inputs where it is defined."""
    b = GraphBuilder("net")
    x = b.input("x", (4, 5, 5))
    if name in (*DOMAINS, "reciprocal"):
        x = b.op("sigmoid", [x])
    if name == "acosh":
        x = b.op("add_constant", [x], {"constant": [1.0] * 5})
    return b.graph([INTEGER[name](b, x)])


def inputs(n: int = 4) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(n, 4, 5, 5)).astype(np.float32)


@pytest.mark.parametrize("name", INTEGER)
def test_the_torch_twin_computes_what_the_interpreter_does(name: str) -> None:
    twin = GraphTwin(network(name))
    with torch.no_grad():
        found = twin(torch.from_numpy(inputs())).numpy()
    np.testing.assert_allclose(found, run_float(network(name), inputs()), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", INTEGER)
def test_native_code_and_onnx_equal_the_reference(name: str, tmp_path: Path) -> None:
    require(find_spec("onnxruntime"), "onnxruntime")
    graph = integers_of(network(name))
    assert graph.is_integer
    x = random_integers(graph, 16)
    expected = run_integer(graph, x)
    found, sums = native_plan(graph).run_traced(x)
    np.testing.assert_array_equal(found, expected)
    assert sums == layer_checksums(graph, x)
    exact = OnnxEmitter().emit(graph, load_target("generic-c"), tmp_path)
    np.testing.assert_array_equal(exact.run(x), expected)
    np.testing.assert_array_equal(run_integer(unpack_smg(pack_smg([graph])).graph, x), expected)


@pytest.mark.parametrize("name", INTEGER)
def test_float_onnx_agrees(name: str, tmp_path: Path) -> None:
    require(find_spec("onnxruntime"), "onnxruntime")
    made = FloatOnnxEmitter().emit(network(name), load_target("generic-c"), tmp_path).run(inputs())
    np.testing.assert_allclose(made, run_float(network(name), inputs()), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", INTEGER)
def test_qdq_onnx_is_at_most_a_step_away(name: str, tmp_path: Path) -> None:
    require(find_spec("onnxruntime"), "onnxruntime")
    graph = integers_of(network(name))
    x = random_integers(graph, 4)
    made = QdqOnnxEmitter().emit(graph, load_target("generic-c"), tmp_path).run(x)
    assert np.abs(made.astype(int) - run_integer(graph, x)).max() <= 1


@pytest.mark.parametrize("name", INTEGER)
def test_integers_stay_near_the_real_numbers(name: str) -> None:
    graph = integers_of(network(name))
    x, y = (graph.values[ends[0]].grid for ends in (graph.inputs, graph.outputs))
    assert x
    assert y
    real = inputs()
    found = y.dequantize(run_integer(graph, x.quantize(real).astype(np.int8)))
    expected = np.clip(
        run_float(network(name), real), (y.qmin - y.zero) * y.scale, (y.qmax - y.zero) * y.scale
    )
    assert np.abs(found - expected).mean() < 0.06 * max(np.ptp(expected), y.scale)


def several() -> Graph:
    """All integer operators beside each other; two constants are outputs or nearly so."""
    b = GraphBuilder("several")
    x = b.input("x", (4, 5, 5))
    fixed = constant(b, 4, 5)
    made = [INTEGER[name](b, x) for name in INTEGER if name not in STEEP]
    return b.graph([*made, fixed, b.op("reshape", [fixed], shape=(20,))])


def test_the_compiled_c_project_agrees_in_every_layer(tmp_path: Path) -> None:
    require(shutil.which("cc"), "a C compiler")
    graph = integers_of(several())
    artifact = CEmitter().emit(graph, load_target("generic-c"), tmp_path / "c")
    artifact.selftest()
    x = random_integers(graph, 3)
    found = native_plan(graph).run(x)
    for made, expected in zip(artifact.runner.run(x), found, strict=True):
        np.testing.assert_array_equal(made, expected)


def test_constants_take_no_memory_at_run_time() -> None:
    b = GraphBuilder("net")
    x = b.input("x", (64,))
    graph = integers_of(b.graph([b.op("add", [x, constant(b, 64)])]))
    assert native_plan(graph).program.arena_bytes == 0


@pytest.mark.parametrize("op", [*DOMAINS, "reciprocal", "tan"])
def test_tables_saturate_where_a_function_has_no_value(op: str) -> None:
    b = GraphBuilder("net")
    x = b.input("x", (4, 5, 5))
    graph = integers_of(b.graph([b.op(op, [x])]))
    assert np.isfinite(graph.values[graph.outputs[0]].grid.scale)  # type: ignore[union-attr]
    every = np.arange(-128, 128, dtype=np.int8).repeat(100)[: 256 * 100].reshape(256, 4, 5, 5)
    y = run_integer(graph, every)[:, 0, 0, 0].astype(int)
    if op in ("log", "sqrt", "asin", "acosh", "atanh"):
        assert (np.diff(y) >= 0).all()
