"""Layers on packed bits against sums of +1 and -1 in plain loops, for every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import IllegalGraph, Unsupported
from smidgen.formats import Affine, Binary, Format, Grid, Integer
from smidgen.formats.packing import pack_words, unpack_words
from smidgen.graph import Graph, Node, Value
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, random_int8, random_ratios, ratio_of

few = settings(max_examples=25, deadline=None)
seeds = st.integers(0, 2**32 - 1)
ONE = Grid(1.0, 0)


def signs_to(
    shape: tuple[int, ...], op: str, params: dict[str, np.ndarray | Format], bits_out: bool, **attrs: object
) -> Graph:
    """int8 x -> its signs, packed -> the operator -> y; packed y goes on as int8 through one more layer."""
    weights = {role: p if isinstance(p, Format) else Integer(p) for role, p in params.items()}
    weights |= {"zero": Integer(np.zeros(1, np.int16)), "up": Integer(np.zeros(1, np.uint8))}
    values = {"x": Value(shape, "int8", ONE), "s": Value((), "uint32", ONE)}
    values["y"] = Value((), "uint32", ONE) if bits_out else Value((), "int8", Grid(0.5, OUT_ZERO))
    nodes = [
        Node("s", "q.binarize", ("x",), ("s",), {"threshold": "zero", "flip": "up"}),
        Node("n", op, ("s",), ("y",), {role: role for role in params}, attrs),
    ]
    graph = Graph("bits", tuple(nodes), values, weights, ("x",), ("y",)).inferred()
    return unpacked(graph, params["weight"].shape[0]) if bits_out else graph


def unpacked(graph: Graph, channels: int) -> Graph:
    """`graph` and a layer whose weights pick one channel each: see `picked` for what it makes of the bits."""
    identity = Binary(np.eye(channels, dtype=bool), np.ones(1, np.float32))
    exact = {"bias": np.zeros(1, np.int32), "multiplier": np.array([2**15]), "shift": np.array([15])}
    more = {
        "pick": identity,
        **{
            f"pick.{r}": Integer(a.astype(t))
            for (r, a), t in zip(exact.items(), ("int32", "uint16", "uint8"))
        },
    }
    roles = {"weight": "pick", **{role: f"pick.{role}" for role in exact}}
    node = Node("z", "q.binary_linear", ("y",), ("z",), roles, {"lo": -128, "hi": 127})
    values = {**graph.values, "z": Value((), "int8", ONE)}
    weights = {**graph.weights, **more}
    grown = Graph("bits", (*graph.nodes, node), values, weights, ("x",), ("z",))
    return grown.inferred()


def picked(bits: np.ndarray) -> np.ndarray:
    """What the layer of `unpacked` makes of bits [..., C]: 2 s_c - sum of all s, saturated."""
    signs = np.where(bits, 1, -1)
    return np.clip(2 * signs - signs.sum(-1, keepdims=True), -128, 127)


def sums(x: np.ndarray, w: np.ndarray, stride, padding, dilation) -> np.ndarray:
    """Convolution of signs without a rounding: the loop with multiplier 1."""
    count = w.shape[0]
    whole = (0, -(2**31), 2**31)
    return loops.conv(
        x, w, np.zeros(count, np.int64), stride, padding, dilation, 1, 0, lambda o: (2, 1), whole
    )


@st.composite
def convolutions(draw):
    """(x shape, weight shape, attributes) of small convolutions with all kinds of windows."""
    channels, out = draw(st.sampled_from([1, 31, 32, 33, 64, 70])), draw(st.integers(1, 70))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    stride = (draw(st.integers(1, 2)), draw(st.integers(1, 3)))
    padding = tuple((draw(st.integers(0, 3)), draw(st.integers(0, 3))) for _ in range(2))
    space = [max(1, d * (k - 1) + 1 - a - b) for d, k, (a, b) in zip(dilation, kernel, padding, strict=True)]
    shape = (space[0] + draw(st.integers(0, 3)), space[1] + draw(st.integers(0, 9)), channels)
    return shape, (out, *kernel, channels), {"stride": stride, "padding": padding, "dilation": dilation}


def compare(graph: Graph, x: np.ndarray, expected: np.ndarray) -> None:
    np.testing.assert_array_equal(run_integer(graph, x), expected)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)


@few
@given(convolutions(), seeds)
def test_a_convolution_to_int8_equals_the_sum_of_signs(case, seed) -> None:
    shape, of_weight, window = case
    rng = np.random.default_rng(seed)
    weight, x = Binary.fit(rng.normal(size=of_weight).astype(np.float32)), random_int8(rng, 2, *shape)
    bias = rng.integers(-99, 99, of_weight[0]).astype(np.int32)
    ratios = random_ratios(rng, of_weight[0] if seed % 2 else 1, 12, 20)
    params = {"weight": weight, "bias": bias, **ratios}
    graph = signs_to(shape, "q.binary_conv", params, False, **window, groups=1, lo=LO, hi=HI)
    signs = np.where(x >= 0, 1, -1)
    expected = [
        loops.conv(
            one,
            weight.integers().values,
            bias,
            **window,
            groups=1,
            zero=0,
            ratio=ratio_of(ratios),
            bounds=(OUT_ZERO, LO, HI),
        )
        for one in signs
    ]
    compare(graph, x, np.array(expected))


@few
@given(convolutions(), seeds)
def test_a_convolution_to_bits_compares_the_sum_with_a_threshold(case, seed) -> None:
    shape, of_weight, window = case
    rng = np.random.default_rng(seed)
    weight, x = Binary.fit(rng.normal(size=of_weight).astype(np.float32)), random_int8(rng, 3, *shape)
    reach = int(np.prod(of_weight[1:]))
    threshold = rng.integers(-reach, reach + 2, of_weight[0]) // rng.choice([1, 8])
    params = {"weight": weight, "threshold": threshold.astype(np.int32)}
    graph = signs_to(shape, "q.binary_conv_bits", params, True, **window, groups=1)
    acc = np.array([sums(one, weight.integers().values, **window) for one in np.where(x >= 0, 1, -1)])
    compare(graph, x, picked(acc >= threshold))


@few
@given(st.integers(1, 200), st.integers(1, 150), st.integers(1, 5), st.integers(1, 40), seeds)
def test_linear_layers_of_bits_equal_the_sum_of_signs(features, out, rows, samples, seed) -> None:
    rng = np.random.default_rng(seed)
    weight = Binary.fit(rng.normal(size=(out, features)).astype(np.float32))
    shape = (features,) if seed % 2 else (rows, features)
    x = random_int8(rng, samples, *shape)
    acc = np.where(x >= 0, 1, -1) @ weight.integers().values.T.astype(np.int64)
    threshold = rng.integers(-features, features + 2, out).astype(np.int32)
    bits = signs_to(shape, "q.binary_linear_bits", {"weight": weight, "threshold": threshold}, True)
    compare(bits, x, picked(acc >= threshold))
    exact = {"multiplier": np.array([2**15], np.uint16), "shift": np.array([17], np.uint8)}
    params = {"weight": weight, "bias": threshold, **exact}
    whole = signs_to(shape, "q.binary_linear", params, False, lo=-128, hi=127)
    compare(whole, x, np.clip(((acc + threshold + 2) >> 2) + OUT_ZERO, -128, 127))


@few
@given(st.integers(1, 100), st.integers(1, 7), seeds)
def test_binarizing_compares_each_channel_with_its_threshold(channels, rows, seed) -> None:
    rng = np.random.default_rng(seed)
    threshold = rng.integers(-128, 129, channels).astype(np.int16)
    flip = rng.integers(0, 2, channels).astype(np.uint8)
    values = {"x": Value((rows, channels), "int8", ONE), "y": Value((), "uint32", ONE)}
    node = Node("y", "q.binarize", ("x",), ("y",), {"threshold": "t", "flip": "f"})
    weights = {"t": Integer(threshold), "f": Integer(flip)}
    graph = unpacked(Graph("b", (node,), values, weights, ("x",), ("y",)).inferred(), channels)
    x = random_int8(rng, 3, rows, channels)
    compare(graph, x, picked((x >= threshold) ^ flip.astype(bool)))


@given(st.integers(1, 100), seeds)
def test_words_hold_bits_from_the_least_significant_one(channels, seed) -> None:
    bits = np.random.default_rng(seed).random((3, channels)) < 0.5
    words = pack_words(bits)
    assert [sum(int(b) << i for i, b in enumerate(row)) for row in bits] == [
        sum(int(w) << 32 * i for i, w in enumerate(row)) for row in words
    ]
    np.testing.assert_array_equal(unpack_words(words, channels), bits)


def test_a_weight_that_is_not_binary_is_refused() -> None:
    weight = Affine.fit(np.ones((2, 3), np.float32), 8)
    params = {"weight": weight, "threshold": np.zeros(2, np.int32)}
    with pytest.raises(Unsupported, match="the weight is affine8"):
        native_plan(signs_to((3,), "q.binary_linear_bits", params, True))


def test_words_that_do_not_fit_the_channels_are_refused() -> None:
    weight = Binary.fit(np.ones((2, 33), np.float32))
    with pytest.raises(IllegalGraph, match="33 channels take 2 words, not 1"):
        signs_to((3,), "q.binary_linear_bits", {"weight": weight, "threshold": np.zeros(2, np.int32)}, True)


def test_groups_are_refused() -> None:
    weight = Binary.fit(np.ones((2, 1, 1, 3), np.float32))
    window = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": 2}
    with pytest.raises(IllegalGraph, match="no groups"):
        signs_to(
            (2, 2, 6),
            "q.binary_conv_bits",
            {"weight": weight, "threshold": np.zeros(2, np.int32)},
            True,
            **window,
        )


def test_bits_do_not_leave_a_network() -> None:
    weight = Binary.fit(np.ones((2, 3), np.float32))
    graph = signs_to(
        (3,), "q.binary_linear_bits", {"weight": weight, "threshold": np.zeros(2, np.int32)}, True
    )
    bare = Graph("bare", graph.nodes[:2], graph.values, graph.weights, ("x",), ("y",))
    with pytest.raises(Unsupported, match="y: bits are returned as an output"):
        native_plan(bare)


@few
@given(st.integers(1, 70), st.integers(1, 3), st.integers(1, 3), st.integers(0, 2), seeds)
def test_the_maximum_of_bits_is_one_where_any_is(channels, kernel, stride, pad, seed) -> None:
    rng = np.random.default_rng(seed)
    pad = min(pad, kernel - 1)
    window = {"kernel": (kernel, 2), "stride": (stride, 1), "padding": ((pad, 0), (0, 0))}
    values = {"x": Value((kernel + 3, 5, channels), "int8", ONE)}
    values |= {name: Value((), "uint32", ONE) for name in ("s", "y")}
    roles = {"threshold": "t", "flip": "f"}
    nodes = (
        Node("s", "q.binarize", ("x",), ("s",), roles),
        Node("y", "q.binary_max_pool", ("s",), ("y",), {}, window),
    )
    weights = {"t": Integer(np.zeros(1, np.int16)), "f": Integer(np.zeros(1, np.uint8))}
    graph = unpacked(Graph("pool", nodes, values, weights, ("x",), ("y",)).inferred(), channels)
    x = random_int8(rng, 2, kernel + 3, 5, channels)
    highest = [loops.max_pool(one, **window) for one in x]
    compare(graph, x, picked(np.array(highest) >= 0))
