"""One layer quantized otherwise: only it changes, from its unrounded weights, and the integers agree."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.errors import BadInput
from smidgen.formats import Half
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.layer import LayerQuantization
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context, Step
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests import planted
from tests.networks import noise_like, small_cnn


def quantized(*steps: Step) -> tuple[Graph, list[str]]:
    graph = small_cnn()
    ctx = Context(noise_like(graph), graph)
    for step in steps:
        graph = step.apply(graph, ctx)
    return graph, ctx.notes


def test_more_bits_equal_those_of_a_network_that_had_them_from_the_start() -> None:
    direct, _ = quantized(AffineQuantization(bits=8))
    changed, notes = quantized(AffineQuantization(bits=2), LayerQuantization("conv2", bits=8))
    name = "conv2.weight"
    np.testing.assert_array_equal(changed.weights[name].decode(), direct.weights[name].decode())
    assert changed.weights["conv1.weight"].bits == 2
    assert notes == []


@pytest.mark.parametrize("granularity", ["channel", "group", "tensor"])
def test_granularity_of_one_layer_changes(granularity: str) -> None:
    changed, _ = quantized(
        AffineQuantization(granularity="channel" if granularity == "tensor" else "tensor"),
        LayerQuantization("conv2", granularity=granularity),
    )
    direct, _ = quantized(AffineQuantization(granularity=granularity))
    name = "conv2.weight"
    np.testing.assert_array_equal(changed.weights[name].decode(), direct.weights[name].decode())


def test_a_range_rule_for_one_output_is_that_of_the_whole_network() -> None:
    before, _ = quantized(AffineQuantization())
    changed, _ = quantized(AffineQuantization(), LayerQuantization("conv1", activation_rule="percentile"))
    direct, _ = quantized(AffineQuantization(activation_rule="percentile"))
    moved = [name for name, value in changed.values.items() if value.grid != before.values[name].grid]
    assert moved == ["relu1", "max_pool1"]  # conv1 ends in relu1, and a maximum keeps its grid
    scales = (graph.values["relu1"].grid.scale for graph in (changed, direct))
    assert next(scales) == pytest.approx(next(scales), rel=0.05)  # the reservoirs hold other samples


def test_sixteen_bits_of_an_output_run_natively_as_the_reference_says() -> None:
    before, _ = quantized(AffineQuantization())
    changed, _ = quantized(AffineQuantization(), LayerQuantization("linear1", activation_bits=16))
    integer = lower(changed)
    port = integer.values["x"]
    x = noise_like(changed).test.x
    q = port.grid.quantize(x).astype(port.dtype)
    wide = run_integer(integer, q)
    assert wide.dtype == np.int16
    np.testing.assert_array_equal(native_plan(integer).run(q), wide)
    exact = run_float(changed, x)
    narrow = before.values["linear1"].grid.dequantize(run_integer(lower(before), q))
    error = np.abs(integer.values["linear1"].grid.dequantize(wide) - exact).mean()
    assert error < np.abs(narrow - exact).mean()


def test_sixteen_bits_of_a_weight_are_half_precision() -> None:
    changed, _ = quantized(WeightQuantization(bits=3), LayerQuantization("conv2", bits=16))
    assert isinstance(changed.weights["conv2.weight"], Half)
    assert lower(changed).check() is None


def test_a_pruned_weight_keeps_its_zeros() -> None:
    pruned = GlobalMagnitude(sparsity=0.5)
    before, _ = quantized(pruned, AffineQuantization(bits=2))
    changed, _ = quantized(pruned, AffineQuantization(bits=2), LayerQuantization("conv2", bits=8))
    direct, _ = quantized(pruned, AffineQuantization(bits=8))
    name = "conv2.weight"
    np.testing.assert_array_equal(changed.weights[name].mask, before.weights[name].mask)
    np.testing.assert_array_equal(changed.weights[name].decode(), direct.weights[name].decode())


def test_the_network_input_has_a_range_too() -> None:
    changed, _ = quantized(AffineQuantization(), LayerQuantization("x", activation_rule="percentile"))
    before, _ = quantized(AffineQuantization())
    assert changed.values["x"].grid.scale < before.values["x"].grid.scale


@pytest.mark.parametrize(
    ("step", "why"),
    [
        (LayerQuantization(), "no layer is named"),
        (LayerQuantization("conv2", bits=8), "has these settings already"),
        (LayerQuantization("conv2", activation_rule="minmax"), "has these settings already"),
    ],
)
def test_what_changes_nothing_says_so(step: Step, why: str) -> None:
    _, notes = quantized(AffineQuantization(), step)
    assert len(notes) == 1
    assert why in notes[0]


def test_weights_that_are_not_rounded_yet_are_left_alone() -> None:
    graph, notes = quantized(LayerQuantization("conv2", bits=4))
    assert "dense, which is on no affine grid" in notes[0]
    assert graph.weights["conv2.weight"].integers() is None


@pytest.mark.parametrize(
    ("step", "found"),
    [
        (LayerQuantization("conv9", bits=8), "there is no 'conv9'"),
        (LayerQuantization("relu1", bits=8), "relu1 has no weight"),
        (LayerQuantization("x", bits=8), "x has no weight"),
    ],
)
def test_a_layer_that_is_not_there_is_an_error(step: Step, found: str) -> None:
    with pytest.raises(BadInput, match=found):
        quantized(AffineQuantization(), step)


@pytest.mark.parametrize("settings", [{"bits": 9}, {"activation_bits": 1}, {"samples": 0}])
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        LayerQuantization("conv1", **settings)


def test_calibration_sees_the_unrounded_network() -> None:
    """Two-bit weights before a layer do not move the range that is chosen for its output."""
    plant = planted.two_bits()
    ctx = Context(plant.data, plant.graph)
    step = LayerQuantization("last", activation_rule="mse")
    coarse = step.apply(plant.recipe.apply(plant.graph, ctx), ctx)
    fine = step.apply(AffineQuantization().apply(plant.graph, ctx), ctx)
    assert coarse.values["last"].grid == fine.values["last"].grid
