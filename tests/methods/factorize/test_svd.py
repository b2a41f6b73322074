"""Truncated SVD: the nearest factors of their rank, where those are smaller, through to integers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.errors import BadInput
from smidgen.formats import Dense, LowRank
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.methods.factorize.svd import TruncatedSVD
from smidgen.methods.post_training import weight_names
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.networks import kitchen_sink, noise_like, small_cnn


def apply(step: TruncatedSVD, graph: Graph) -> tuple[Graph, str]:
    ctx = Context(None, graph)
    return step.apply(graph, ctx), " ".join(ctx.notes)


def one_layer(weight: np.ndarray) -> Graph:
    b = GraphBuilder("one")
    return b.graph(b.linear(b.input("x", weight.shape[1:]), weight, name="fc"))


@given(st.integers(2, 12), st.integers(2, 12), st.floats(0.05, 1.0), st.integers(0, 1000))
@settings(max_examples=60, deadline=None)
def test_the_error_is_the_least_that_any_matrix_of_that_rank_has(
    outputs: int, inputs: int, keep: float, seed: int
) -> None:
    weight = np.random.default_rng(seed).normal(size=(outputs, inputs)).astype(np.float32)
    found = apply(TruncatedSVD(keep), one_layer(weight))[0].weights["fc.weight"]
    s = np.linalg.svd(weight.astype(np.float64), compute_uv=False)
    if isinstance(found, LowRank):
        bound = math.sqrt(np.square(s[found.rank :]).sum())  # Eckart, Young 1936
        assert np.linalg.norm(weight - found.decode()) == pytest.approx(bound, abs=1e-5)
        assert np.square(s[: found.rank]).sum() >= (keep - 1e-9) * np.square(s).sum()
        assert found.rank == 1 or np.square(s[: found.rank - 1]).sum() < keep * np.square(s).sum()
        assert found.rank * (outputs + inputs) < outputs * inputs
    else:
        assert isinstance(found, Dense)


def test_a_convolution_is_factored_over_its_folded_kernel() -> None:
    graph = small_cnn()
    found = apply(TruncatedSVD(0.5), graph)[0].weights["conv2.weight"]
    assert isinstance(found, LowRank)
    assert found.left.shape == (12, 1, 1, found.rank)
    assert found.right.shape == (found.rank, 3, 3, 12)
    whole = graph.weights["conv2.weight"].decode()
    s = np.linalg.svd(whole.reshape(12, -1).astype(np.float64), compute_uv=False)
    error = np.linalg.norm(whole - found.decode())
    assert error == pytest.approx(math.sqrt(np.square(s[found.rank :]).sum()), abs=1e-5)


def test_factors_share_the_range_out() -> None:
    found = apply(TruncatedSVD(0.5), small_cnn())[0].weights["conv2.weight"]
    left = found.left.decode().reshape(12, -1)
    right = found.right.decode().reshape(found.rank, -1)
    assert np.allclose(np.linalg.norm(left, axis=0), np.linalg.norm(right, axis=1), rtol=1e-4)


@pytest.mark.parametrize("keep", [0.7, 0.4, 0.2])
def test_by_weights_keeps_the_most_energy_that_the_budget_allows(keep: float) -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("mlp")
    h = b.op("relu", [b.linear(b.input("x", (40,)), rng.normal(size=(30, 40)))])
    graph = b.graph(b.linear(h, rng.normal(size=(20, 30)) * np.arange(1, 31)))
    factored = apply(TruncatedSVD(keep, "weights"), graph)[0]
    budget = keep * (30 * 40 + 20 * 30)
    assert stored(factored) <= budget
    spectra = {
        name: np.square(np.linalg.svd(graph.weights[name].decode().astype(np.float64), compute_uv=False))
        for name in weight_names(graph)
    }
    # One more direction anywhere, where the next one in line is, would not fit any more.
    reached = {
        name: s[: factored.weights[name].rank + 1].sum() / s.sum()
        for name, s in spectra.items()
        if isinstance(factored.weights[name], LowRank)
    }
    nearest = min(reached, key=lambda name: reached[name])
    assert stored(factored) + sum(graph.weights[nearest].shape) > budget


def stored(graph: Graph) -> int:
    """Weights of the layers, counted by their factors."""
    sizes = []
    for name in weight_names(graph):
        fmt = graph.weights[name]
        sizes += [f.shape for f in (fmt.left, fmt.right)] if isinstance(fmt, LowRank) else [fmt.shape]
    return sum(math.prod(shape) for shape in sizes)


def test_layers_that_would_not_shrink_stay_whole_and_are_named() -> None:
    factored, notes = apply(TruncatedSVD(1.0), small_cnn())
    assert not any(isinstance(fmt, LowRank) for fmt in factored.weights.values())
    assert "conv2.weight" in notes
    assert "stay whole" in notes


def test_grouped_convolutions_are_left_alone() -> None:
    graph = kitchen_sink()
    depthwise = next(n.params["weight"] for n in graph.nodes if n.attrs.get("groups", 1) > 1)
    factored, _ = apply(TruncatedSVD(0.1), graph)
    assert isinstance(factored.weights[depthwise], Dense)
    assert any(isinstance(fmt, LowRank) for fmt in factored.weights.values())


def test_a_network_with_grids_is_too_late() -> None:
    graph = small_cnn()
    quantized = AffineQuantization(samples=8).apply(graph, Context(noise_like(graph), graph))
    again, notes = apply(TruncatedSVD(0.5), quantized)
    assert again is quantized
    assert "grids are declared already" in notes


def test_a_weight_of_zeros_gets_rank_one() -> None:
    found = apply(TruncatedSVD(0.9), one_layer(np.zeros((6, 8), np.float32)))[0].weights["fc.weight"]
    assert found.rank == 1
    assert not found.decode().any()


def test_a_weight_that_is_not_finite_is_refused() -> None:
    with pytest.raises(BadInput, match=r"fc\.weight.*NaN"):
        apply(TruncatedSVD(0.9), one_layer(np.full((6, 8), np.nan, np.float32)))


@pytest.mark.parametrize("wrong", [{"keep": 0.0}, {"keep": 1.5}, {"by": "rank"}])
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"keep|by"):
        TruncatedSVD(**wrong)


def test_the_file_of_a_factored_network_runs_the_factors_on_integers_everywhere() -> None:
    graph = small_cnn()
    data = noise_like(graph)
    recipe = Recipe((TruncatedSVD(0.5), AffineQuantization(samples=64)))
    integer = lower(recipe.apply(graph, Context(data, graph)))
    assert integer.values["conv2.factor"].dtype == "int8"
    read = unpack_smg(pack_smg([integer])).graph
    x = read.values["x"].grid.quantize(data.test.x).astype(np.int8)
    assert np.array_equal(run_integer(read, x), native_plan(read).run(x))
    real = read.values[read.outputs[0]].grid.dequantize(run_integer(read, x))
    expected = run_float(apply(TruncatedSVD(0.5), graph)[0], data.test.x)
    assert np.abs(real - expected).max() < 0.1 * np.abs(expected).max()
