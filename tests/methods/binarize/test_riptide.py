"""Riptide: which layers change, and that nothing but shifts is left between them."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Binary
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.binarize.riptide import Riptide
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.methods.binarize.test_binarize import deep, integers
from tests.networks import digits, small_gru

CHAIN = [
    *("q.conv", "q.planes", "q.serial_conv_planes", "q.planes_max_pool", "q.serial_conv_planes"),
    *("q.reshape", "q.serial_linear", "q.linear"),
]


def applied(step: Riptide, graph: Graph) -> Graph:
    return step.apply(graph, Context(None, graph))


def test_shift_norms_and_activations_of_few_bits_take_the_place_of_batch_norms_and_rectifiers() -> None:
    made = applied(Riptide(bits=3), deep())
    assert [node.op for node in made.nodes] == [
        *("conv", "shift_norm", "unipolar3", "conv", "shift_norm", "max_pool", "unipolar3", "conv"),
        *("shift_norm", "reshape", "unipolar3", "linear", "relu", "linear"),
    ]


def test_exact_scales_keep_batch_norms() -> None:
    made = applied(Riptide(bits=1, scales="exact"), deep())
    assert [node.op for node in made.nodes if "norm" in node.op] == ["batch_norm"] * 3
    kinds = [made.weights[n.params["weight"]] for n in made.nodes if "weight" in n.params]
    assert [isinstance(fmt, Binary) and not fmt.powers for fmt in kinds] == [False, True, True, True, False]


def test_scales_are_powers_of_two_in_all_but_the_first_and_the_last_layer() -> None:
    made = applied(Riptide(), deep())
    kinds = [made.weights[n.params["weight"]] for n in made.nodes if "weight" in n.params]
    assert [isinstance(fmt, Binary) and fmt.powers for fmt in kinds] == [False, True, True, True, False]


def test_a_batch_norm_that_others_read_stays() -> None:
    blocks = Blocks("branch", (8, 8, 1), 0).conv(8, 3, relu=False)
    before = blocks.x
    blocks.conv(8, 3, relu=False)
    blocks.x = blocks.builder.op("add", [blocks.x, before])
    made = applied(Riptide(), blocks.flatten().classify(3))
    assert [node.op for node in made.nodes[:5]] == ["conv", "batch_norm", "shift_norm", "unipolar2", "conv"]


def test_a_recurrent_network_is_left_alone_and_told_so() -> None:
    ctx = Context(None, small_gru())
    assert Riptide().apply(small_gru(), ctx).weights.keys() == small_gru().weights.keys()
    assert "nothing changes" in ctx.notes[0]


@pytest.mark.parametrize("setting", [{"bits": 0}, {"bits": 5}, {"extra_scale": 0.0}, {"extra_scale": np.nan}])
def test_settings_that_mean_nothing_are_refused(setting: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="must be"):
        Riptide(**setting)


@pytest.mark.parametrize("step", [Riptide(1), Riptide(2, scales="exact"), Riptide(4, "tensor")])
def test_layers_hand_planes_to_each_other_alike_in_native_code_and_the_reference(step: Riptide) -> None:
    graph = integers(deep(), step)
    assert [node.op for node in graph.nodes] == CHAIN
    x = np.random.default_rng(0).integers(-128, 128, (40, 8, 8, 1)).astype(np.int8)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


def test_nothing_is_multiplied_between_two_layers() -> None:
    graph = integers(deep(), Riptide())
    glue = [node for node in graph.nodes if node.op == "q.serial_conv_planes"]
    multipliers = [graph.weights[node.params["multiplier"]].decode() for node in glue]
    assert len(multipliers) == 2
    assert all(np.all(np.frexp(m)[0] == 0.5) for m in multipliers)


def test_integers_follow_the_trained_network() -> None:
    graph, data = deep(), digits()
    ctx = Context(data, graph)
    real = Recipe((Riptide(), Fit(epochs=3, lr=5e-3))).apply(graph, ctx)
    whole = lower(AffineQuantization().apply(real, ctx))
    grid = whole.values[whole.inputs[0]].grid
    found = native_plan(whole).run(grid.quantize(data.test.x).astype(np.int8)).argmax(axis=1)
    assert (found == run_float(real, data.test.x).argmax(axis=1)).mean() > 0.9
    assert (found == data.test.y).mean() > 0.8
