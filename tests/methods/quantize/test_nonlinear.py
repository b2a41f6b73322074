"""Wide values in front of softmax and normalization, other functions, and no real number left."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.activations import ACTIVATION_FUNCTIONS
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.nonlinear import NonlinearQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models import transformer
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.integer_networks import random_integers
from tests.networks import noise_like, small_cnn


@cache
def network() -> Graph:
    return transformer.build((6, 5), 4, width=0.25)


def made(*steps: Step, graph: Graph | None = None) -> tuple[Graph, list[str]]:
    graph = graph or network()
    ctx = Context(noise_like(graph, 64, 4), graph)
    return Recipe(steps).apply(graph, ctx), ctx.notes


def bits_read(graph: Graph, op: str) -> set[int]:
    return {graph.values[node.inputs[0]].grid.bits for node in graph.nodes if node.op == op}


@pytest.mark.parametrize("order", [1, -1])
@pytest.mark.parametrize("normalize", [8, 16])
@pytest.mark.parametrize("softmax", [8, 16])
def test_softmax_and_normalization_read_the_bits_asked_for(order: int, normalize: int, softmax: int) -> None:
    steps = (NonlinearQuantization(normalize, softmax), AffineQuantization())[::order]
    whole = lower(made(*steps)[0])
    assert whole.is_integer
    assert bits_read(whole, "q.normalize") == {normalize}
    assert bits_read(whole, "q.softmax") == {softmax}


@pytest.mark.parametrize(
    "step",
    [
        NonlinearQuantization(),
        NonlinearQuantization(exponential="polynomial", activations="polynomial"),
        NonlinearQuantization(8, 8, exponential="polynomial"),
    ],
)
def test_native_code_and_a_read_file_equal_the_reference(step: Step) -> None:
    whole = lower(made(step, AffineQuantization())[0])
    x = random_integers(whole, 8)
    expected = run_integer(whole, x)
    np.testing.assert_array_equal(native_plan(whole).run(x), expected)
    np.testing.assert_array_equal(run_integer(unpack_smg(pack_smg([whole])).graph, x), expected)


def error(*steps: Step) -> float:
    """The mean distance of the integers' outputs from the float network's."""
    whole = lower(made(*steps)[0])
    source, out = (whole.values[ends[0]].grid for ends in (whole.inputs, whole.outputs))
    x = noise_like(network(), 64, 5).train.x
    found = out.dequantize(run_integer(whole, source.quantize(x).astype(np.int8)))
    return float(np.abs(found - run_float(network(), x)).mean())


def test_wide_inputs_bring_the_integers_closer_to_the_real_numbers() -> None:
    assert error(NonlinearQuantization(), AffineQuantization()) < error(AffineQuantization())


def test_terms_of_a_wide_sum_are_wide_where_only_it_reads_them() -> None:
    graph, _ = made(NonlinearQuantization(softmax_bits=8))
    wide = {name for name, value in graph.values.items() if value.grid and value.grid.bits == 16}
    assert wide == {
        f"block{n}.{part}.{role}"
        for n in (1, 2)
        for part in ("attention", "forward")
        for role in ("out", "sum")
    }


def test_polynomials_are_as_close_as_the_paper_says() -> None:
    x = np.linspace(-8, 8, 10001)
    found, real = (ACTIVATION_FUNCTIONS[name](x) for name in ("gelu_polynomial", "gelu"))
    assert 0.017 < np.abs(found - real).max() <= 0.0188


def test_hard_functions_take_the_place_of_smooth_ones() -> None:
    b = GraphBuilder("net")
    x = b.op("silu", [b.input("x", (5,))])
    graph = b.graph(b.op("sigmoid", [b.op("gelu", [x])]))
    changed, notes = made(NonlinearQuantization(activations="hard"), graph=graph)
    assert [node.op for node in changed.nodes] == ["hardswish", "gelu", "hardsigmoid"]
    assert notes == []


@pytest.mark.parametrize(("size", "bits"), [(8192, 16), (8193, 8)])
def test_groups_too_large_for_16_bits_stay_integers(size: int, bits: int) -> None:
    b = GraphBuilder("net")
    x = b.input("x", (size,))
    total = b.op("add", [x, b.op("relu", [x])])
    graph = b.graph(b.op("normalize", [total], axes=(0,), epsilon=1e-5, centered=True))
    whole = lower(made(NonlinearQuantization(), AffineQuantization(), graph=graph)[0])
    assert whole.is_integer
    assert bits_read(whole, "q.normalize") == {bits}


def test_nothing_to_do_is_said() -> None:
    graph, notes = made(NonlinearQuantization(), graph=small_cnn())
    assert graph is not None
    assert "nothing changes" in notes[0]
    _, notes = made(NonlinearQuantization(), NonlinearQuantization())
    assert notes == ["quantize.nonlinear: all of it has 16 bits already, nothing changes"]


def test_training_goes_on_behind_it() -> None:
    steps = (NonlinearQuantization(activations="polynomial"), AffineQuantization(), Fit(epochs=1))
    graph, _ = made(*steps)
    assert lower(graph).is_integer


@pytest.mark.parametrize("settings", [{"normalize_bits": 12}, {"softmax_bits": 4}, {"samples": 0}])
def test_impossible_settings_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(settings))):
        NonlinearQuantization(**settings)
