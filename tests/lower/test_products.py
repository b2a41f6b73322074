"""Attention and upsampling, from floats to every back end."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.emit.smg import SmgEmitter
from smidgen.errors import IllegalGraph
from smidgen.formats import Integer
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cost import macs
from smidgen.graph.coupling import channel_groups, remove
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets.host import find_compiler
from smidgen.targets.target import Target
from tests.conftest import require
from tests.integer_networks import integers_of, random_integers
from tests.networks import noise_like

HOST = Target(name="host", kind="host")
STEPS, WIDTH, HEADS = 6, 8, 2


def attention(seed: int = 0) -> Graph:
    """Two heads over six steps, then every second position of a mirrored sequence spread out."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("attention")
    x = b.input("x", (STEPS, WIDTH))

    def projected(name: str, perm: tuple[int, ...]) -> str:
        made = b.linear(x, rng.normal(size=(WIDTH, WIDTH)) / 3, rng.normal(size=WIDTH), name=name)
        return b.op("transpose", [b.op("reshape", [made], shape=(STEPS, HEADS, -1))], perm=perm)

    scores = b.op("matmul", [projected("query", (1, 0, 2)), projected("key", (1, 2, 0))], scale=0.5)
    mixed = b.op("matmul", [b.op("softmax", [scores]), projected("value", (1, 0, 2))], scale=1.0)
    h = b.op("reshape", [b.op("transpose", [mixed], perm=(1, 0, 2))], shape=(STEPS, -1))
    h = b.linear(h, rng.normal(size=(WIDTH, WIDTH)) / 3, name="out")
    h = b.op("gather", [h], {"indices": Integer(np.array([5, 4, 0, 0], np.int32))}, axis=0)
    h = b.op("spread", [h], steps=(2, 1))
    return b.graph(b.linear(h, rng.normal(size=(3, WIDTH)) / 3, name="head"))


@cache
def lowered() -> Graph:
    return integers_of(attention())


def test_integers_follow_the_floats() -> None:
    graph = attention()
    x = noise_like(graph, 32, 5).train.x
    whole = lowered()
    source, out = (whole.values[name].grid for name in (whole.inputs[0], whole.outputs[0]))
    q = run_integer(whole, source.quantize(x).astype(np.int8))
    assert whole.is_integer
    assert np.abs(out.dequantize(q) - run_float(graph, x)).mean() < 2 * out.scale


@pytest.mark.parametrize("emitter", [SmgEmitter(), OnnxEmitter(), CEmitter()])
def test_exact_back_ends_agree_with_the_reference(emitter, tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    x = random_integers(lowered(), 8)
    found = emitter.emit(lowered(), HOST, tmp_path / "out").run(x)
    np.testing.assert_array_equal(found, run_integer(lowered(), x))
    np.testing.assert_array_equal(native_plan(lowered()).run(x), run_integer(lowered(), x))


def test_float_and_qdq_files_agree_within_their_rounding(tmp_path: Path) -> None:
    graph, x = attention(), noise_like(attention(), 8, 2).train.x
    found = FloatOnnxEmitter().emit(graph, HOST, tmp_path / "float").run(x)
    np.testing.assert_allclose(found, run_float(graph, x), atol=1e-4)
    q = random_integers(lowered(), 8)
    found = QdqOnnxEmitter().emit(lowered(), HOST, tmp_path / "qdq").run(q).astype(int)
    assert np.abs(found - run_integer(lowered(), q)).max() <= 1


def test_the_twin_computes_what_the_graph_does_and_has_gradients() -> None:
    graph, x = attention(), noise_like(attention(), 4, 2).train.x
    twin = GraphTwin(graph)
    y = twin(torch.from_numpy(x))
    np.testing.assert_allclose(y.detach().numpy(), run_float(graph, x), atol=1e-4)
    y.square().sum().backward()
    assert all(
        p.grad is not None and bool(p.grad.abs().sum() > 0) for p in twin.weights["query.weight"].parameters()
    )


def test_a_product_costs_its_multiplications() -> None:
    counted = macs(attention())
    assert counted["matmul1"] == counted["matmul2"] == HEADS * STEPS * STEPS * WIDTH // HEADS


def test_queries_and_keys_lose_channels_together() -> None:
    """The j-th channels of all heads of both; values and the layer behind them likewise."""
    groups = {group.name: group for group in channel_groups(attention())}
    assert set(groups) == {"query.weight", "value.weight", "out.weight"}
    written = {part.weight for part in groups["query.weight"].units[0].slices}
    assert {"query.weight", "key.weight"} <= written
    assert len(groups["query.weight"].units) == WIDTH // HEADS


@pytest.mark.parametrize("name", ["query.weight", "value.weight"])
def test_removing_channels_of_heads_equals_zeroing_them(name: str) -> None:
    graph = attention()
    unit = next(group for group in channel_groups(graph) if group.name == name).units[1]
    weights = {part.weight: graph.weights[part.weight].decode().copy() for part in unit.slices}
    for part in unit.slices:
        if part.axis == 0:
            weights[part.weight][list(part.indices)] = 0
    zeroed = graph.with_weights({key: type(graph.weights[key])(array) for key, array in weights.items()})
    x = noise_like(graph, 8, 3).train.x
    np.testing.assert_allclose(run_float(remove(graph, [unit]), x), run_float(zeroed, x), atol=1e-5)


def test_a_sum_that_could_overflow_is_refused() -> None:
    b = GraphBuilder("long")
    x = b.input("x", (1, 150000))
    graph = b.graph(b.op("matmul", [x, b.op("transpose", [x], perm=(1, 0))], name="square", scale=1.0))
    quantized = AffineQuantization().apply(graph, Context(noise_like(graph, 4), graph))
    with pytest.raises(IllegalGraph, match=r"square: the accumulator may reach .* over 150000 terms"):
        lower(quantized)
