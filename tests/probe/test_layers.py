"""Layer by layer: alignment by name, the first divergent bit, noise charged to the layer that makes it."""

from __future__ import annotations

import math
import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from smidgen.errors import BadInput
from smidgen.formats import Affine, Integer
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.methods.prune.channels import Channels
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context, Step
from smidgen.probe.layers import LayerComparison, LayerMatch, Matches
from smidgen.probe.trace import GraphTrace, runnable
from smidgen.run.reference import run_integer
from tests import planted
from tests.networks import binary_cnn, few_bits_cnn, kitchen_sink, noise_like, small_cnn, small_gru


def silent(fraction: float, message: str) -> None:
    """No progress."""


def made(graph: Graph, *steps: Step) -> Graph:
    data = noise_like(graph)
    for step in steps:
        graph = step.apply(graph, Context(data, graph))
    return lower(graph)


def compared(a: Graph, b: Graph, samples: int = 40) -> Matches:
    layers = LayerComparison(GraphTrace(runnable(a)), GraphTrace(runnable(b)))
    x = noise_like(a, samples, seed=5).train.x
    layers.run(x, silent)
    layers.run_alone(x, silent)
    return layers.matches()


def by_layer(found: Matches) -> dict[str, LayerMatch]:
    return {layer.layer: layer for layer in found.layers}


@pytest.mark.parametrize("build", [small_cnn, kitchen_sink, small_gru])
def test_every_layer_of_an_int8_network_has_a_counterpart(build) -> None:
    graph = build()
    found = compared(graph, made(graph, AffineQuantization()))
    assert found.unaligned == ()
    assert found.output_db > 15
    assert all(math.isfinite(layer.sqnr_db) for layer in found.layers)


def test_a_network_agrees_with_itself_bit_for_bit() -> None:
    integer = made(small_cnn(), AffineQuantization())
    found = compared(integer, integer)
    assert found.exact
    assert found.divergent is None
    assert {layer.differing for layer in found.layers} == {0}


def test_the_first_differing_value_is_named_as_the_reference_computes_it() -> None:
    integer = made(small_cnn(), AffineQuantization())
    bias = integer.node("conv2").params["bias"]
    moved = integer.weights[bias].array.copy()
    moved[5] += 4000
    other = integer.with_weights({bias: Integer(moved)})
    layer = compared(integer, other).divergent
    assert layer is not None
    assert layer.layer == "conv2"
    assert layer.first is not None
    x = integer.values["x"].grid.quantize(noise_like(small_cnn(), 40, seed=5).train.x).astype(np.int8)
    seen = {}
    for name, graph in (("a", integer), ("b", other)):
        run_integer(graph, x, lambda node, y, name=name: seen.setdefault((name, node.name), y[0]))
    a, b = seen["a", "conv2"], seen["b", "conv2"]
    place = tuple(np.argwhere(a != b)[0])
    assert (layer.first.sample, *layer.first.index) == place
    assert (layer.first.a, layer.first.b) == (a[place], b[place])
    assert layer.differing == (a != b).sum()


def test_noise_is_charged_to_the_layer_that_makes_it() -> None:
    plant = planted.two_bits()
    layers = LayerComparison(GraphTrace(runnable(plant.graph)), GraphTrace(plant.artifact()))
    x = plant.data.test.x
    layers.run(x, silent)
    layers.run_alone(x, silent)
    found = by_layer(layers.matches())
    assert found["second"].alone_db < 10 < 25 < min(found["first"].alone_db, found["last"].alone_db)
    assert found["last"].sqnr_db < 10  # end to end it suffers all the same
    assert layers.matches().steepest.layer == "second"
    assert layers.matches().divergent.layer == "second"


def test_a_layer_alone_is_the_reference_on_rounded_true_inputs() -> None:
    graph = small_cnn()
    integer = made(graph, AffineQuantization(bits=3))
    found = by_layer(compared(graph, integer))
    a, b = GraphTrace(runnable(graph)), GraphTrace(integer)
    x = noise_like(graph, 40, seed=5).train.x
    truth = a.values(x)
    node = integer.node("conv2")
    single = replace(integer, nodes=(node,), inputs=node.inputs, outputs=node.outputs)
    given = integer.values[node.inputs[0]].grid.quantize(truth[node.inputs[0]]).astype(np.int8)
    made_alone = integer.values[node.output].grid.dequantize(run_integer(single, given))
    wanted = truth[node.output]
    expected = 10 * np.log10((wanted**2).sum() / ((made_alone - wanted) ** 2).sum())
    assert found["conv2"].alone_db == pytest.approx(expected, abs=1e-3)
    assert b.values(x)[node.output].dtype == np.int8


def test_equalized_channels_are_compared_at_the_originals_scale() -> None:
    plant = planted.uneven_pair()
    equal = AffineQuantization().apply(
        Equalize().apply(plant.graph, Context(None, plant.graph)), Context(plant.data, plant.graph)
    )
    layers = LayerComparison(GraphTrace(runnable(plant.graph)), GraphTrace(lower(equal)))
    layers.run(plant.data.test.x, silent)
    layers.run_alone(plant.data.test.x, silent)
    first = by_layer(layers.matches())["first"]
    assert first.rescaled
    assert min(first.sqnr_db, first.alone_db) > 25


def test_layers_that_lost_channels_are_listed_and_the_rest_is_compared() -> None:
    graph = small_cnn()
    found = compared(graph, made(graph, Channels(ratio=0.5), AffineQuantization()))
    assert {u.layer for u in found.unaligned} >= {"conv1", "conv2"}
    assert all("channels were removed" in u.reason for u in found.unaligned if u.layer == "conv1")
    assert "linear1" in by_layer(found)


def test_weight_only_artifacts_are_compared_as_real_numbers() -> None:
    graph = small_cnn()
    found = compared(graph, made(graph, WeightQuantization(bits=4)))
    assert not found.exact
    assert 5 < found.output_db < 40
    assert by_layer(found)["max_pool1"].alone_db == math.inf  # on true inputs it does nothing wrong


def test_packed_bits_are_compared_as_signs() -> None:
    layers = by_layer(compared(binary_cnn(), made(binary_cnn(), AffineQuantization())))
    bits = [match for match in layers.values() if match.op.endswith(("_bits", "binarize", "binary_max_pool"))]
    assert len(bits) >= 5
    assert all(match.sqnr_db > 3 for match in bits)
    assert all(match.largest_error in (0.0, 2.0) for match in bits)


def test_planes_are_compared_as_the_numbers_they_hold() -> None:
    layers = by_layer(compared(few_bits_cnn(), made(few_bits_cnn(), AffineQuantization())))
    planes = [match for match in layers.values() if "planes" in match.op]
    assert len(planes) >= 5
    assert all(match.sqnr_db > 3 for match in planes)


def test_bits_that_differ_are_found_in_their_word() -> None:
    whole = made(binary_cnn(), AffineQuantization())
    node = next(n for n in whole.nodes if n.op == "q.binary_conv_bits")
    name = node.params["threshold"]
    other = whole.with_weights({name: Integer(whole.weights[name].array + np.int32(20))})
    found = compared(whole, other)
    assert found.exact
    assert found.divergent is not None
    assert found.divergent.layer == node.name


def test_unrelated_networks_are_refused() -> None:
    b = GraphBuilder("other")
    other = b.graph(b.linear(b.input("features", (4,)), np.eye(4), name="elsewhere"))
    with pytest.raises(BadInput, match="no layer in common"):
        LayerComparison(GraphTrace(runnable(small_cnn())), GraphTrace(runnable(other)))


def test_memory_does_not_grow_with_the_number_of_samples() -> None:
    graph = small_cnn()
    integer = made(graph, AffineQuantization())
    peaks = []
    for samples in (64, 512):
        layers = LayerComparison(GraphTrace(runnable(graph)), GraphTrace(integer))
        x = noise_like(graph, samples).train.x
        tracemalloc.start()
        layers.run(x, silent)
        layers.run_alone(x, silent)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < peaks[0] * 1.1


def test_the_planted_layer_has_two_bits() -> None:
    plant = planted.two_bits()
    weight = plant.artifact().weights["second.weight"]
    assert isinstance(weight, Affine)
    assert weight.bits == 2
