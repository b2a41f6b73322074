"""Data-free quantization: nothing but the network is read, and layers do better than by rounding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from smidgen.data.dataset import Splits
from smidgen.formats import Affine, Dense, Sparse
from smidgen.formats.affine import requantized
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.data_free import DataFreeQuantization
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import kitchen_sink, noise_like, small_cnn, small_gru


class Untouchable:
    """Data that may not even be looked at."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError(f"the training data was asked for {name}")


def applied(graph: Graph, data: Splits | None = None, **settings: Any) -> tuple[Graph, list[str]]:
    ctx = Context(data, graph, seed=1)
    step = DataFreeQuantization(**{"bits": 4, "granularity": "tensor", "steps": 20, **settings})
    return step.apply(graph, ctx), ctx.notes


def content(graph: Graph) -> tuple[Any, ...]:
    weights = {name: (w.label, w.decode().tobytes()) for name, w in graph.weights.items()}
    return weights, dict(graph.values), graph.nodes


@pytest.mark.parametrize("build", [small_cnn, kitchen_sink])
def test_data_is_never_touched_and_changes_nothing(build: type[Graph]) -> None:
    graph = build()
    without, _ = applied(graph, steps=10)
    beside, _ = applied(graph, Untouchable(), steps=10)  # type: ignore[arg-type]
    given, _ = applied(graph, noise_like(graph), steps=10)
    assert content(without) == content(beside) == content(given)


def test_the_network_becomes_integers_without_data() -> None:
    made, _ = applied(small_cnn())
    assert lower(made).is_integer
    weights = [made.weights[n.params["weight"]] for n in made.nodes if n.op in ("conv", "linear")]
    assert {(type(w), w.bits) for w in weights} == {(Affine, 4)}


def loss(graph: Graph, made: Graph) -> float:
    """Mean squared error of the float network with quantized weights, on white noise."""
    x = noise_like(graph, 200, seed=7).test.x
    return float(np.square(run_float(made, x) - run_float(graph, x)).mean())


def test_fitted_layers_lose_less_than_rounded_ones() -> None:
    """Of a network with BatchNorms that tell the truth about what layers make of white noise."""
    graph = truthful(small_cnn())
    rounded = AffineQuantization(bits=3, granularity="tensor").apply(graph, Context(noise_like(graph), graph))
    fitted, _ = applied(graph, bits=3, steps=200, smoothness=0.0)
    assert loss(graph, fitted) < loss(graph, rounded) / 2


def truthful(graph: Graph) -> Graph:
    """`graph` with the mean and variance of its first BatchNorm measured on white noise."""
    norm = next(node for node in graph.nodes if node.op == "batch_norm")
    before = replace(graph, outputs=norm.inputs).pruned()
    made = run_float(before, noise_like(graph, 500, seed=3).test.x)
    rows = made.reshape(-1, made.shape[-1])
    found = {"mean": rows.mean(axis=0), "variance": rows.var(axis=0)}
    return graph.with_weights({norm.params[role]: Dense(array) for role, array in found.items()})


def test_a_layer_is_never_worse_on_its_inputs_than_what_it_started_with() -> None:
    """So with a learning rate that ruins everything, rounding remains."""
    graph = small_cnn()
    wild, _ = applied(graph, lr=50.0)
    still, _ = applied(graph, steps=0)
    layers = [node.params["weight"] for node in wild.nodes if "weight" in node.params]
    assert all(np.array_equal(wild.weights[n].decode(), still.weights[n].decode()) for n in layers)


def test_biases_take_in_the_mean_that_rounding_moved() -> None:
    """Without updates: b' - b = E[(W - Q) x], and the inputs have the mean 2."""
    b = GraphBuilder("one")
    h = b.linear(b.input("x", (2,)), np.array([[1.0, 0.3]]), np.zeros(1), name="one")
    graph = b.graph(h)
    made, _ = applied(graph, bits=2, steps=0, sweeps=0, input_low=0.0, input_high=4.0)
    lost = np.array([[1.0, 0.3]]) - made.weights["one.weight"].decode()
    assert np.abs(lost).max() > 0.1
    np.testing.assert_allclose(made.weights["one.bias"].decode(), lost.sum(axis=1) * 2, atol=0.05)


def test_untouched_training_gives_the_same_weights_back() -> None:
    made, _ = applied(small_cnn())
    for weight in made.weights.values():
        if isinstance(weight, Affine):
            assert np.array_equal(requantized(weight, weight.latent).symbols, weight.symbols)


def test_masks_and_equalization_before_it_stay() -> None:
    graph = small_cnn()
    pruned = GlobalMagnitude(0.5).apply(graph, Context(None, graph))
    made, _ = applied(Equalize().apply(pruned, Context(None, pruned)))
    for name in ("conv1.weight", "conv2.weight"):
        before, after = pruned.weights[name], made.weights[name]
        assert isinstance(before, Sparse)
        assert isinstance(after, Sparse)
        np.testing.assert_array_equal(before.mask, after.mask)


def test_a_second_time_changes_nothing_and_says_so() -> None:
    once, _ = applied(small_cnn())
    twice, notes = applied(once)
    assert content(twice) == content(once)
    assert "on grids already" in notes[-1]


def test_a_network_without_batch_norm_is_told_that_white_noise_is_all() -> None:
    graph = small_cnn()
    folded, _ = applied(graph)
    del folded
    _, notes = applied(canonical(graph))
    assert any("white noise" in note for note in notes)


def test_recurrences_keep_real_activations_and_say_so() -> None:
    made, notes = applied(small_gru())
    assert not lower(made).is_integer
    assert any("stay real numbers" in note for note in notes)
    assert any("not fitted" in note for note in notes)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("bits", 9),
        ("activation_bits", 1),
        ("deviations", 0.0),
        ("sweeps", -1),
        ("steps", -1),
        ("lr", 0.0),
        ("smoothness", 1.5),
        ("law", "pink"),
        ("input_low", 4.0),
    ],
)
def test_settings_out_of_range_are_refused(setting: str, value: Any) -> None:
    with pytest.raises(ValueError, match=setting):
        DataFreeQuantization(**{setting: value})
