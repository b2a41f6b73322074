"""Bias correction: the mean of every layer's output is that of the unrounded weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from smidgen.data.dataset import Dataset, Splits
from smidgen.formats import Dense, Sparse
from smidgen.graph import Graph, GraphBuilder
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.bias_correction import BiasCorrection
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import kitchen_sink, noise_like, small_cnn


def splits(x: npt.NDArray[np.float32]) -> Splits:
    part = Dataset(x, np.zeros(len(x), np.int64))
    return Splits(part, part, part, 2)


def uniform(*shape: int) -> npt.NDArray[np.float32]:
    """Inputs with a mean, without which rounding shifts nothing."""
    return np.random.default_rng(1).uniform(0, 2, shape).astype(np.float32)


def rounded(graph: Graph, data: Splits, bits: int = 3) -> Graph:
    return AffineQuantization(bits=bits, granularity="tensor").apply(graph, Context(data, graph))


def corrected(graph: Graph, data: Splits) -> tuple[Graph, list[str]]:
    ctx = Context(data, graph)
    return BiasCorrection().apply(graph, ctx), ctx.notes


def test_shift_of_a_linear_layer_is_the_rounding_error_times_the_mean_input() -> None:
    b = GraphBuilder("one")
    graph = b.graph(b.linear(b.input("x", (6,)), np.random.default_rng(0).normal(size=(4, 6)), np.ones(4)))
    data = splits(uniform(100, 6))
    quantized = rounded(graph, data)
    after, notes = corrected(quantized, data)
    (name,) = {node.params["weight"] for node in graph.nodes}
    error = graph.weights[name].decode() - quantized.weights[name].decode()
    expected = [1 + sum(error[o, i] * data.train.x[:, i].mean() for i in range(6)) for o in range(4)]
    np.testing.assert_allclose(after.weights[after.nodes[0].params["bias"]].decode(), expected, rtol=1e-5)
    assert notes == []


def convolution(
    x: npt.NDArray[np.float32], weight: npt.NDArray[np.float32], groups: int
) -> npt.NDArray[np.float64]:
    """3x3 windows with a border of zeros, one multiplication at a time."""
    n, height, width, _ = x.shape
    outputs, per_group = weight.shape[0], weight.shape[-1]
    y = np.zeros((n, height, width, outputs))
    for i, j, o in np.ndindex(height, width, outputs):
        for di, dj, c in np.ndindex(3, 3, per_group):
            row, column = i + di - 1, j + dj - 1
            if 0 <= row < height and 0 <= column < width:
                source = o // (outputs // groups) * per_group + c
                y[:, i, j, o] += x[:, row, column, source].astype(np.float64) * weight[o, di, dj, c]
    return y


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_padded_convolution_keeps_its_mean_output(groups: int) -> None:
    """Borders count as the layer sees them: the mean input alone would be wrong there."""
    weight = np.random.default_rng(0).normal(size=(8, 3, 3, 4 // groups)).astype(np.float32)
    b = GraphBuilder("conv")
    graph = b.graph(b.conv(b.input("x", (4, 5, 4)), weight, padding=1, groups=groups, name="c"))
    data = splits(uniform(10, 4, 5, 4))
    quantized = rounded(graph, data)
    after, _ = corrected(quantized, data)
    wanted = convolution(data.train.x, weight, groups).mean(axis=(0, 1, 2))
    got = convolution(data.train.x, after.weights["c.weight"].decode(), groups).mean(axis=(0, 1, 2))
    bias = after.weights[after.node("c").params["bias"]].decode()
    assert np.abs(wanted - got).max() > 1e-2
    np.testing.assert_allclose(got + bias, wanted, atol=1e-5)


def test_inputs_of_later_layers_are_those_of_the_float_network() -> None:
    graph = small_cnn()
    data = splits(uniform(64, 8, 8, 1))
    quantized = rounded(graph, data)
    after, _ = corrected(quantized, data)
    last = quantized.nodes[-1]
    seen: dict[str, npt.NDArray[np.float32]] = {}
    run_float(graph, data.train.x, lambda node, outputs: seen.update({node.output: outputs[0]}))
    x = seen[last.inputs[0]].astype(np.float64)
    error = graph.weights[last.params["weight"]].decode() - quantized.weights[last.params["weight"]].decode()
    moved = after.weights[last.params["bias"]].decode() - quantized.weights[last.params["bias"]].decode()
    np.testing.assert_allclose(moved, (x @ error.T).mean(axis=0), atol=1e-4)


def test_only_biases_change() -> None:
    graph = kitchen_sink()
    quantized = rounded(graph, noise_like(graph))
    after, _ = corrected(quantized, noise_like(graph))
    biases = {node.params["bias"] for node in after.nodes if "bias" in node.params}
    assert set(after.weights) - set(quantized.weights) <= biases
    for name in set(after.weights) - biases:
        assert after.weights[name] is quantized.weights[name]
    assert after.values == quantized.values


def test_tied_layers_with_a_common_bias_get_one_each() -> None:
    """Both read other inputs, so their means shift differently."""
    b = GraphBuilder("tied")
    w, bias = np.random.default_rng(0).normal(size=(5, 5)), np.ones(5)
    b.weight("w", w)
    b.weight("b", bias)
    h = b.op("linear", [b.input("x", (5,))], {"weight": "w", "bias": "b"}, name="one")
    graph = b.graph(b.op("linear", [b.op("relu", [h])], {"weight": "w", "bias": "b"}, name="two"))
    data = splits(uniform(50, 5))
    after, _ = corrected(rounded(graph, data), data)
    first, second = (after.weights[after.node(name).params["bias"]].decode() for name in ("one", "two"))
    assert np.abs(first - second).max() > 1e-3


def test_pruned_weights_count_as_zero() -> None:
    b = GraphBuilder("sparse")
    graph = b.graph(b.linear(b.input("x", (6,)), np.random.default_rng(0).normal(size=(4, 6)), name="l"))
    mask = np.random.default_rng(1).random((4, 6)) < 0.5
    sparse = graph.with_weights({"l.weight": Sparse(mask, graph.weights["l.weight"])})
    zeroed = graph.with_weights({"l.weight": Dense(sparse.weights["l.weight"].decode())})
    data = splits(uniform(50, 6))
    (a, _), (c, _) = (corrected(rounded(g, data), data) for g in (sparse, zeroed))
    bias = a.node("l").params["bias"]
    np.testing.assert_allclose(a.weights[bias].decode(), c.weights[bias].decode(), atol=1e-6)


def test_float_network_is_left_alone_and_told() -> None:
    graph = small_cnn()
    after, notes = corrected(graph, noise_like(graph))
    assert after is graph
    assert notes == ["quantize.bias_correction: no layer has weights that were just rounded, nothing changes"]


def test_weights_known_only_rounded_are_left_alone() -> None:
    graph = small_cnn()
    data = noise_like(graph)
    stored = rounded(graph, data)
    stored = stored.with_weights(
        {n: replace(w, float_latent=None) for n, w in stored.weights.items() if hasattr(w, "float_latent")}
    )
    assert corrected(stored, data)[0] is stored


def test_recipe_takes_it_after_quantization_only() -> None:
    Recipe((AffineQuantization(), BiasCorrection()))
    with pytest.raises(Exception, match="VALUES step comes after a STORAGE step"):
        Recipe((BiasCorrection(), AffineQuantization()))


def test_no_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="samples"):
        BiasCorrection(samples=0)
