"""Layers on numbers in planes of bits against plain loops and exact fractions, for every instruction set."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import Unsupported
from smidgen.formats import Affine, Binary, Format, Grid, Integer
from smidgen.formats.packing import pack_planes, unpack_planes
from smidgen.graph import Graph, Node, Value
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, random_ratios, ratio_of
from tests.kernels.test_bits import convolutions

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
bit_counts = st.integers(1, 4)
EXACT = {"multiplier": np.array([2**15], np.uint16), "shift": np.array([15], np.uint8)}


def grid_of(bits: int) -> Grid:
    return Grid.from_range(0, 1, bits)


def ends_of(bits: int) -> dict[str, int]:
    return {"lo": grid_of(bits).qmin, "hi": grid_of(bits).qmax}


def levels_to(
    shape: tuple[int, ...], bits: int, op: str, params: dict[str, np.ndarray | Format], **attrs: object
) -> Graph:
    """int8 x of `bits` bits -> planes -> the operator -> int8 y."""
    weights = {role: p if isinstance(p, Format) else Integer(p) for role, p in params.items()}
    values = {"x": Value(shape, "int8", grid_of(bits)), "p": Value((), "uint32", grid_of(bits))}
    values["y"] = Value((), "int8", Grid(0.5, OUT_ZERO))
    nodes = (
        Node("p", "q.planes", ("x",), ("p",), {}, ends_of(bits)),
        Node("y", op, ("p",), ("y",), {role: role for role in params}, attrs),
    )
    return Graph("levels", nodes, values, weights, ("x",), ("y",)).inferred()


def returned(graph: Graph, bits: int, channels: int) -> Graph:
    """`graph`, whose y is in planes of `bits` bits, and a layer that picks one channel each (`picked`)."""
    weights = {"pick": Binary(np.eye(channels, dtype=bool), np.ones(1, np.float32))}
    weights |= {f"pick.{role}": Integer(array) for role, array in EXACT.items()}
    weights["pick.bias"] = Integer(np.zeros(channels, np.int32))
    roles = {"weight": "pick", **{role: f"pick.{role}" for role in ("bias", *EXACT)}}
    node = Node("z", "q.serial_linear", ("y",), ("z",), roles, {"lo": -128, "hi": 127})
    values = {**graph.values, "y": Value((), "uint32", grid_of(bits)), "z": Value((), "int8", Grid(1.0, 0))}
    nodes = (*graph.nodes, node)
    return Graph("levels", nodes, values, {**graph.weights, **weights}, ("x",), ("z",)).inferred()


def picked(levels: np.ndarray) -> np.ndarray:
    """What the layer of `returned` makes of numbers [..., C]: 2 x_c - the sum of all x, saturated."""
    return np.clip(2 * levels - levels.sum(-1, keepdims=True), -128, 127)


def random_levels(rng: np.random.Generator, bits: int, *shape: int) -> tuple[np.ndarray, np.ndarray]:
    """(numbers 0..2^bits - 1, the same as int8 on their grid)."""
    levels = rng.integers(0, 2**bits, shape)
    return levels, (levels + grid_of(bits).qmin).astype(np.int8)


def exact_level(acc: int, bias: int, multiplier: int, shift: int, bits: int) -> int:
    """floor((acc + bias) * multiplier / 2^shift + 1/2) inside 0..2^bits - 1, in fractions."""
    rounded = Fraction((acc + bias) * multiplier, 2**shift) + Fraction(1, 2)
    return min(max(rounded.numerator // rounded.denominator, 0), 2**bits - 1)


def compare(graph: Graph, x: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(run_integer(graph, x), expected)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


@few
@given(convolutions(), bit_counts, seeds)
def test_a_convolution_to_int8_equals_the_sum_of_products(case, bits, seed) -> None:
    shape, of_weight, window = case
    rng = np.random.default_rng(seed)
    weight = Binary.fit(rng.normal(size=of_weight).astype(np.float32))
    levels, x = random_levels(rng, bits, 2, *shape)
    bias = rng.integers(-99, 99, of_weight[0]).astype(np.int32)
    ratios = random_ratios(rng, of_weight[0] if seed % 2 else 1, 12, 20)
    params = {"weight": weight, "bias": bias, **ratios}
    graph = levels_to(shape, bits, "q.serial_conv", params, **window, groups=1, lo=LO, hi=HI)
    ends = (OUT_ZERO, LO, HI)
    signs = weight.integers().values
    expected = [
        loops.conv(one, signs, bias, **window, groups=1, zero=0, ratio=ratio_of(ratios), bounds=ends)
        for one in levels
    ]
    compare(graph, x, np.array(expected))


@few
@given(convolutions(), bit_counts, bit_counts, seeds)
def test_a_convolution_to_planes_rounds_exact_fractions(case, bits, bits_out, seed) -> None:
    """Any multiplier, 0 included, and any shift; half of the runs with the powers of two of Riptide."""
    shape, of_weight, window = case
    rng = np.random.default_rng(seed)
    out = of_weight[0]
    weight = Binary.fit(rng.normal(size=of_weight).astype(np.float32))
    levels, x = random_levels(rng, bits, 2, *shape)
    bias = rng.integers(-99, 99, out).astype(np.int32)
    ratios = random_ratios(rng, out if seed % 3 else 1, 10, 22)
    if seed % 2:
        ratios["multiplier"][:] = 2**15
    params = {"weight": weight, "bias": bias, **ratios}
    made = levels_to(shape, bits, "q.serial_conv_planes", params, **window, groups=1, **ends_of(bits_out))
    graph = returned(with_output(made, bits_out), bits_out, out)
    whole = (0, -(2**31), 2**31)
    signs, none = weight.integers().values, np.zeros(out, np.int64)
    acc = np.array(
        [
            loops.conv(one, signs, none, **window, groups=1, zero=0, ratio=lambda o: (2, 1), bounds=whole)
            for one in levels
        ]
    )
    of = ratio_of(ratios)
    expected = [
        [exact_level(int(a), int(bias[o]), *of(o), bits_out) for o, a in enumerate(row)]
        for row in acc.reshape(-1, out)
    ]
    compare(graph, x, picked(np.array(expected).reshape(acc.shape)))


def with_output(graph: Graph, bits: int) -> Graph:
    return graph.with_values({"y": Value(graph.values["y"].shape, "uint32", grid_of(bits))})


@few
@given(st.integers(1, 200), st.integers(1, 150), st.integers(1, 5), bit_counts, st.integers(1, 40), seeds)
def test_linear_layers_equal_matrix_products(features, out, rows, bits, samples, seed) -> None:
    rng = np.random.default_rng(seed)
    weight = Binary.fit(rng.normal(size=(out, features)).astype(np.float32))
    shape = (features,) if seed % 2 else (rows, features)
    levels, x = random_levels(rng, bits, samples, *shape)
    bias = rng.integers(-features, features + 2, out).astype(np.int32)
    acc = levels @ weight.integers().values.T.astype(np.int64) + bias
    params = {"weight": weight, "bias": bias, "multiplier": EXACT["multiplier"]}
    params["shift"] = np.array([17], np.uint8)
    whole = levels_to(shape, bits, "q.serial_linear", params, lo=-128, hi=127)
    compare(whole, x, np.clip(((acc + 2) >> 2) + OUT_ZERO, -128, 127))
    made = levels_to(shape, bits, "q.serial_linear_planes", params, **ends_of(bits))
    planes = returned(with_output(made, bits), bits, out)
    compare(planes, x, picked(np.clip((acc + 2) >> 2, 0, 2**bits - 1)))


@few
@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), bit_counts, seeds)
def test_the_maximum_over_planes_is_that_of_the_numbers(channels, kernel, stride, pad, bits, seed) -> None:
    rng = np.random.default_rng(seed)
    pad = min(pad, kernel - 1)
    window = {"kernel": (kernel, 2), "stride": (stride, 1), "padding": ((pad, 0), (0, 0))}
    shape = (kernel + 3, 5, channels)
    graph = levels_to(shape, bits, "q.planes_max_pool", {}, **window)
    graph = returned(with_output(graph, bits), bits, channels)
    levels, x = random_levels(rng, bits, 2, *shape)
    expected = [loops.max_pool(one, **window) for one in levels]
    compare(graph, x, picked(np.maximum(np.array(expected), 0)))


@given(st.integers(1, 100), bit_counts, seeds)
def test_planes_hold_bits_from_the_most_significant_one(channels, bits, seed) -> None:
    levels = np.random.default_rng(seed).integers(0, 2**bits, (2, 3, channels))
    planes = pack_planes(levels, bits)
    assert planes.shape == (2, bits, 3, -(-channels // 32))
    for (n, r, c), level in np.ndenumerate(levels):
        digits = [int(planes[n, p, r, c // 32]) >> (c % 32) & 1 for p in range(bits)]
        assert int("".join(map(str, digits)), 2) == level
    np.testing.assert_array_equal(unpack_planes(planes, channels), levels)


def test_a_weight_that_is_not_binary_is_refused() -> None:
    weight = Affine.fit(np.ones((2, 3), np.float32), 8)
    params = {"weight": weight, "bias": np.zeros(2, np.int32), **EXACT}
    with pytest.raises(Unsupported, match="the weight is affine8"):
        native_plan(levels_to((3,), 2, "q.serial_linear", params, lo=-128, hi=127))


def test_numbers_of_more_than_four_bits_are_refused() -> None:
    weight = Binary.fit(np.ones((2, 3), np.float32))
    params = {"weight": weight, "bias": np.zeros(2, np.int32), **EXACT}
    with pytest.raises(Unsupported, match="numbers of 5 bits, but kernels take 1 to 4"):
        native_plan(levels_to((3,), 5, "q.serial_linear", params, lo=-128, hi=127))


def test_planes_that_do_not_start_at_the_zero_point_are_refused() -> None:
    weight = Binary.fit(np.ones((2, 3), np.float32))
    params = {"weight": weight, "bias": np.zeros(2, np.int32), **EXACT}
    made = levels_to((3,), 2, "q.serial_linear_planes", params, lo=-1, hi=2)
    with pytest.raises(Unsupported, match="numbers in planes start at 0"):
        native_plan(returned(with_output(made, 2), 2, 2))
