"""Equalization: the same function, equal ranges on both sides of every pair, and only where that is true."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats import Dense, Sparse
from smidgen.graph import Graph, GraphBuilder
from smidgen.methods.quantize._chains import neighbours
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import batch_norm, kitchen_sink, noise_like, small_cnn


def applied(graph: Graph, step: Equalize | None = None) -> tuple[Graph, list[str]]:
    ctx = Context(None, graph)
    return (step or Equalize()).apply(graph, ctx), ctx.notes


def outputs(graph: Graph, seed: int = 0) -> np.ndarray:
    shape = graph.values[graph.inputs[0]].shape
    return run_float(graph, np.random.default_rng(seed).normal(size=(6, *shape)).astype(np.float32))


def assert_same_function(first: Graph, second: Graph) -> None:
    wanted = outputs(first)
    np.testing.assert_allclose(outputs(second), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def uneven(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Weights whose rows differ a thousandfold in range."""
    spread = 10 ** rng.uniform(-1.5, 1.5, (shape[0], *(1,) * (len(shape) - 1)))
    return rng.normal(size=shape) * spread


def mobile(seed: int = 0, activation: str = "relu") -> Graph:
    """conv -> BatchNorm -> depthwise (2 filters a channel) -> pool -> pointwise -> flatten -> linear."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder("mobile")
    h = b.conv(b.input("x", (8, 8, 3)), uneven(rng, 6, 3, 3, 3), padding=1, name="first")
    h = b.op(activation, [batch_norm(b, h, rng)])
    h = b.conv(h, uneven(rng, 12, 3, 3, 1), rng.normal(size=12), padding=1, groups=6, name="depthwise")
    h = b.pool("max", b.op(activation, [h]), 2)
    h = b.conv(h, uneven(rng, 5, 1, 1, 12), rng.normal(size=5), name="pointwise")
    h = b.flatten(b.pool("avg", b.op(activation, [h]), 2))
    return b.graph(b.linear(h, uneven(rng, 4, 20), rng.normal(size=4), name="last"))


def test_function_through_depthwise_pooling_and_flatten_is_kept() -> None:
    graph = mobile()
    equal, notes = applied(graph)
    assert notes == []
    assert len(neighbours(equal)) == 3
    assert_same_function(graph, equal)


def test_ranges_of_both_sides_agree_channel_by_channel() -> None:
    """Computed here from the layouts alone: depthwise output o reads channel o // 2; flatten is row-major."""
    w = {name: np.abs(fmt.decode()) for name, fmt in applied(mobile())[0].weights.items()}
    first = w["first.weight"].max(axis=(1, 2, 3))
    depthwise_reads = w["depthwise.weight"].max(axis=(1, 2, 3)).reshape(6, 2).max(axis=1)
    np.testing.assert_allclose(first, depthwise_reads, rtol=5e-3)
    depthwise = w["depthwise.weight"].max(axis=(1, 2, 3))
    np.testing.assert_allclose(depthwise, w["pointwise.weight"].max(axis=(0, 1, 2)), rtol=5e-3)
    last = w["last.weight"].reshape(4, 2 * 2, 5).max(axis=(0, 1))
    np.testing.assert_allclose(w["pointwise.weight"].max(axis=(1, 2, 3)), last, rtol=5e-3)


def test_one_pair_gets_the_scale_of_the_paper() -> None:
    """s = sqrt(r1 / r2): ranges (8, 1) and (2, 4) become sqrt(8 * 2) = 4 and sqrt(1 * 4) = 2."""
    b = GraphBuilder("two")
    h = b.op(
        "relu", [b.linear(b.input("x", (2,)), np.array([[8, 4], [0.5, -1]]), np.array([2, 6]), name="a")]
    )
    equal, _ = applied(b.graph(b.linear(h, np.array([[2.0, 1], [-1, -4]]), name="b")))
    np.testing.assert_allclose(equal.weights["a.weight"].decode(), [[4, 2], [1, -2]], rtol=1e-6)
    np.testing.assert_allclose(equal.weights["a.bias"].decode(), [1, 12], rtol=1e-6)
    np.testing.assert_allclose(equal.weights["b.weight"].decode(), [[4, 0.5], [-2, -2]], rtol=1e-6)


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    groups=st.sampled_from([1, 2, 4]),
    pool=st.sampled_from(["", "max", "avg"]),
    end=st.sampled_from(["flatten", "mean", "transpose", "pad"]),
)
def test_function_is_kept_through_anything_between(seed: int, groups: int, pool: str, end: str) -> None:
    rng = np.random.default_rng(seed)
    b = GraphBuilder("any")
    h = b.op(
        "relu", [b.conv(b.input("x", (4, 4, 4)), uneven(rng, 8, 3, 3, 4), rng.normal(size=8), padding=1)]
    )
    h = b.op("relu", [b.conv(h, uneven(rng, 8, 3, 3, 8 // groups), padding=1, groups=groups)])
    h = b.pool(pool, h, 2) if pool else h
    if end == "transpose":
        h = b.op("transpose", [h], perm=(2, 0, 1))
    if end == "pad":
        h = b.op("pad", [h], pads=((1, 0), (0, 0), (2, 1)), value=0.0)
    h = b.op("mean", [h], axes=(0, 1), keepdims=False) if end == "mean" else b.flatten(h)
    graph = b.graph(b.linear(h, uneven(rng, 3, b.shape(h)[0])))
    equal, _ = applied(graph)
    assert len(neighbours(graph)) == 2
    assert_same_function(graph, equal)


def test_per_tensor_rounding_loses_less_afterwards() -> None:
    graph = mobile()
    data = noise_like(graph)

    def error(g: Graph) -> float:
        step = AffineQuantization(bits=6, granularity="tensor")
        return float(np.abs(outputs(step.apply(g, Context(data, g))) - outputs(graph)).mean())

    assert error(applied(graph)[0]) < error(graph) / 2


@pytest.mark.parametrize(
    "make",
    [
        lambda: mobile(activation="relu6"),
        lambda: mobile(activation="hardswish"),
        lambda: mobile(activation="tanh"),
    ],
    ids=["relu6", "hardswish", "tanh"],
)
def test_activation_that_scaling_would_change_ends_the_chain(make) -> None:
    graph = make()
    equal, notes = applied(graph)
    assert equal is graph
    assert notes == ["quantize.equalize: no two layers have only ReLU or pooling between, nothing changes"]


def fork(b: GraphBuilder) -> str:
    h = b.op("relu", [b.linear(b.input("x", (4,)), np.diag([1.0, 2, 3, 4]))])
    return b.op("add", [b.linear(h, np.ones((4, 4))), h])


def tied(b: GraphBuilder) -> str:
    b.weight("w", np.diag([1.0, 2, 3, 4]))
    h = b.op("relu", [b.op("linear", [b.input("x", (4,))], {"weight": "w"}, name="one")])
    return b.op("linear", [h], {"weight": "w"}, name="two")


def mixing(b: GraphBuilder) -> str:
    """The second layer reads [4, 2] after a [2, 4] reshape: its columns hold several channels."""
    b.input("x", (2, 3))
    h = b.op("relu", [b.linear("x", np.ones((4, 3)) * np.array([[1.0], [2], [3], [4]]))])
    return b.linear(b.op("reshape", [h], shape=(4, 2)), np.ones((2, 2)))


@pytest.mark.parametrize("build", [fork, tied, mixing])
def test_values_and_weights_that_others_use_are_left_alone(build) -> None:
    b = GraphBuilder("alone")
    graph = b.graph(build(b))
    assert applied(graph)[0] is graph


def test_residual_network_keeps_its_function() -> None:
    graph = kitchen_sink()
    assert_same_function(graph, applied(graph)[0])


def test_dead_channels_stay_finite() -> None:
    b = GraphBuilder("dead")
    h = b.op("relu", [b.linear(b.input("x", (2,)), np.array([[0, 0], [1e-30, 0], [5, 1]]), np.ones(3))])
    graph = b.graph(b.linear(h, np.array([[3.0, 1e9, 0], [1, 2, 0]])))
    equal, _ = applied(graph)
    assert all(np.isfinite(fmt.decode()).all() for fmt in equal.weights.values())
    assert_same_function(graph, equal)


def test_masks_stay() -> None:
    graph = small_cnn()
    mask = np.random.default_rng(0).random(graph.weights["conv2.weight"].shape) < 0.5
    sparse = graph.with_weights({"conv2.weight": Sparse(mask, graph.weights["conv2.weight"])})
    equal = applied(sparse)[0]
    found = equal.weights["conv2.weight"]
    assert isinstance(found, Sparse)
    assert found.mask is mask
    assert isinstance(found.inner, Dense)
    assert_same_function(sparse, equal)


def test_second_time_has_nothing_to_do() -> None:
    once, _ = applied(mobile(), Equalize(sweeps=200))
    twice, notes = applied(once)
    assert twice is once
    assert "agree already" in notes[0]


def test_quantized_network_is_left_alone_and_told() -> None:
    graph = small_cnn()
    quantized = AffineQuantization().apply(graph, Context(noise_like(graph), graph))
    equal, notes = applied(quantized)
    assert equal is quantized
    assert "put it before quantize" in notes[0]


def test_no_sweep_is_refused() -> None:
    with pytest.raises(ValueError, match="sweeps"):
        Equalize(sweeps=0)
