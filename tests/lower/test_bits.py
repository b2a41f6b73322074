"""Networks of signs become networks of packed bits, with the thresholds of exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats import Binary, Grid
from smidgen.formats.packing import unpack_words
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import with_grids
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.integer_networks import integer_network
from tests.networks import binary_cnn, noise_like

RNG = np.random.default_rng(0)


def signs_of(*shape: int) -> Binary:
    return Binary.fit(RNG.normal(size=shape).astype(np.float32))


def ops(graph: Graph) -> list[str]:
    return [node.op for node in graph.nodes]


def test_bits_stay_packed_from_the_first_sign_to_the_last_layer_of_signs() -> None:
    graph = integer_network("binary")
    made = [node.op for node in graph.nodes if graph.values[node.output].dtype == "uint32"]
    assert made == [
        *("q.binarize", "q.binary_conv_bits", "q.binarize", "q.binary_conv_bits", "q.binary_max_pool"),
        *("q.reshape", "q.binary_linear_bits"),
    ]


def test_canonical_form_is_the_same_function() -> None:
    graph = binary_cnn()
    x = noise_like(graph).train.x
    assert np.allclose(run_float(canonical(graph), x), run_float(graph, x), atol=1e-3)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 40), st.integers(1, 6))
def test_a_threshold_is_where_the_folded_batch_norm_changes_sign(seed, features, out) -> None:
    """In rational numbers: +1 exactly where acc * scale + bias >= 0."""
    rng = np.random.default_rng(seed)
    weight = Binary.fit(rng.normal(size=(out, features)).astype(np.float32))
    bias = (rng.normal(size=out) * features / 2).astype(np.float32)
    b = GraphBuilder("one")
    h = b.op("binarize", [b.linear(b.op("binarize", [b.input("x", (features,))]), weight, bias)])
    graph = b.graph(b.linear(h, Binary.fit(np.ones((1, out), np.float32))))
    whole = lower(with_grids(graph, {"x": Grid(0.1, 3), graph.outputs[0]: Grid(1.0, 0)}))
    assert ops(whole) == ["q.binarize", "q.binary_linear_bits", "q.binary_linear"]
    x = rng.integers(-128, 128, (20, features)).astype(np.int8)
    seen: dict[str, np.ndarray] = {}
    run_integer(whole, x, lambda node, outputs: seen.setdefault(node.op, outputs[0]))
    acc = np.where(x >= 3, 1, -1) @ weight.integers().values.T.astype(np.int64)
    expected = [
        [int(a) * Fraction(float(s)) + Fraction(float(v)) >= 0 for a, s, v in zip(row, weight.scale, bias)]
        for row in acc
    ]
    np.testing.assert_array_equal(unpack_words(seen["q.binary_linear_bits"], out), expected)


def test_a_batch_norm_alone_becomes_thresholds_that_rise_or_fall() -> None:
    b = GraphBuilder("norm")
    x = b.input("x", (4, 4, 3))
    falling = b.op("mul_constant", [x], {"constant": np.array([1.0, -2.0, 0.0])})
    h = b.op("binarize", [b.op("add_constant", [falling], {"constant": np.array([-0.55, 0.95, -1.0])})])
    graph = b.graph(b.conv(h, signs_of(2, 3, 3, 3)))
    whole = lower(with_grids(graph, {"x": Grid(0.1, 3), graph.outputs[0]: Grid(1.0, 0)}))
    assert ops(whole) == ["q.binarize", "q.binary_conv"]
    q = RNG.integers(-128, 128, (5, 4, 4, 3)).astype(np.int8)
    seen: list[np.ndarray] = []
    run_integer(whole, q, lambda node, outputs: seen.append(outputs[0]))
    real = (q.astype(np.int64) - 3) * Fraction(1, 10)
    rule = real * [Fraction(1), Fraction(-2), Fraction(0)] + [
        Fraction(-55, 100),
        Fraction(95, 100),
        Fraction(-1),
    ]
    np.testing.assert_array_equal(unpack_words(seen[0], 3), rule >= 0)


def test_signs_that_others_read_too_are_int8() -> None:
    b = GraphBuilder("mixed")
    h = b.op("binarize", [b.input("x", (4, 4, 3))])
    graph = b.graph(b.op("add", [h, b.conv(h, signs_of(3, 3, 3, 3), padding=1)]))
    whole = lower(
        with_grids(graph, {name: Grid(0.5, 0) for name in (graph.inputs[0], graph.outputs[0], "conv1")})
    )
    assert ops(whole) == ["q.table", "q.conv", "q.add"]


def test_a_padded_pool_keeps_its_place() -> None:
    """Outside the image there is no sign: -infinity, which a maximum of bits does not know."""
    b = GraphBuilder("padded")
    pooled = b.pool("max", b.input("x", (4, 4, 3)), 3, 1, 1)
    graph = canonical(b.graph(b.conv(b.op("binarize", [pooled]), signs_of(2, 1, 1, 3))))
    assert ops(graph) == ["max_pool", "binarize", "conv"]


def test_a_flattened_word_holds_one_position() -> None:
    for channels, expected in ((32, "q.reshape"), (31, "q.table")):
        b = GraphBuilder("flat")
        h = b.flatten(b.op("binarize", [b.input("x", (2, 2, channels))]))
        graph = b.graph(b.linear(h, signs_of(3, 4 * channels)))
        whole = lower(with_grids(graph, {"x": Grid(0.1, 0), graph.outputs[0]: Grid(1.0, 0)}))
        assert expected in ops(whole)


def test_few_bits_of_an_affine_grid_are_a_unipolar_activation() -> None:
    """round((2^N - 1) clip(x, 0, 1)) / (2^N - 1), Riptide's activation, needs no grid of its own."""
    x = np.linspace(-1, 2, 1000)  # no point half-way between two values
    for bits in (1, 2, 3):
        levels = 2**bits - 1
        grid = Grid.from_range(0, 1, bits)
        expected = np.floor(np.clip(x, 0, 1) * levels + 0.5) / levels
        assert np.allclose(grid.dequantize(grid.quantize(x)), expected, atol=1e-6)
