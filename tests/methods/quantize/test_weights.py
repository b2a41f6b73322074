"""Weights on grids without data."""

import numpy as np
import pytest

from smidgen.formats import Affine
from smidgen.graph import GraphBuilder
from smidgen.lower import artifact_class, lower
from smidgen.methods.post_training import weight_names
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.networks import small_cnn


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_weights_take_at_most_two_to_the_bits_values_a_channel(bits: int) -> None:
    quantized = WeightQuantization(bits=bits).apply(small_cnn(), Context(None, small_cnn()))
    for name in weight_names(quantized):
        weight = quantized.weights[name]
        assert isinstance(weight, Affine)
        assert max(len(np.unique(channel)) for channel in weight.decode()) <= 2**bits


def test_the_lowered_network_is_weight_only_and_the_reference_computes_with_real_weights() -> None:
    lowered = lower(WeightQuantization().apply(small_cnn(), Context(None, small_cnn())))
    assert artifact_class(lowered) == "weight_only"
    x = np.random.default_rng(0).normal(size=(5, 8, 8, 1)).astype(np.float32)

    assert np.array_equal(run_integer(lowered, x), run_float(lowered, x))
    assert np.abs(run_integer(lowered, x) - run_float(small_cnn(), x)).max() < 0.1


@pytest.mark.parametrize("bits", [1, 9])
def test_bits_out_of_range_are_refused(bits: int) -> None:
    with pytest.raises(ValueError, match="2 to 8"):
        WeightQuantization(bits=bits)


def test_depthwise_filters_may_have_more_bits() -> None:
    b = GraphBuilder("separable")
    x = b.input("x", (6, 6, 8))
    rng = np.random.default_rng(0)
    x = b.conv(x, rng.normal(size=(8, 3, 3, 1)).astype(np.float32), groups=8, name="depthwise")
    x = b.conv(x, rng.normal(size=(4, 1, 1, 8)).astype(np.float32), name="pointwise")
    graph = b.graph([x])
    made = WeightQuantization(bits=4, depthwise_bits=8).apply(graph, Context(None, graph))
    assert {name: fmt.bits for name, fmt in made.weights.items() if isinstance(fmt, Affine)} == {
        "depthwise.weight": 8,
        "pointwise.weight": 4,
    }


def test_tables_of_positions_get_8_bits_and_biases_half_precision() -> None:
    b, rng = GraphBuilder("placed"), np.random.default_rng(0)
    table = b.op("constant", [], {"value": rng.normal(size=(9, 8)).astype(np.float32)}, name="place")
    summed = b.op("add", [b.input("x", (9, 8)), table])
    y = b.linear(summed, rng.normal(size=(4, 8)), rng.normal(size=4), name="fc")
    graph = b.graph([y])
    made = WeightQuantization(bits=4).apply(graph, Context(None, graph))
    assert {name: fmt.label for name, fmt in made.weights.items()} == {
        "place.value": "affine8",
        "fc.weight": "affine4",
        "fc.bias": "half",
    }
    assert np.abs(made.weights["place.value"].decode() - graph.weights["place.value"].decode()).max() < 0.02
