"""Alpha-blending: its schedule, its gradient, and that what is left lies on the grid."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats import Affine, Binary
from smidgen.formats.affine import requantized
from smidgen.graph import Graph
from smidgen.learn.hooks import FitState
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.methods.quantize._blending import BlendTwin, refitted
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.alpha_blend import AlphaBlend
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.networks import digits

BITS = pytest.mark.parametrize("bits", [1, 2, 4])
W = np.random.default_rng(0).normal(size=(4, 3, 5)).astype(np.float32)


def deep() -> Graph:
    return Blocks("deep", (8, 8, 1), 0).conv(8, 3, 2).conv(16, 3, 2).flatten().linear(24).classify(10)


def blended(bits: int) -> BlendTwin:
    step = AlphaBlend(bits)
    return BlendTwin(W, step.fitted, step.alpha_at)


@given(st.fractions(0, 1), st.fractions(0, 1), st.fractions(0, 1))
@settings(max_examples=50, deadline=None)
def test_alpha_is_the_cubic_schedule(a: Fraction, b: Fraction, t: Fraction) -> None:
    """Against exact fractions."""
    start, until = sorted((a, b))
    if start == until or until == 1:
        return
    expected = 0 if t < start else 1 if t >= until else 1 - ((until - t) / (until - start)) ** 3
    found = AlphaBlend(start=float(start), until=float(until)).alpha_at(float(t))
    if min(abs(t - start), abs(t - until)) > 1e-9:
        assert found == pytest.approx(float(expected), abs=1e-5)


@BITS
@pytest.mark.parametrize("t", [0.1, 0.3, 0.5, 0.7, 0.9])
def test_the_gradient_is_one_minus_alpha_of_the_blends(bits: int, t: float) -> None:
    twin, seen = blended(bits), torch.from_numpy(W[::-1].copy())
    twin.progress(t)
    (twin.weight() * seen).sum().backward()
    factor = 1 - AlphaBlend().alpha_at(t)
    np.testing.assert_allclose(twin.latent.grad.numpy(), factor * W[::-1], rtol=1e-6)


@BITS
def test_a_blend_lies_between_the_weights_and_their_grid(bits: int) -> None:
    twin = blended(bits)
    twin.progress(0.5)
    alpha = AlphaBlend().alpha_at(0.5)
    expected = (1 - alpha) * W + alpha * twin.freeze().decode()
    np.testing.assert_allclose(twin.weight().detach().numpy(), expected, rtol=1e-5, atol=1e-6)


@BITS
def test_weights_freeze_on_the_grid_when_alpha_is_one(bits: int) -> None:
    """Momentum moves latents even without a gradient; the weights must not follow."""
    twin = blended(bits)
    twin.progress(0.85)
    first = twin.weight().detach().clone()
    with torch.no_grad():
        twin.latent += 1.0
    twin.progress(0.95)
    assert torch.equal(twin.weight(), first)
    assert np.array_equal(first.numpy(), twin.freeze().decode())


@given(st.integers(0, 2**32 - 1), st.integers(2, 5), st.floats(0.3, 3))
@settings(max_examples=40, deadline=None)
def test_a_refitted_grid_is_no_further_from_the_weights(seed: int, bits: int, size: float) -> None:
    """But for the rounding of a scale to bfloat16, at most 2^-7 of it."""
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(3, 20)).astype(np.float32)
    old = Affine.fit((size * weight).astype(np.float32), bits)
    before, after = requantized(old, weight), refitted(old, weight)
    errors = [np.square(fmt.decode() - weight).sum(axis=1) for fmt in (before, after)]
    rounding = np.square(before.symbols * before.scale[:, None] * 2.0**-6).sum(axis=1)
    found = before.symbols.any(axis=1)
    assert np.all(errors[1][found] <= (errors[0] + rounding)[found] * (1 + 1e-6))


def test_a_row_whose_symbols_were_all_zero_comes_back() -> None:
    old = replace(Affine.fit(W, 2), scale=np.full(4, 1e3, np.float32))
    assert refitted(old, W).symbols.reshape(4, -1).any(axis=1).all()


@BITS
def test_trained_weights_lie_exactly_on_the_grid_and_the_rest_goes_on(bits: int) -> None:
    graph, data = deep(), digits()
    data = replace(data, train=data.train.head(256))
    step = AlphaBlend(bits)
    declared = step.apply(graph, Context(data, graph))
    made = Fit(epochs=2).apply(declared, Context(data, graph))
    weights = [made.weights[n.params["weight"]] for n in made.nodes if n.op in ("conv", "linear")]
    assert [isinstance(fmt, Binary | Affine) for fmt in weights] == [False, True, True, False]
    for fmt in weights[1:3]:
        whole = fmt.integers()
        assert np.abs(whole.values).max() <= max(2 ** (bits - 1) - 1, 1)
        levels = whole.values.reshape(len(whole.scale), -1) * whole.scale[:, None]
        assert np.array_equal(fmt.decode(), levels.reshape(fmt.shape))
    assert made.pending == ()
    others = {name for name, fmt in made.weights.items() if not isinstance(fmt, Binary | Affine)}
    moved = {n for n in others if not np.array_equal(made.weights[n].decode(), graph.weights[n].decode())}
    assert moved == others


def test_batch_norms_and_biases_move_after_the_weights_are_frozen() -> None:
    graph, data = deep(), digits()
    twin = GraphTwin(AlphaBlend(1).apply(graph, Context(data, graph)))
    (hook,) = AlphaBlend(1).hooks(Context(data, graph))
    hook.on_fit_start(FitState(twin, 1, 1))
    twin.progress(0.9)
    torch.nn.functional.cross_entropy(
        twin(torch.from_numpy(data.train.x[:32])), torch.arange(32) % 10
    ).backward()
    trained = {name for name, w in twin.weights.items() if w.latent.grad is not None and w.latent.grad.any()}
    frozen = {name for name, w in twin.weights.items() if isinstance(w, BlendTwin)}
    assert len(frozen) == 2
    assert trained == set(twin.weights) - frozen


@BITS
def test_batch_norm_folds_into_the_scales_of_the_integers(bits: int) -> None:
    graph, data = deep(), digits()
    data = replace(data, train=data.train.head(128))
    steps = (AlphaBlend(bits), Fit(epochs=1), AffineQuantization())
    whole = lower(Recipe(steps).apply(graph, Context(data, graph)))
    assert [n.op for n in whole.nodes] == ["q.conv", "q.conv", "q.reshape", "q.linear", "q.linear"]
    grid = whole.values[whole.inputs[0]].grid
    x = grid.quantize(data.test.x[:8]).astype(np.int8)
    np.testing.assert_array_equal(native_plan(whole).run(x), run_integer(whole, x))


def test_a_schedule_that_does_not_end_before_the_training_is_refused() -> None:
    with pytest.raises(ValueError, match="until < 1"):
        AlphaBlend(until=1.0)
    with pytest.raises(ValueError, match="start < until"):
        AlphaBlend(start=0.8, until=0.8)
    with pytest.raises(ValueError, match="bits must be"):
        AlphaBlend(0)
