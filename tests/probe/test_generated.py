"""Made-up inputs of layers have the moments that BatchNorm states, whatever stands in between."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Dense
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower.canonical import canonical
from smidgen.probe.generated import Generated, Noise, Normal, stated
from tests.networks import batch_norm, kitchen_sink, small_cnn, small_gru

COUNT = 20_000
NOISE = Noise(-3.0, 3.0)


def generated(graph: Graph, smoothness: float = 0.5, count: int = COUNT) -> tuple[Graph, Generated]:
    folded = canonical(graph)
    laws = stated(graph, folded)
    return folded, Generated(folded, laws, NOISE, count, smoothness, np.random.default_rng(0))


def branches(op: str) -> Graph:
    """Two convolutions with BatchNorm, joined by `op`, ReLU, a linear layer at each position."""
    rng, b = np.random.default_rng(1), GraphBuilder("branches")
    x = b.input("x", (4, 4, 3))
    made = [batch_norm(b, b.conv(x, rng.normal(size=(5, 1, 1, 3))), rng) for _ in range(2)]
    h = b.op("concat", made, axis=2) if op == "concat" else b.op(op, made)
    return b.graph(b.conv(b.op("relu", [h]), rng.normal(size=(2, 1, 1, b.shape(h)[-1])), name="last"))


def parameters(graph: Graph, role: str) -> list[np.ndarray]:
    return [graph.weights[n.params[role]].decode() for n in graph.nodes if n.op == "batch_norm"]


def test_beta_and_gamma_behind_the_batch_norm_in_front_are_stated() -> None:
    graph = small_cnn()
    (law,) = stated(graph, canonical(graph)).values()
    np.testing.assert_array_equal(law.mean, parameters(graph, "beta")[0])
    np.testing.assert_array_equal(law.deviation, np.abs(parameters(graph, "gamma")[0]))


def test_constants_that_fold_after_a_batch_norm_move_its_law() -> None:
    rng, b = np.random.default_rng(2), GraphBuilder("constants")
    h = batch_norm(b, b.conv(b.input("x", (4, 4, 3)), rng.normal(size=(5, 1, 1, 3))), rng)
    factor, term = np.array([2.0, -1, 0.5, 3, 1]), np.arange(5.0)
    h = b.op("add_constant", [b.op("mul_constant", [h], {"constant": factor})], {"constant": term})
    graph = b.graph(b.op("relu", [h]))
    (law,) = stated(graph, canonical(graph)).values()
    np.testing.assert_allclose(law.mean, parameters(graph, "beta")[0] * factor + term, rtol=1e-6)
    np.testing.assert_allclose(law.deviation, np.abs(parameters(graph, "gamma")[0] * factor), rtol=1e-6)


@pytest.mark.parametrize("smoothness", [0.0, 0.8])
def test_draws_have_the_stated_moments_and_the_share_that_positions_have_in_common(smoothness: float) -> None:
    _, found = generated(small_cnn(), smoothness)
    name = next(iter(found.laws))
    law, drawn = found.laws[name], found.draws(name, (1, 2))
    np.testing.assert_allclose(drawn.mean(axis=(0, 1, 2)), law.mean, atol=0.04)
    np.testing.assert_allclose(drawn.std(axis=(0, 1, 2)), law.deviation, rtol=0.03)
    shared = [np.corrcoef(drawn[:, 0, 0, c], drawn[:, 0, 1, c])[0, 1] for c in range(drawn.shape[-1])]
    np.testing.assert_allclose(shared, smoothness, atol=0.04)


@pytest.mark.parametrize(("op", "sign"), [("add", 1), ("sub", -1)])
def test_moments_of_branches_add_up(op: str, sign: int) -> None:
    graph = branches(op)
    folded, found = generated(graph)
    (mean_a, mean_b), (a, b) = parameters(graph, "beta"), parameters(graph, "gamma")
    law = found.laws[next(node.output for node in folded.nodes if node.op == op)]
    np.testing.assert_allclose(law.mean, mean_a + sign * mean_b, atol=0.05)
    np.testing.assert_allclose(law.deviation, np.sqrt(a**2 + b**2), rtol=0.03)


def test_the_actual_activation_comes_between() -> None:
    """E[relu(N(m, s))] = m Phi(m / s) + s phi(m / s), here by numerical integration."""
    graph = branches("concat")
    folded, found = generated(graph)
    x = found.inputs_of(folded.node("last"))
    assert x is not None
    means, deviations = (np.concatenate(parameters(graph, role)) for role in ("beta", "gamma"))
    z = np.linspace(-8, 8, 4001)
    density = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) * (z[1] - z[0])
    wanted = [(np.maximum(m + s * z, 0) * density).sum() for m, s in zip(means, deviations)]
    assert x.shape == (1, COUNT, 10)
    np.testing.assert_allclose(x[0].mean(axis=0), wanted, atol=0.04)


def test_a_layer_without_batch_norm_hands_on_the_moments_of_its_outputs() -> None:
    """conv -> linear per position on white noise: y = W x + b has mean b and variance sum of W^2."""
    rng, b = np.random.default_rng(3), GraphBuilder("bare")
    weight, bias = rng.normal(size=(4, 3, 3, 2)), rng.normal(size=4)
    h = b.conv(b.input("x", (6, 6, 2)), weight, bias, name="bare")
    graph, found = generated(b.graph(b.op("relu", [h])), smoothness=0.0)
    law = found.laws[graph.node("bare").output]
    np.testing.assert_allclose(law.mean, bias, atol=0.2)
    np.testing.assert_allclose(law.deviation, np.sqrt((weight**2).sum(axis=(1, 2, 3))), rtol=0.05)


def test_outputs_are_those_of_the_layer_itself() -> None:
    """A depthwise convolution by loops over groups and taps."""
    rng, b = np.random.default_rng(4), GraphBuilder("depthwise")
    weight = rng.normal(size=(6, 2, 2, 1)).astype(np.float32)
    graph = b.graph(b.conv(b.input("x", (5, 5, 3)), weight, groups=3, name="depthwise"))
    _, found = generated(graph, count=7)
    x = found.inputs_of(graph.node("depthwise"))
    assert x is not None
    made = found.outputs_of(graph.node("depthwise"), x, weight)
    wanted = [[x[o // 2, n] @ weight[o].ravel() for o in range(6)] for n in range(7)]
    np.testing.assert_allclose(made, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("build", [small_cnn, kitchen_sink])
def test_draws_lie_within_their_reach(build: type[Graph]) -> None:
    """Six deviations: beyond lie two in a billion."""
    folded, found = generated(build(), count=300)
    layers = [n for n in folded.nodes if n.op in ("linear", "conv") and n.inputs[0] in found.known]
    assert len(layers) > 2
    for node in layers:
        low, high = found.reach(node.inputs[0], 6.0)
        x = found.inputs_of(node)
        assert x is not None
        assert low - 1e-5 <= x.min()
        assert x.max() <= high + 1e-5


def test_reach_of_relu_is_beta_plus_k_gamma() -> None:
    graph = small_cnn()
    folded, found = generated(graph)
    relu = next(node for node in folded.nodes if node.op == "relu")
    beta, gamma = parameters(graph, "beta")[0], parameters(graph, "gamma")[0]
    low, high = found.reach(relu.output, 4.0)
    assert low == 0.0
    assert high == pytest.approx((beta + 4 * np.abs(gamma)).max(), rel=1e-6)


def test_flattened_maps_are_drawn_position_by_position() -> None:
    """All positions share nothing: features are independent, and each has its channel's mean."""
    b = GraphBuilder("flat")
    h = b.conv(b.input("x", (2, 3, 2)), np.eye(2).reshape(2, 1, 1, 2), np.array([1.0, -1]), name="conv")
    graph = b.graph(b.linear(b.flatten(h), np.ones((1, 12)), name="last"))
    laws = {"conv": Normal(np.array([1.0, -1]), np.array([0.1, 0.2]))}
    found = Generated(graph, laws, NOISE, COUNT, 0.0, np.random.default_rng(0))
    x = found.inputs_of(graph.node("last"))
    assert x is not None
    np.testing.assert_allclose(x[0].mean(axis=0), [1, -1] * 6, atol=0.02)
    np.testing.assert_allclose(x[0].std(axis=0), [0.1, 0.2] * 6, rtol=0.05)


def test_what_a_recurrence_makes_is_not_known() -> None:
    graph = small_gru()
    folded, found = generated(graph, count=10)
    scan = next(node for node in folded.nodes if node.op == "scan")
    assert not set(scan.outputs) & found.known
    assert set(folded.inputs) <= found.known


def test_a_batch_norm_that_can_not_fold_states_its_own_output() -> None:
    rng, b = np.random.default_rng(5), GraphBuilder("first")
    graph = b.graph(b.op("relu", [batch_norm(b, b.input("x", (4, 4, 3)), rng)]))
    folded = canonical(graph)
    assert [node.op for node in folded.nodes] == ["conv", "relu"]
    assert set(stated(graph, folded)) == {folded.nodes[0].output}
    assert isinstance(folded.weights[folded.nodes[0].params["weight"]], Dense)
