"""Ternary weights: which layers change, how scales are learned, and that what is stored is three values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.formats import Dense, Sparse, Ternary
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.ternary import TernaryWeights
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.networks import digits, noise_like, small_cnn, small_gru

RNG = np.random.default_rng(0)


def deep() -> Graph:
    blocks = Blocks("deep", (8, 8, 1), 0).conv(8, 3).conv(8, 3, depthwise=True).conv(16, 3, 2)
    return blocks.flatten().linear(24).classify(10)


def kinds(graph: Graph) -> list[bool]:
    """Of the layers in order: are they ternary?"""
    weights = [graph.weights[n.params["weight"]] for n in graph.walk() if "weight" in n.params]
    return [isinstance(weight, Ternary) for weight in weights]


def applied(step: Step, graph: Graph) -> Graph:
    return step.apply(graph, Context(None, graph))


@pytest.mark.parametrize("first", [False, True])
@pytest.mark.parametrize("last", [False, True])
def test_the_ends_are_ternary_where_asked_for_and_depthwise_filters_never(first: bool, last: bool) -> None:
    assert kinds(applied(TernaryWeights(first=first, last=last), deep())) == [first, False, True, True, last]


def test_gates_of_a_recurrence_are_one_layer() -> None:
    assert not any(kinds(applied(TernaryWeights(), small_gru())))
    assert kinds(applied(TernaryWeights(first=True), small_gru())) == [*[True] * 6, False]


def test_pruned_weights_keep_their_zeros() -> None:
    graph = deep()
    (name,) = (n.params["weight"] for n in graph.nodes if n.op == "linear" and n.name != graph.nodes[-1].name)
    mask = RNG.random(graph.weights[name].shape) < 0.3
    fmt = applied(TernaryWeights(), graph.with_weights({name: Sparse(mask, graph.weights[name])})).weights[
        name
    ]
    assert isinstance(fmt, Sparse)
    assert isinstance(fmt.inner, Ternary)
    assert not fmt.decode()[~mask].any()


@given(st.integers(0, 2**32 - 1), st.sampled_from(["channel", "tensor"]))
@settings(max_examples=15, deadline=None)
def test_a_learned_scale_gets_the_gradients_of_its_symbols(seed: int, granularity: str) -> None:
    """Against the sum written out; a scale of e^growth times its start has the start as its factor."""
    rng = np.random.default_rng(seed)
    weight, seen = rng.normal(size=(2, 3, 4)).astype(np.float32)
    fmt = replace(Ternary.fit(weight, granularity), learned=True)
    twin = fmt.twin()
    (twin.weight() * torch.from_numpy(seen)).sum().backward()
    rows = (fmt.symbols * seen.astype(np.float64)).reshape(fmt.scale.size, -1).sum(axis=1)
    np.testing.assert_allclose(twin.scale.growth.grad.numpy(), rows * fmt.scale, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(twin.latent.grad.numpy(), seen, rtol=1e-6)


@pytest.mark.parametrize("scale", ["mean", "learned"])
def test_training_leaves_the_mean_only_where_scales_are_learned(scale: str) -> None:
    graph, data = small_cnn(), digits()
    steps = (TernaryWeights(scale=scale, last=True), Fit(epochs=1, lr=1e-2))
    made = Recipe(steps).apply(graph, Context(replace(data, train=data.train.head(256)), graph))
    fmt = made.weights[made.nodes[-1].params["weight"]]
    assert isinstance(fmt, Ternary)
    follows = np.array_equal(fmt.scale, Ternary.fit(fmt.latent).scale)
    assert follows == (scale == "mean")


@pytest.mark.parametrize("scale", ["mean", "learned"])
def test_the_file_runs_as_the_network_that_was_trained(scale: str) -> None:
    """Integers stay within rounding of activations; the reference equals native code."""
    graph, data = deep(), noise_like(deep())
    made = applied(TernaryWeights(scale=scale, first=True, last=True), graph)
    whole = lower(AffineQuantization().apply(made, Context(data, graph)))
    (again,) = unpack_smg(pack_smg([whole])).graphs
    grid, out = (again.values[name].grid for name in (again.inputs[0], again.outputs[0]))
    x = grid.quantize(data.test.x).astype(np.int8)
    found = run_integer(again, x)
    np.testing.assert_array_equal(native_plan(again).run(x), found)
    expected = run_float(made, data.test.x)
    assert np.abs((found.astype(np.float64) - out.zero) * out.scale - expected).max() < 0.1 * np.ptp(expected)
    stored = [fmt for fmt in again.weights.values() if isinstance(fmt, Ternary)]
    assert len(stored) == 4


def test_three_values_take_less_than_two_bits_in_the_file() -> None:
    graph = Blocks("wide", (64,), 0).linear(256).linear(256).classify(4)
    sizes = [
        len(pack_smg([lower(Recipe((*steps, AffineQuantization())).apply(graph, ctx))]))
        for ctx in [Context(noise_like(graph), graph)]
        for steps in ((), (TernaryWeights(),))
    ]
    assert sizes[0] - sizes[1] > 256 * 256 * (7 - 2) / 8


def test_nothing_to_change_is_said() -> None:
    graph = deep()
    ctx = Context(None, graph)
    made = TernaryWeights().apply(TernaryWeights().apply(graph, ctx), ctx)
    assert isinstance(made.weights[made.nodes[0].params["weight"]], Dense)
    assert len(ctx.notes) == 1
    assert "nothing changes" in ctx.notes[0]


def test_unknown_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="granularity must be"):
        TernaryWeights(granularity="group")
    with pytest.raises(ValueError, match="scale must be"):
        TernaryWeights(scale="two")
