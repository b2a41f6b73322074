"""Binary weights and activations: which layers change, and that they run on packed bits."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Binary
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.binarize.bwn import BinaryWeights
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.networks import digits, noise_like, small_gru


def deep(seed: int = 0, pool: bool = True) -> Graph:
    blocks = Blocks("deep", (8, 8, 1), seed).conv(16, 3).conv(32, 3)
    blocks = blocks.max_pool(2) if pool else blocks
    return blocks.conv(32, 3).flatten().linear(40).classify(10)


def integers(graph: Graph, *steps: Step) -> Graph:
    ctx = Context(noise_like(graph), graph)
    return lower(Recipe((*steps, AffineQuantization())).apply(graph, ctx))


def test_the_first_and_the_last_layer_keep_their_weights() -> None:
    for step in (BinaryWeights(), Xnor()):
        made = step.apply(deep(), Context(None, deep()))
        kinds = [
            isinstance(made.weights[n.params["weight"]], Binary) for n in made.nodes if "weight" in n.params
        ]
        assert kinds == [False, True, True, True, False]


def test_the_first_layer_may_read_signs_of_the_inputs() -> None:
    made = Xnor(first="binary").apply(deep(), Context(None, deep()))
    assert [node.op for node in made.nodes[:3]] == ["batch_norm", "binarize", "conv"]
    assert isinstance(made.weights["conv1.weight"], Binary)
    with pytest.raises(ValueError, match="first must be kept or binary"):
        Xnor(first="real")  # type: ignore[arg-type]


def test_a_file_holds_no_scales_of_weights_that_read_bits() -> None:
    whole = integers(deep(), Xnor())
    read = [node.params["weight"] for node in whole.nodes if node.op.startswith("q.binary_") and node.params]
    assert [whole.weights[name].scale.tolist() for name in read] == [[1.0]] * 3


def test_depthwise_filters_stay() -> None:
    graph = Blocks("dw", (8, 8, 1), 0).conv(8, 3).conv(8, 3, depthwise=True).conv(8, 1).flatten().classify(3)
    for step in (BinaryWeights(), Xnor()):
        made = step.apply(graph, Context(None, graph))
        kinds = [type(made.weights[n.params["weight"]]).__name__ for n in made.nodes if "weight" in n.params]
        assert kinds == ["Dense", "Dense", "Binary", "Dense"]


def test_signs_take_the_place_of_rectifiers() -> None:
    made = Xnor().apply(deep(), Context(None, deep()))
    assert [node.op for node in made.nodes] == [
        *("conv", "batch_norm", "binarize", "conv", "batch_norm", "max_pool", "binarize", "conv"),
        *("batch_norm", "reshape", "binarize", "linear", "relu", "linear"),
    ]


def test_a_rectifier_that_others_read_stays_and_is_centred() -> None:
    blocks = Blocks("branch", (8, 8, 1), 0).conv(8, 3)
    before = blocks.x
    blocks.conv(8, 3, relu=False)
    blocks.x = blocks.builder.op("add", [blocks.x, before])
    graph = blocks.flatten().classify(3)
    made = Xnor().apply(graph, Context(None, graph))
    assert [node.op for node in made.nodes[:6]] == [
        "conv",
        "batch_norm",
        "relu",
        "batch_norm",
        "binarize",
        "conv",
    ]


def test_a_recurrent_network_is_left_alone_and_told_so() -> None:
    ctx = Context(None, small_gru())
    assert Xnor().apply(small_gru(), ctx).weights.keys() == small_gru().weights.keys()
    assert "nothing changes" in ctx.notes[0]


def test_layers_hand_packed_bits_to_each_other() -> None:
    for pool in (False, True):
        made = [node.op for node in integers(deep(pool=pool), Xnor()).nodes]
        pooled = ["q.binary_max_pool"] if pool else []
        convolutions = ["q.binary_conv_bits", *pooled, "q.binary_conv_bits"]
        assert made == ["q.conv", "q.binarize", *convolutions, "q.reshape", "q.binary_linear", "q.linear"]


@pytest.mark.parametrize("step", [BinaryWeights(), BinaryWeights("tensor"), Xnor(), Xnor("tensor")])
def test_native_code_equals_the_reference(step: Step) -> None:
    graph = integers(deep(), step)
    x = np.random.default_rng(0).integers(-128, 128, (40, 8, 8, 1)).astype(np.int8)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


def test_integers_of_binary_layers_follow_the_real_network() -> None:
    """Signs of values near a threshold may differ; classes then mostly do not."""
    graph = deep()
    data = digits()
    real = Recipe((Xnor(), Fit(epochs=3, lr=5e-3))).apply(graph, Context(data, graph))
    ctx = Context(data, graph)
    whole = lower(AffineQuantization().apply(real, ctx))
    grid = whole.values[whole.inputs[0]].grid
    found = native_plan(whole).run(grid.quantize(data.test.x).astype(np.int8)).argmax(axis=1)
    expected = run_float(real, data.test.x).argmax(axis=1)
    assert (found == expected).mean() > 0.9
    assert (found == data.test.y).mean() > 0.8
