"""Outlier channel splitting: the same function, a smaller range, and copies that round like one weight."""

from __future__ import annotations

from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from smidgen.formats import Dense
from smidgen.formats.affine import qmax_of
from smidgen.graph import Graph, Node
from smidgen.graph.cost import macs
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import unrounded
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.quantize.ocs import (
    OutlierChannelSplitting,
    at_random,
    largest_first,
    on_grid,
    sources_of,
    split,
)
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import kitchen_sink, noise_like, small_cnn

WEIGHTS = arrays(np.float64, (3, 2, 5), elements=st.floats(-4, 4, width=32))


def applied(graph: Graph, **settings: object) -> tuple[Graph, list[str]]:
    ctx = Context(None, graph, seed=5)
    return OutlierChannelSplitting(**settings).apply(graph, ctx), ctx.notes  # type: ignore[arg-type]


def in_reals(graph: Graph) -> Graph:
    """The network with the weights that were there before rounding."""
    rounded = {n: Dense(unrounded(w)) for n, w in graph.weights.items() if w.integers() is not None}
    return graph.with_weights(rounded)


def split_layers(graph: Graph) -> list[Node]:
    return [node for node in graph.nodes if f"{node.name}.sources" in graph.weights]


@pytest.mark.parametrize("build", [small_cnn, kitchen_sink])
@pytest.mark.parametrize("order", ["largest", "random"])
def test_function_before_rounding_stays(build: type[Graph], order: str) -> None:
    graph = build()
    made, notes = applied(graph, ratio=0.3, order=order)
    x = noise_like(graph, 5).test.x
    wanted = run_float(graph, x)
    assert notes == []
    assert split_layers(made)
    np.testing.assert_allclose(run_float(in_reals(made), x), wanted, rtol=0, atol=1e-5 * np.abs(wanted).max())


def test_first_layer_and_grouped_convolutions_stay() -> None:
    graph = kitchen_sink()
    folded, (made, _) = canonical(graph), applied(graph)
    touched = {node.name for node in split_layers(made)}
    layers = [node for node in folded.nodes if node.op in ("conv", "linear")]
    assert touched == {n.name for n in layers[1:] if n.attrs.get("groups", 1) == 1}
    assert touched < {n.name for n in layers[1:]}


def test_channels_and_work_grow_by_the_share_asked() -> None:
    graph = small_cnn()
    made, _ = applied(graph, ratio=0.25)
    before, after = canonical(graph), made
    for node in split_layers(made):
        channels = before.weights[node.params["weight"]].shape[-1]
        assert made.weights[node.params["weight"]].shape[-1] == channels + -(-channels // 4)
        assert macs(after)[node.name] * channels == macs(before)[node.name] * (channels + -(-channels // 4))


@given(WEIGHTS, st.integers(1, 8), st.integers(2, 8), st.booleans(), st.integers(0, 99))
def test_copies_round_to_what_the_weight_rounds_to(
    weight: np.ndarray, count: int, bits: int, by_channel: bool, seed: int
) -> None:
    """An exact reference: floor(w / s + 1/2) in rational numbers, with a scale that needs no clipping."""
    parents = at_random(weight, count, np.random.default_rng(seed))
    rows = np.abs(weight).max(axis=(1, 2)) if by_channel else np.abs(weight).max(keepdims=True).ravel()
    scale = np.exp2(np.ceil(np.log2(np.maximum(rows, 0.01) / qmax_of(bits)))).astype(np.float32)
    symbols = on_grid(weight, parents, scale, bits).symbols.astype(np.int64)
    together = np.zeros(weight.shape, np.int64)
    np.add.at(together.transpose(2, 0, 1), sources_of(parents, 5), symbols.transpose(2, 0, 1))
    for (o, k, i), w in np.ndenumerate(weight):
        steps = Fraction(float(w)) / Fraction(float(scale[o if by_channel else 0]))
        assert together[o, k, i] == (steps + Fraction(1, 2)).__floor__()


@given(WEIGHTS, st.integers(1, 8))
def test_largest_weight_is_halved_each_time(weight: np.ndarray, count: int) -> None:
    """Brute force: look for the largest |w| in the tensor as it is, and halve its channel."""
    grown = weight
    for parent in largest_first(weight, count):
        tops = np.abs(grown).max(axis=(0, 1))
        assert tops[parent] == tops.max()
        half = grown[..., parent] / 2
        grown = np.concatenate([grown, half[..., None]], axis=-1)
        grown[..., parent] = half
    assert np.array_equal(grown, split(weight, largest_first(weight, count), 0.0))


def test_scale_comes_from_the_range_after_splitting() -> None:
    graph = small_cnn()
    name = next(n.params["weight"] for n in canonical(graph).nodes if n.op == "linear")
    weight = np.asarray(canonical(graph).weights[name].decode()).copy()
    weight[3, 7] = 8.0
    spiked = graph.with_weights({name: Dense(weight)})
    made, _ = applied(spiked, ratio=0.01, bits=4)
    scale = made.weights[name].integers().scale  # type: ignore[union-attr]
    assert scale.shape == (1,)
    assert scale[0] == pytest.approx(4.0 / 7, rel=2**-7)


def test_random_order_draws_other_channels() -> None:
    graph = small_cnn()
    drawn = [applied(graph, ratio=0.5, order=order)[0] for order in ("largest", "random")]
    first, second = (
        [Counter(g.weights[f"{n.name}.sources"].decode().tolist()) for n in split_layers(g)] for g in drawn
    )
    assert first != second


def test_clipping_rule_makes_the_grid_finer() -> None:
    graph = small_cnn()
    (plain, _), (clipped, _) = applied(graph, bits=3), applied(graph, bits=3, rule="mse")
    for node in split_layers(plain):
        name = node.params["weight"]
        a, b = (g.weights[name].integers().scale for g in (plain, clipped))  # type: ignore[union-attr]
        assert b[0] < a[0]


def test_channel_scales_are_one_an_output() -> None:
    made, _ = applied(small_cnn(), granularity="channel")
    for node in split_layers(made):
        weight = made.weights[node.params["weight"]]
        assert weight.integers().scale.shape == (weight.shape[0],)  # type: ignore[union-attr]


def test_equalization_may_come_before() -> None:
    graph = small_cnn()
    made, _ = applied(Equalize().apply(graph, Context(None, graph)))
    x = noise_like(graph, 4).test.x
    wanted = run_float(graph, x)
    np.testing.assert_allclose(run_float(in_reals(made), x), wanted, rtol=0, atol=2e-5 * np.abs(wanted).max())


@pytest.mark.parametrize(
    "wrong",
    [{"ratio": 0.0}, {"ratio": 1.5}, {"bits": 1}, {"granularity": "group"}, {"order": "last"}],
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        OutlierChannelSplitting(**wrong)  # type: ignore[arg-type]
