"""Lowering: integers follow the float function, overflow is proven impossible, floats stay visible."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import IllegalGraph
from smidgen.formats import Affine, Dense, Grid
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import artifact_class, lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import fused_activation, grid_owners
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.networks import kitchen_sink, noise_like, small_cnn


def quantized(graph: Graph, **settings: object) -> Graph:
    return AffineQuantization(**settings).apply(graph, Context(noise_like(graph), graph))


def outputs(graph: Graph, lowered: Graph, x: np.ndarray) -> tuple[np.ndarray, np.ndarray, Grid]:
    """(float outputs, integer outputs as reals, the output's grid)."""
    source, out = lowered.values[lowered.inputs[0]].grid, lowered.values[lowered.outputs[0]].grid
    q = run_integer(lowered, source.quantize(x).astype(np.int8))
    return run_float(graph, x), out.dequantize(q), out


@pytest.mark.parametrize("build", [kitchen_sink, small_cnn])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_integer_network_follows_the_float_one(build: object, seed: int) -> None:
    graph = build(seed)
    lowered = lower(quantized(graph))
    real, whole, grid = outputs(graph, lowered, noise_like(graph, 32, seed + 9).train.x)
    assert np.abs(real - whole).mean() < 4 * grid.scale


def test_a_lowered_network_holds_only_integers() -> None:
    lowered = lower(quantized(kitchen_sink()))
    assert lowered.is_integer
    assert artifact_class(lowered) == "integer"
    assert all(node.op.startswith("q.") for node in lowered.nodes)


@settings(max_examples=20)
@given(st.integers(0, 999))
def test_canonical_form_computes_the_same_function(seed: int) -> None:
    graph = kitchen_sink(seed)
    x = noise_like(graph, 4, seed).train.x
    plain = canonical(graph)
    assert not {n.op for n in plain.nodes} & {"batch_norm", "add_constant", "mul_constant"}
    assert np.allclose(run_float(graph, x), run_float(plain, x), atol=1e-5)


def test_folding_leaves_a_shared_weight_alone() -> None:
    b = GraphBuilder("tied")
    x = b.input("x", (4, 4, 2))
    w = b.weight("w", np.ones((2, 1, 1, 2)))
    first = b.conv(x, w)
    ones = {"gamma": np.full(2, 3.0), "beta": np.ones(2), "mean": np.zeros(2), "variance": np.ones(2)}
    h = b.op("batch_norm", [first], ones, epsilon=0.0)
    graph = b.graph(b.conv(h, w))
    plain = canonical(graph)
    assert np.array_equal(plain.weights["w"].decode(), graph.weights["w"].decode())
    x8 = np.ones((1, 4, 4, 2), np.float32)
    assert np.allclose(run_float(plain, x8), run_float(graph, x8))


def test_folding_leaves_rounded_weights_alone() -> None:
    b = GraphBuilder("rounded")
    x = b.input("x", (3, 2))
    h = b.conv(x, Affine.fit(np.ones((2, 1, 2), np.float32), 4))
    twice = {"gamma": np.full(2, 2.0), "beta": np.ones(2), "mean": np.zeros(2), "variance": np.ones(2)}
    graph = b.graph(b.op("batch_norm", [h], twice, epsilon=0.0))
    ones = np.ones((1, 3, 2), np.float32)
    assert np.allclose(run_float(canonical(graph), ones), run_float(graph, ones))


def test_a_clamp_is_fused_only_when_nothing_else_reads_the_layer() -> None:
    b = GraphBuilder("branch")
    x = b.input("x", (4,))
    y = b.linear(x, np.eye(4), name="y")
    relu = b.op("relu", [y], name="r")
    graph = b.graph([b.op("add", [relu, y])])
    assert fused_activation(graph, graph.node("y")) is None
    assert {"y", "r"} <= set(grid_owners(graph))


def test_an_accumulator_that_could_overflow_is_refused() -> None:
    b = GraphBuilder("deep")
    x = b.input("x", (70000,))
    graph = b.graph(b.linear(x, np.ones((1, 70000)), name="deep"))
    values = {
        "x": replace(graph.values["x"], grid=Grid(0.1, -128)),
        "deep": replace(graph.values["deep"], grid=Grid(1.0, 0)),
    }
    ready = graph.with_values(values).with_weights(
        {"deep.weight": Affine.fit(np.ones((1, 70000), np.float32), 8)}
    )
    with pytest.raises(IllegalGraph, match="accumulator"):
        lower(ready)


def test_float_weights_between_integer_values_are_refused_with_the_remedy() -> None:
    graph = quantized(small_cnn())
    name = next(n.params["weight"] for n in graph.nodes if n.op == "linear")
    with pytest.raises(IllegalGraph, match=r"quantize\.affine"):
        lower(graph.with_weights({name: Dense(graph.weights[name].decode())}))


def test_pending_training_is_refused() -> None:
    graph = small_cnn()
    with pytest.raises(IllegalGraph, match=r"tune\.fit"):
        lower(replace(graph, pending=(AffineQuantization(),)))


def test_what_has_no_integer_rule_runs_in_float_between_visible_nodes() -> None:
    b = GraphBuilder("padded")
    x = b.input("x", (4, 2))
    h = b.op("pad", [x], pads=((1, 1), (0, 0)), value=0.7)
    graph = b.graph(b.op("relu", [h]))
    lowered = lower(quantized(graph))
    assert [n.op for n in lowered.nodes] == ["dequantize", "pad", "quantize", "q.requantize"]
    assert artifact_class(lowered) == "weight_only"
    real, whole, grid = outputs(graph, lowered, noise_like(graph, 16).train.x)
    assert np.abs(real - whole).max() <= 2 * grid.scale


def test_without_grids_the_float_network_stays_a_float_network() -> None:
    lowered = lower(small_cnn())
    assert not lowered.is_integer
    assert not {n.op for n in lowered.nodes} & {"batch_norm"}


def test_four_bit_activations_stay_in_their_range() -> None:
    graph = small_cnn()
    lowered = lower(quantized(graph, activation_bits=4))
    source = lowered.values["x"].grid
    seen: list[np.ndarray] = []
    x = noise_like(graph).train.x
    run_integer(lowered, source.quantize(x).astype(np.int8), lambda node, y: seen.extend(y))
    assert min(int(y.min()) for y in seen) >= -8
    assert max(int(y.max()) for y in seen) <= 7


def test_constants_one_behind_the_other_fold_into_one_layer() -> None:
    b = GraphBuilder("scaled")
    x = b.input("x", (5, 4))
    constants = np.random.default_rng(0).normal(size=(4, 4)).astype(np.float32)
    for op, constant in zip(("mul", "add", "mul", "add"), constants):
        x = b.op(f"{op}_constant", [x], {"constant": constant})
    folded = canonical(b.graph([x]))
    assert [node.op for node in folded.nodes] == ["conv"]
    sample = np.random.default_rng(1).normal(size=(3, 5, 4)).astype(np.float32)
    expected = (sample * constants[0] + constants[1]) * constants[2] + constants[3]
    np.testing.assert_allclose(run_float(folded, sample), expected, atol=1e-6)
