"""Networks with real values in prepared pieces, against the same network in float64."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.formats import Affine, Codebook, Dense, Format, Half, LowRank, Sparse
from smidgen.graph import Graph
from smidgen.graph.build import GraphBuilder
from smidgen.graph.structured import expand_structured
from smidgen.lower import lower
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context
from smidgen.models import dscnn, gru, mlp, resnet8
from smidgen.run import mixed
from smidgen.run.float_ops import FLOAT_FUNCTIONS, run_float_all
from smidgen.run.float_pieces import fused_clamp, ways_of
from smidgen.run.interpreter import interpret
from smidgen.run.mixed import MixedPlan
from smidgen.run.plans import plan_of
from smidgen.run.reference import run_integer
from tests.networks import small_cnn

NETWORK_TOLERANCE = 1e-5  # of the largest output: docs/NUMERICS.md
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=40, deadline=None)


def exact(graph: Graph, *x: np.ndarray) -> tuple[np.ndarray, ...]:
    """All outputs in float64, from the decoded weights."""
    graph = expand_structured(graph)
    weights = {name: fmt.decode().astype(np.float64) for name, fmt in graph.weights.items()}
    inputs = [a.astype(np.float64) for a in x]
    return interpret(graph, inputs, FLOAT_FUNCTIONS, weights.__getitem__)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def fitted(kind: str, weight: np.ndarray) -> Format:
    """`weight` in a format, by its name."""
    if kind == "sparse":
        return Sparse(np.abs(weight) > 1, Dense(weight))
    if kind == "codebook":
        return Codebook.fit(weight, 4)
    if kind == "half":
        return Half.fit(weight)
    return Dense(weight) if kind == "dense" else Affine.fit(weight, int(kind))


kinds = st.sampled_from(["dense", "half", "codebook", "sparse", "2", "4", "8"])


def every_way_is_close(graph: Graph, x: np.ndarray, products: int) -> None:
    """`products`: summed for an output. Bounds: docs/NUMERICS.md, and a rounding of the bias."""
    node = graph.nodes[0]
    clamp = fused_clamp(graph, node)
    expected = exact(graph, x)[0]
    positive = {name: Dense(np.abs(fmt.decode())) for name, fmt in graph.weights.items()}
    magnitude = exact(replace(graph, weights=positive), np.abs(x))[0]
    for way in ways_of(graph, node, clamp):
        (y,) = way.run([x])
        winograd = way.name.startswith("winograd")
        bound = 1e-5 * magnitude.max() if winograd else 2 * (products + 1) * 2.0**-23 * magnitude
        assert (np.abs(y - expected) <= bound).all(), way.name


@few
@given(kinds, seeds, st.integers(1, 90), st.integers(1, 60), st.integers(1, 5), st.booleans())
def test_every_way_of_a_linear_layer_stays_within_its_tolerance(kind, seed, width, out, rows, bare) -> None:
    b = GraphBuilder("linear")
    x = b.input("x", (rows, width) if seed % 2 else (width,))
    y = b.linear(x, normal(seed, out, width), None if bare else normal(seed + 1, out), "layer")
    graph = b.graph(b.op("relu", [y]) if seed % 3 else y)
    graph = graph.with_weights({"layer.weight": fitted(kind, normal(seed, out, width))})
    every_way_is_close(graph, normal(seed, 3, *graph.values["x"].shape), width)


@st.composite
def convolutions(draw):
    """(shape of the input, weight, attributes) of convolutions over one or two axes."""
    axes = draw(st.integers(1, 2))
    kernel = [draw(st.sampled_from([1, 2, 3, 7])) for _ in range(axes)]
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in kernel)
    size = [draw(st.integers(k, k + 8)) for k in kernel]
    depthwise = draw(st.booleans())
    per_in = 1 if depthwise else draw(st.integers(1, 20))
    groups = draw(st.integers(1, 40)) if depthwise else draw(st.sampled_from([1, 1, 2]))
    out = groups * (1 if depthwise else draw(st.integers(1, 20)))
    weight = normal(draw(seeds), out, *kernel, per_in)
    attrs = {
        "stride": tuple(draw(st.integers(1, 2)) for _ in kernel),
        "padding": padding,
        "dilation": (draw(st.sampled_from([1, 1, 1, 2])),) * axes,
        "groups": groups,
    }
    reach = [(k - 1) * attrs["dilation"][0] + 1 for k in kernel]
    return (*(max(n, r) for n, r in zip(size, reach, strict=True)), groups * per_in), weight, attrs


@few
@given(convolutions(), kinds, seeds, st.booleans())
def test_every_way_of_a_convolution_stays_within_its_tolerance(conv, kind, seed, bare) -> None:
    shape, weight, attrs = conv
    b = GraphBuilder("conv")
    params = {"weight": weight} | ({} if bare else {"bias": normal(seed, len(weight))})
    y = b.op("conv", [b.input("x", shape)], params=params, name="layer", **attrs)
    graph = b.graph(b.op("relu6", [y]) if seed % 3 else y)
    graph = graph.with_weights({graph.nodes[0].params["weight"]: fitted(kind, weight)})
    every_way_is_close(graph, normal(seed, 2, *shape), weight[0].size)


@pytest.mark.parametrize(
    "network",
    [
        resnet8.build((8, 8, 3), 5, width=0.5),
        dscnn.build((13, 10, 1), 4, width=0.25),
        mlp.build((4, 5), 3, sizes=(17,)),
        gru.build((6, 5), 4, width=0.1),
        small_cnn(),
    ],
    ids=lambda graph: graph.name,
)
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_network_stays_within_its_tolerance(network: Graph, bits: int) -> None:
    graph = lower(WeightQuantization(bits=bits).apply(network, Context(None, network)))
    x = normal(bits, 5, *graph.values[graph.inputs[0]].shape)
    (expected,) = exact(graph, x)
    assert np.abs(MixedPlan(graph).run(x) - expected).max() <= NETWORK_TOLERANCE * np.abs(expected).max()


def test_low_rank_layers_run_as_their_factors() -> None:
    b = GraphBuilder("factors")
    graph = b.graph(b.linear(b.input("x", (30,)), normal(0, 20, 30), normal(1, 20), "layer"))
    factors = LowRank(Affine.fit(normal(2, 20, 4), 4), Affine.fit(normal(3, 4, 30), 4))
    graph = graph.with_weights({"layer.weight": factors})
    plan, x = MixedPlan(graph), normal(4, 3, 30)
    assert [piece.runs_on for piece in plan.pieces] == ["lowbit", "lowbit"]
    np.testing.assert_allclose(plan.run(x), exact(graph, x)[0], rtol=1e-4, atol=1e-5)


def test_all_outputs_are_returned_even_an_input() -> None:
    b = GraphBuilder("several")
    x = b.input("x", (6,))
    y = b.op("relu", [x])
    graph = replace(b.graph(y), outputs=(y, x))
    values = normal(0, 2, 6)
    found = MixedPlan(graph).run(values)
    for one, expected in zip(found, run_float_all(graph, values), strict=True):
        np.testing.assert_array_equal(one, expected)


@pytest.fixture(scope="module")
def quantized() -> Graph:
    network = resnet8.build((8, 8, 3), 5, width=0.5)
    return lower(WeightQuantization(bits=4).apply(network, Context(None, network)))


def test_no_weight_is_decoded_by_a_run(quantized: Graph, monkeypatch: pytest.MonkeyPatch) -> None:
    plan, x = MixedPlan(quantized), normal(0, 2, 8, 8, 3)
    expected = plan.run(x)
    monkeypatch.setattr(Affine, "decode", None)
    np.testing.assert_array_equal(plan.run(x), expected)


def test_results_outlive_the_next_run(quantized: Graph) -> None:
    plan = MixedPlan(quantized)
    first = plan.run(normal(0, 2, 8, 8, 3))
    kept = first.copy()
    plan.run(normal(1, 2, 8, 8, 3))
    np.testing.assert_array_equal(first, kept)


@pytest.mark.parametrize("samples", [0, 1, 7])
def test_many_samples_run_a_few_at_a_time(
    quantized: Graph, samples: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mixed, "CHUNK", 3)
    x = normal(0, samples, 8, 8, 3)
    expected = exact(quantized, x)[0]
    found = MixedPlan(quantized).run(x)
    assert found.shape == expected.shape == (samples, 5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_integer_parts_run_natively_and_exactly() -> None:
    """A pad with a nonzero constant has no integer rule."""
    b = GraphBuilder("part")
    x = b.linear(b.flatten(b.input("x", (8, 8, 1))), normal(0, 6, 64), normal(1, 6), "before")
    x = b.op("pad", [x], pads=((1, 1),), value=0.5)
    graph = b.graph(b.linear(x, normal(2, 4, 8), normal(3, 4), "after"))
    graph = whole_numbers(graph)
    plan = plan_of(graph)
    assert isinstance(plan, MixedPlan)
    parts = {piece.ops: piece.runs_on for piece in plan.pieces}
    assert parts == {
        "q.reshape, q.linear": "native plan",
        "dequantize": "NumPy",
        "pad": "NumPy",
        "quantize": "NumPy",
        "q.linear": "native plan",
    }
    inputs = np.random.default_rng(0).integers(-128, 128, (9, 8, 8, 1)).astype(np.int8)
    np.testing.assert_array_equal(plan.run(inputs), run_integer(graph, inputs))


def whole_numbers(graph: Graph) -> Graph:
    from smidgen.data.dataset import Dataset, Splits
    from smidgen.methods.quantize.affine import AffineQuantization

    data = Dataset(normal(5, 16, *graph.values["x"].shape), np.zeros(16, np.int64))
    return lower(AffineQuantization().apply(graph, Context(Splits(data, data, data, 4), graph)))


def test_a_layer_runs_in_the_way_that_took_the_shortest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_CHOOSE", "on")
    monkeypatch.setattr(mixed, "_least_seconds", lambda way, x: float(way.name != "winograd 2"))
    piece = MixedPlan(small_cnn()).pieces[0]
    assert (piece.runs_on, set(piece.seconds)) == ("winograd 2", {"convolution", "winograd 2", "winograd 4"})


def test_without_choosing_the_first_way_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SMIDGEN_CHOOSE", "off")
    piece = MixedPlan(small_cnn()).pieces[0]
    assert (piece.runs_on, piece.seconds) == ("convolution", {})


def test_every_piece_has_its_time(quantized: Graph) -> None:
    plan = MixedPlan(quantized)
    seconds = plan.piece_seconds(normal(0, 1, 8, 8, 3), repeats=3)
    assert len(seconds) == len(plan.pieces)
    assert min(seconds) > 0


def test_another_shape_is_one_clear_error(quantized: Graph) -> None:
    with pytest.raises(BadInput, match=r"\[n, 8, 8, 3\] is needed"):
        MixedPlan(quantized).run(normal(0, 2, 8, 8))
