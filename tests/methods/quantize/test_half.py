"""Half precision: two bytes a weight, rounded once, saturating."""

import numpy as np
import pytest

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.formats import Dense, Half
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import artifact_class, lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.half import HalfPrecision
from smidgen.methods.step import Context
from smidgen.models import mlp
from smidgen.run.float_ops import run_float
from tests.networks import noise_like, small_cnn


def halved(graph: Graph) -> tuple[Graph, str]:
    ctx = Context(None, graph)
    return HalfPrecision().apply(graph, ctx), " ".join(ctx.notes)


def one_weight(values: list[float]) -> Graph:
    b = GraphBuilder("one")
    return b.graph(b.linear(b.input("x", (len(values),)), np.array([values], np.float32), name="fc"))


def test_weights_round_to_the_nearest_binary16_ties_to_even() -> None:
    # Around 1 the spacing is 2^-10, around 2048 it is 2; 2^-24 is the smallest number above 0.
    given = [1.0, 1 + 2**-11, 1 + 3 * 2**-11, 2049.0, 2051.0, -(2.0**-24), 2.0**-26, -0.1]
    expected = [1.0, 1.0, 1 + 2**-9, 2048.0, 2052.0, -(2.0**-24), 0.0, -0.0999755859375]
    graph, notes = halved(one_weight(given))
    assert graph.weights["fc.weight"].decode().tolist() == [expected]
    assert not notes


def test_what_is_too_large_saturates_and_is_counted() -> None:
    graph, notes = halved(one_weight([65504.0, 65519.0, 1e6, -np.inf, 1.0]))
    assert graph.weights["fc.weight"].decode().tolist() == [[65504.0, 65504.0, 65504.0, -65504.0, 1.0]]
    assert "3 weights" in notes


def test_the_file_is_about_half_as_large() -> None:
    graph = mlp.build((64,), 10, seed=0)
    whole, half = len(pack_smg([graph])), len(pack_smg([halved(graph)[0]]))
    assert 0.4 * whole < half < 0.53 * whole


def test_the_file_gives_the_same_outputs_back() -> None:
    graph, _ = halved(small_cnn())
    lowered = lower(graph)
    assert artifact_class(lowered) == "weight_only"
    read = unpack_smg(pack_smg([lowered])).graph
    assert all(isinstance(fmt, Half) for fmt in read.weights.values())
    x = noise_like(graph).test.x
    assert np.array_equal(run_float(read, x), run_float(graph, x))


def test_outputs_stay_within_the_rounding_of_the_weights() -> None:
    graph = small_cnn()
    x = noise_like(graph).test.x
    expected = run_float(graph, x)
    assert np.abs(run_float(halved(graph)[0], x) - expected).max() < 4e-3 * np.abs(expected).max()


def test_a_network_that_is_quantized_already_stays() -> None:
    graph = small_cnn()
    quantized = AffineQuantization(samples=8).apply(graph, Context(noise_like(graph), graph))
    again, notes = halved(quantized)
    assert again is quantized
    assert "already" in notes


def test_only_float16_arrays_are_taken() -> None:
    with pytest.raises(ValueError, match="float16"):
        Half(np.zeros(3, np.float32))


def test_a_half_weight_can_go_on_to_integers() -> None:
    weight = Half.fit(np.ones((2, 3), np.float32))
    assert isinstance(weight.map_dense(Dense), Dense)
