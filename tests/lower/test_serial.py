"""Activations of few bits between layers of signs become planes, by the integers of Riptide's fused glue."""

from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats import Binary, Grid
from smidgen.formats.packing import unpack_planes
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cost import macs
from smidgen.graph.shift_norm import shift_factor
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import with_grids
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.integer_networks import integer_network
from tests.networks import few_bits_cnn, noise_like

RNG = np.random.default_rng(0)


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def powers(*shape: int) -> Binary:
    return Binary.fit_powers(RNG.normal(size=shape).astype(np.float32))


def traced(graph: Graph, x: np.ndarray) -> dict[str, np.ndarray]:
    seen: dict[str, np.ndarray] = {}
    run_integer(graph, x, lambda node, outputs: seen.setdefault(node.op, outputs[0]))
    return seen


def test_numbers_stay_in_planes_where_only_layers_of_signs_read_them() -> None:
    assert ops(integer_network("few bits")) == [
        *("q.conv", "q.planes", "q.planes_max_pool", "q.serial_conv_planes", "q.serial_conv_planes"),
        *("q.planes_max_pool", "q.reshape", "q.serial_linear", "q.binarize", "q.binary_linear", "q.planes"),
        *("q.serial_linear", "q.linear"),
    ]


def test_canonical_form_is_the_same_function() -> None:
    graph = few_bits_cnn()
    x = noise_like(graph).train.x
    same = np.isclose(run_float(canonical(graph), x), run_float(graph, x), atol=1e-3).all(axis=1)
    assert same.mean() > 0.95  # a sum on a border between two numbers may fall to either side


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 40), st.integers(1, 6))
def test_glue_is_an_addition_a_shift_and_a_clip(seed, bits, features, out) -> None:
    """q = clip((c - M + 2^(a+s-1)) >> (a+s), 0, L), which is L * clip(ShiftNorm(sum), 0, 1) rounded half up
    in rational numbers, for a weight scale 2^-a, a factor 2^-s, L = 2^bits - 1 and the mean M / (L * 2^a).
    """
    rng = np.random.default_rng(seed)
    weight = Binary.fit_powers((rng.normal(size=(out, features)) * 2.0 ** -rng.integers(0, 6)).astype("f4"))
    largest, scale = 2**bits - 1, weight.scale.astype(np.float64)
    mean = (rng.normal(size=out) * scale * features / 4).astype(np.float32)
    variance = (rng.uniform(0.5, 8, out) * features * scale**2).astype(np.float32)
    b = GraphBuilder("glue")
    h = b.linear(b.op(f"unipolar{bits}", [b.input("x", (features,))]), weight)
    h = b.op("shift_norm", [h], {"mean": mean, "variance": variance}, epsilon=0.0, extra_scale=1.0)
    graph = b.graph(b.linear(b.op(f"unipolar{bits}", [h]), powers(1, out)))
    whole = lower(with_grids(graph, {"x": Grid(1 / 64, 0), graph.outputs[0]: Grid(1.0, 0)}))
    assert ops(whole) == ["q.requantize", "q.planes", "q.serial_linear_planes", "q.serial_linear"]
    seen = traced(whole, rng.integers(-128, 128, (20, features)).astype(np.int8))
    c = unpack_planes(seen["q.planes"], features) @ weight.integers().values.T.astype(np.int64)
    found = unpack_planes(seen["q.serial_linear_planes"], out)
    factor = shift_factor(variance, 0.0, 1.0)
    for o in range(out):
        a, t = -int(np.log2(scale[o])), -int(np.log2(scale[o] * factor[o]))
        m = -floor(Fraction(-float(mean[o])) * largest * Fraction(2) ** a + Fraction(1, 2))
        for acc, q in zip(c[:, o].tolist(), found[:, o].tolist(), strict=True):
            moved = (acc - m + (1 << (t - 1))) >> t if t > 0 else (acc - m) << -t
            assert q == min(max(moved, 0), largest)
            sum_, centre = Fraction(acc, largest) / Fraction(2) ** a, Fraction(m, largest) / Fraction(2) ** a
            real = (sum_ - centre) * Fraction(float(factor[o]))
            assert q == floor(largest * min(max(real, Fraction(0)), Fraction(1)) + Fraction(1, 2))


def test_numbers_that_others_read_too_are_int8() -> None:
    b = GraphBuilder("mixed")
    h = b.op("unipolar2", [b.input("x", (4, 4, 3))])
    graph = b.graph(b.op("add", [h, b.conv(h, powers(3, 3, 3, 3), padding=1)]))
    grids = {name: Grid(0.5, 0) for name in (graph.inputs[0], graph.outputs[0], "conv1")}
    assert ops(lower(with_grids(graph, grids))) == ["q.requantize", "q.conv", "q.add"]


def test_an_activation_of_few_bits_becomes_the_saturation_of_the_layer_before_it() -> None:
    b = GraphBuilder("first")
    made = b.conv(b.input("x", (4, 4, 2)), powers(3, 3, 3, 2), padding=1)
    graph = b.graph(b.op("unipolar3", [made]))
    whole = lower(with_grids(graph, {"x": Grid(1 / 64, 0)}))
    assert ops(whole) == ["q.conv"]
    assert whole.values[whole.outputs[0]].grid == Grid.from_range(0, 1, 3)
    q = RNG.integers(-128, 128, (5, 4, 4, 2)).astype(np.int8)
    real = run_float(graph, (q / 64).astype(np.float32))  # powers of two throughout: no sum is rounded
    np.testing.assert_allclose((run_integer(whole, q) + 4) / 7, real, atol=1e-6)


def test_products_are_counted_for_every_output_behind_a_word() -> None:
    counted = macs(integer_network("few bits"))
    assert counted["conv2"] == 4 * 4 * 35 * 3 * 3 * 40
    assert macs(integer_network("binary"))["conv2"] == 4 * 4 * 35 * 3 * 3 * 40
