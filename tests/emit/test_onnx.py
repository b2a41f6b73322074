"""The exact ONNX flavour against docs/NUMERICS.md, written once more as loops over Python integers."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from smidgen.emit.onnx import OnnxArtifact, OnnxEmitter
from smidgen.errors import BadFile, BadInput, Unsupported
from smidgen.formats import Affine, Dense, Format, Grid, Integer, Sparse
from smidgen.graph import Graph, GraphBuilder, Node, Value
from smidgen.run.reference import run_integer
from smidgen.targets.target import Target
from tests.integer_networks import NETWORKS, integer_network, random_integers

HOST = Target(name="host", kind="host")
BOARD = Target(
    name="board",
    kind="microcontroller",
    flash_bytes=1 << 18,
    ram_bytes=1 << 16,
    clock_mhz=80,
    cpu="cortex_m4",
    cycles_per_mac=3,
)
FEW = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])

zeros = st.integers(-128, 127)
seeds = st.integers(0, 2**32 - 1)
bounds = st.sampled_from([(-128, 127), (-128, -5), (-20, 40), (7, 7)])


# The rules, once more


def requantize(acc: int, m: int, s: int) -> int:
    return (int(acc) * int(m) + (1 << (int(s) - 1))) >> int(s)


def sat(v: int, lo: int, hi: int) -> int:
    return min(max(v, lo), hi)


def of(vector: np.ndarray, channel: int) -> int:
    return int(vector[channel if vector.size > 1 else 0])


# Graphs of one node


def bytes_like(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Random int8 with the extremes well represented."""
    plain = rng.integers(-128, 128, shape)
    return np.where(rng.random(shape) < 0.2, rng.choice([-128, 127], shape), plain).astype(np.int8)


def ratios(rng: np.random.Generator, n: int, real: float) -> tuple[np.ndarray, np.ndarray]:
    """Multipliers and shifts around `real`."""
    shift = np.clip(np.full(n, 15 - int(np.floor(np.log2(real)))) + rng.integers(-1, 2, n), 1, 47)
    return rng.integers(2**15, 2**16, n).astype(np.uint16), shift.astype(np.uint8)


def one_node(
    op: str,
    inputs: Sequence[tuple[tuple[int, ...], int]],
    out: tuple[tuple[int, ...], int],
    params: Mapping[str, np.ndarray | Format],
    attrs: Mapping[str, Any],
) -> Graph:
    """A graph whose only node is `op`; inputs and output are (shape, zero point)."""
    values = {f"x{i}": Value(shape, "int8", Grid(0.5, zero)) for i, (shape, zero) in enumerate(inputs)}
    names = tuple(values)
    values["y"] = Value(out[0], "int8", Grid(0.25, out[1]))
    weights = {k: w if isinstance(w, Format) else Integer(w) for k, w in params.items()}
    node = Node("node", op, names, ("y",), {k: k for k in weights}, attrs)
    graph = Graph(op, (node,), values, weights, names, ("y",))
    graph.check()
    return graph


def emitted(graph: Graph, folder: Path, float_boundary: bool = False) -> OnnxArtifact:
    path = OnnxEmitter(float_boundary).emit(graph, HOST, folder).path
    return OnnxArtifact(path, threads=1)


def assert_equal(
    graph: Graph, folder: Path, x: Sequence[np.ndarray], rule: Callable[..., np.ndarray]
) -> None:
    """ONNX Runtime and the reference both give what `rule` gives sample by sample."""
    expected = np.stack([rule(*sample) for sample in zip(*x, strict=True)]).astype(np.int8)
    np.testing.assert_array_equal(emitted(graph, folder).run(x), expected)
    np.testing.assert_array_equal(run_integer(graph, x), expected)


# Products


@FEW
@given(seeds, zeros, zeros, bounds, st.integers(1, 40), st.integers(1, 5), st.booleans(), st.booleans())
def test_linear_matches_the_rule(
    tmp_path, seed, zero_x, zero_y, bound, features, outputs, sequence, per_channel
):
    rng = np.random.default_rng(seed)
    lead = (3,) if sequence else ()
    weight, bias = bytes_like(rng, outputs, features), rng.integers(-(2**20), 2**20, outputs).astype(np.int32)
    m, s = ratios(rng, outputs if per_channel else 1, 2.0**-10)
    params = {"weight": weight, "bias": bias, "multiplier": m, "shift": s}
    shapes = ((*lead, features), zero_x), ((*lead, outputs), zero_y)
    graph = one_node("q.linear", shapes[:1], shapes[1], params, {"lo": bound[0], "hi": bound[1]})

    def rule(x: np.ndarray) -> np.ndarray:
        y = np.zeros((*lead, outputs))
        for at in np.ndindex(*lead):
            for o in range(outputs):
                acc = int(bias[o]) + sum(
                    int(weight[o, i]) * (int(x[at][i]) - zero_x) for i in range(features)
                )
                y[(*at, o)] = sat(requantize(acc, of(m, o), of(s, o)) + zero_y, *bound)
        return y

    assert_equal(graph, tmp_path, [bytes_like(rng, 2, *lead, features)], rule)


def window(
    x: np.ndarray, at: Sequence[int], a: Mapping[str, Any], kernel: Sequence[int]
) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """(position in the kernel, position in the input) of every tap that lies inside the input."""
    taps = []
    dilation = a.get("dilation", (1,) * len(kernel))
    for tap in itertools.product(*map(range, kernel)):
        place = tuple(
            o * stride + t * d - pad[0]
            for o, t, stride, d, pad in zip(at, tap, a["stride"], dilation, a["padding"], strict=True)
        )
        if all(0 <= p < n for p, n in zip(place, x.shape, strict=False)):
            taps.append((tap, place))
    return taps


@st.composite
def spatial(draw, dilated: bool) -> dict[str, Any]:
    """Sizes and attributes of a window over one or two axes."""
    rank = draw(st.integers(1, 2))
    each = lambda s: tuple(draw(s) for _ in range(rank))  # noqa: E731
    kernel = each(st.integers(1, 3))
    padding = tuple((draw(st.integers(0, k - 1)), draw(st.integers(0, k - 1))) for k in kernel)
    dilation = each(st.integers(1, 2)) if dilated else (1,) * rank
    space = tuple(d * (k - 1) + 1 + draw(st.integers(0, 3)) for k, d in zip(kernel, dilation, strict=True))
    return {
        "kernel": kernel,
        "padding": padding,
        "dilation": dilation,
        "space": space,
        "stride": each(st.integers(1, 3)),
    }


@FEW
@given(
    seeds,
    spatial(dilated=True),
    zeros,
    zeros,
    bounds,
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(1, 3),
)
def test_conv_matches_the_rule(tmp_path, seed, sizes, zero_x, zero_y, bound, groups, per_in, per_out):
    rng = np.random.default_rng(seed)
    kernel, space, channels, outputs = sizes["kernel"], sizes["space"], groups * per_in, groups * per_out
    weight = bytes_like(rng, outputs, *kernel, per_in)
    bias = rng.integers(-(2**16), 2**16, outputs).astype(np.int32)
    m, s = ratios(rng, outputs, 2.0**-9)
    attrs = {k: sizes[k] for k in ("stride", "padding", "dilation")}
    attrs |= {"groups": groups, "lo": bound[0], "hi": bound[1]}
    graph_shape = tuple(
        (n + p[0] + p[1] - d * (k - 1) - 1) // t + 1
        for n, p, d, k, t in zip(
            space, sizes["padding"], sizes["dilation"], kernel, sizes["stride"], strict=True
        )
    )
    params = {"weight": weight, "bias": bias, "multiplier": m, "shift": s}
    shapes = ((*space, channels), zero_x), ((*graph_shape, outputs), zero_y)
    graph = one_node("q.conv", shapes[:1], shapes[1], params, attrs)

    def rule(x: np.ndarray) -> np.ndarray:
        y = np.zeros((*graph_shape, outputs))
        for *at, o in np.ndindex(*y.shape):
            first = o // per_out * per_in
            acc = int(bias[o]) + sum(
                int(weight[(o, *tap, i)]) * (int(x[(*place, first + i)]) - zero_x)
                for tap, place in window(x, at, attrs, kernel)
                for i in range(per_in)
            )
            y[(*at, o)] = sat(requantize(acc, m[o], s[o]) + zero_y, *bound)
        return y

    assert_equal(graph, tmp_path, [bytes_like(rng, 2, *space, channels)], rule)


def test_saturated_weights_and_inputs_do_not_overflow_pairs_of_products(tmp_path):
    """uint8 x int8 kernels add two products in int16 on some processors; every product here is extreme."""
    weight = np.full((4, 512), 127, np.int8)
    params = {
        "weight": weight,
        "bias": np.zeros(4, np.int32),
        "multiplier": np.full(1, 2**15, np.uint16),
        "shift": np.full(1, 32, np.uint8),
    }
    graph = one_node("q.linear", [((512,), -128)], ((4,), 0), params, {"lo": -128, "hi": 127})
    acc = 512 * 127 * 255
    expected = np.full((3, 4), min(127, (acc * 2**15 + 2**31) >> 32), np.int8)
    np.testing.assert_array_equal(emitted(graph, tmp_path).run(np.full((3, 512), 127, np.int8)), expected)


@pytest.mark.parametrize("shift", [1, 16, 46, 47])
def test_rounding_is_half_up_at_both_ends_of_the_accumulator(tmp_path, shift):
    bias = np.array([2**31 - 1, -(2**31) + 1, -3, -1, 0, 1, 3, -(2**30)], np.int32)
    params = {
        "weight": np.zeros((8, 1), np.int8),
        "bias": bias,
        "multiplier": np.full(8, 2**16 - 1, np.uint16),
        "shift": np.full(8, shift, np.uint8),
    }
    graph = one_node("q.linear", [((1,), 0)], ((8,), 0), params, {"lo": -128, "hi": 127})
    expected = [[sat(requantize(b, 2**16 - 1, shift), -128, 127) for b in bias]]
    np.testing.assert_array_equal(emitted(graph, tmp_path).run(np.zeros((1, 1), np.int8)), expected)


# Pooling


@FEW
@given(seeds, spatial(dilated=False), st.integers(1, 3), zeros)
def test_max_pool_matches_the_rule(tmp_path, seed, sizes, channels, zero):
    rng = np.random.default_rng(seed)
    attrs = {k: sizes[k] for k in ("kernel", "stride", "padding")}
    space, out = sizes["space"], pooled_shape(sizes)
    graph = one_node("q.max_pool", [((*space, channels), zero)], ((*out, channels), zero), {}, attrs)

    def rule(x: np.ndarray) -> np.ndarray:
        y = np.zeros((*out, channels))
        for *at, c in np.ndindex(*y.shape):
            y[(*at, c)] = max(int(x[(*place, c)]) for _, place in window(x, at, attrs, sizes["kernel"]))
        return y

    assert_equal(graph, tmp_path, [bytes_like(rng, 2, *space, channels)], rule)


@FEW
@given(seeds, spatial(dilated=False), st.integers(1, 3), zeros, zeros, bounds, st.booleans())
def test_avg_pool_matches_the_rule(tmp_path, seed, sizes, channels, zero_x, zero_y, bound, count_padding):
    rng = np.random.default_rng(seed)
    attrs = {k: sizes[k] for k in ("kernel", "stride", "padding")}
    attrs |= {"count_padding": count_padding, "lo": bound[0], "hi": bound[1]}
    space, out, taps = sizes["space"], pooled_shape(sizes), int(np.prod(sizes["kernel"]))
    whole = count_padding or not np.any(sizes["padding"])
    m, s = ratios(rng, 1 if whole else taps, 0.5 / taps)
    shapes = ((*space, channels), zero_x), ((*out, channels), zero_y)
    graph = one_node("q.avg_pool", shapes[:1], shapes[1], {"multiplier": m, "shift": s}, attrs)

    def rule(x: np.ndarray) -> np.ndarray:
        y = np.zeros((*out, channels))
        for *at, c in np.ndindex(*y.shape):
            inside = window(x, at, attrs, sizes["kernel"])
            index = 0 if whole else len(inside) - 1
            acc = sum(int(x[(*place, c)]) - zero_x for _, place in inside)
            y[(*at, c)] = sat(requantize(acc, m[index], s[index]) + zero_y, *bound)
        return y

    assert_equal(graph, tmp_path, [bytes_like(rng, 2, *space, channels)], rule)


def pooled_shape(sizes: Mapping[str, Any]) -> tuple[int, ...]:
    return tuple(
        (n + p[0] + p[1] - k) // t + 1
        for n, p, k, t in zip(sizes["space"], sizes["padding"], sizes["kernel"], sizes["stride"], strict=True)
    )


@FEW
@given(seeds, st.sampled_from([(0,), (1,), (0, 1), (0, 1, 2)]), st.booleans(), zeros, zeros, bounds)
def test_mean_matches_the_rule(tmp_path, seed, axes, keepdims, zero_x, zero_y, bound):
    rng = np.random.default_rng(seed)
    shape = (3, 4, 2)
    m, s = ratios(rng, 1, 1.0 / np.prod([shape[a] for a in axes]))
    out = np.zeros(shape).sum(axis=axes, keepdims=keepdims).shape
    attrs = {"axes": axes, "keepdims": keepdims, "lo": bound[0], "hi": bound[1]}
    graph = one_node("q.mean", [(shape, zero_x)], (out, zero_y), {"multiplier": m, "shift": s}, attrs)

    def rule(x: np.ndarray) -> np.ndarray:
        acc = (x.astype(object) - zero_x).sum(axis=axes, keepdims=keepdims)
        y = [sat(requantize(a, m[0], s[0]) + zero_y, *bound) for a in np.ravel(acc)]
        return np.array(y).reshape(out)

    assert_equal(graph, tmp_path, [bytes_like(rng, 2, *shape)], rule)


# Elementwise

pairs_of_shapes = st.sampled_from(
    [((3, 4), (3, 4)), ((3, 4), (1, 4)), ((2, 3, 4), (4,)), ((1, 4), (3, 1)), ((4,), (2, 1, 4)), ((5,), (1,))]
)


def elementwise(x: Sequence[np.ndarray], f: Callable[[int, int], int]) -> np.ndarray:
    a, b = np.broadcast_arrays(*x)
    return np.array([f(int(p), int(q)) for p, q in zip(a.ravel(), b.ravel(), strict=True)]).reshape(a.shape)


@FEW
@given(seeds, pairs_of_shapes, zeros, zeros, zeros, bounds, st.integers(14, 20))
def test_add_matches_the_rule(tmp_path, seed, shapes, zero_a, zero_b, zero_y, bound, shift):
    rng = np.random.default_rng(seed)
    m = rng.integers(1, 2**16, 2).astype(np.uint16)
    out = np.broadcast_shapes(*shapes)
    attrs = {"shift": shift, "lo": bound[0], "hi": bound[1]}
    inputs = [(shapes[0], zero_a), (shapes[1], zero_b)]
    graph = one_node("q.add", inputs, (out, zero_y), {"multiplier": m}, attrs)

    def each(a: int, b: int) -> int:
        total = (a - zero_a) * int(m[0]) + (b - zero_b) * int(m[1]) + (1 << (shift - 1))
        return sat((total >> shift) + zero_y, *bound)

    x = [bytes_like(rng, 2, *shape) for shape in shapes]
    assert_equal(graph, tmp_path, x, lambda *sample: elementwise(sample, each))


@FEW
@given(seeds, pairs_of_shapes, zeros, zeros, zeros, bounds)
def test_mul_matches_the_rule(tmp_path, seed, shapes, zero_a, zero_b, zero_y, bound):
    rng = np.random.default_rng(seed)
    m, s = ratios(rng, 1, 2.0**-7)
    out = np.broadcast_shapes(*shapes)
    attrs = {"lo": bound[0], "hi": bound[1]}
    inputs = [(shapes[0], zero_a), (shapes[1], zero_b)]
    graph = one_node("q.mul", inputs, (out, zero_y), {"multiplier": m, "shift": s}, attrs)

    def each(a: int, b: int) -> int:
        return sat(requantize((a - zero_a) * (b - zero_b), m[0], s[0]) + zero_y, *bound)

    x = [bytes_like(rng, 2, *shape) for shape in shapes]
    assert_equal(graph, tmp_path, x, lambda *sample: elementwise(sample, each))


ALL_BYTES = np.arange(-128, 128, dtype=np.int8).reshape(1, 256)


@FEW
@given(seeds, zeros, zeros, bounds)
def test_requantize_matches_the_rule_for_every_byte(tmp_path, seed, zero_x, zero_y, bound):
    m, s = ratios(np.random.default_rng(seed), 1, 0.7)
    attrs = {"lo": bound[0], "hi": bound[1]}
    shapes = ((256,), zero_x), ((256,), zero_y)
    graph = one_node("q.requantize", shapes[:1], shapes[1], {"multiplier": m, "shift": s}, attrs)

    def rule(x: np.ndarray) -> np.ndarray:
        return np.array([sat(requantize(int(q) - zero_x, m[0], s[0]) + zero_y, *bound) for q in x])

    assert_equal(graph, tmp_path, [ALL_BYTES], rule)


def test_table_matches_the_rule_for_every_byte(tmp_path):
    table = bytes_like(np.random.default_rng(1), 256)
    graph = one_node("q.table", [((256,), 3)], ((256,), -4), {"table": table}, {})
    assert_equal(graph, tmp_path, [ALL_BYTES], lambda x: np.array([table[int(q) + 128] for q in x]))


@FEW
@given(seeds, st.integers(1, 12), st.floats(0.001, 2.0))
def test_softmax_matches_the_rule(tmp_path, seed, classes, scale):
    rng = np.random.default_rng(seed)
    table = np.floor(65535 * np.exp(-scale * np.arange(256)) + 0.5).astype(np.uint16)
    graph = one_node("q.softmax", [((2, classes), 5)], ((2, classes), -128), {"table": table}, {})

    def row(x: np.ndarray) -> list[int]:
        e = [int(table[int(x.max()) - int(q)]) for q in x]
        return [min((256 * v + sum(e) // 2) // sum(e) - 128, 127) for v in e]

    assert_equal(graph, tmp_path, [bytes_like(rng, 3, 2, classes)], lambda x: np.array([row(r) for r in x]))


# Moving bytes


@pytest.mark.parametrize(
    ("op", "attrs", "out"),
    [
        ("q.reshape", {"shape": (-1, 2)}, lambda x: x.reshape(12, 2)),
        ("q.transpose", {"perm": (2, 0, 1)}, lambda x: x.transpose(2, 0, 1)),
        (
            "q.pad",
            {"pads": ((1, 0), (0, 2), (1, 1))},
            lambda x: np.pad(x, ((1, 0), (0, 2), (1, 1)), constant_values=9),
        ),
    ],
)
def test_bytes_move_unchanged(tmp_path, op, attrs, out):
    x = bytes_like(np.random.default_rng(2), 3, 2, 3, 4)
    graph = one_node(op, [((2, 3, 4), 9)], (out(x[0]).shape, 9), {}, attrs)
    assert_equal(graph, tmp_path, [x], out)


def test_concat_joins_per_sample_axes(tmp_path):
    rng = np.random.default_rng(3)
    x = [bytes_like(rng, 2, 3, c) for c in (1, 4)]
    graph = one_node("q.concat", [((3, 1), 0), ((3, 4), 0)], ((3, 5), 0), {}, {"axis": 1})
    assert_equal(graph, tmp_path, x, lambda a, b: np.concatenate([a, b], axis=1))


# Whole files


@pytest.mark.parametrize("name", NETWORKS)
def test_lowered_networks_equal_the_reference(tmp_path, name):
    graph = integer_network(name)
    x = random_integers(graph, 20)
    np.testing.assert_array_equal(emitted(graph, tmp_path).run(x), run_integer(graph, x))


def small_net() -> Graph:
    """conv, depthwise conv, max and mean pooling, a residual, linear, softmax; sparse and 4-bit weights."""
    rng = np.random.default_rng(7)
    mask = rng.random((4, 3, 3, 2)) < 0.5
    sparse = Sparse(mask, Affine.fit(rng.normal(size=(4, 3, 3, 2)).astype(np.float32), 8))
    narrow = Affine.fit(rng.normal(size=(5, 4)).astype(np.float32), 4, symmetric=False)
    grid = Grid(0.1, -3)
    b = GraphBuilder("small net")
    x = b.input("pixels", (6, 6, 2))
    whole = {"lo": -128, "hi": 127}

    def requant(n: int, shift: int) -> dict[str, Integer]:
        m = rng.integers(2**15, 2**16, n).astype(np.uint16)
        return {"multiplier": Integer(m), "shift": Integer(np.full(n, shift, np.uint8))}

    def bias(n: int) -> Integer:
        return Integer(rng.integers(-999, 999, n).astype(np.int32))

    one = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), **whole}
    y = b.op("q.conv", [x], {"weight": sparse, "bias": bias(4), **requant(4, 24)}, "first", groups=1, **one)
    taps = Integer(bytes_like(rng, 4, 3, 3, 1))
    z = b.op("q.conv", [y], {"weight": taps, "bias": bias(4), **requant(4, 23)}, "depthwise", groups=4, **one)
    sum_ = b.op(
        "q.add",
        [y, z],
        {"multiplier": Integer(np.array([40000, 33000], np.int32))},
        "sum",
        shift=16,
        **whole,
    )
    small = b.op("q.max_pool", [sum_], name="pool", kernel=(2, 2), stride=(2, 2), padding=((0, 0), (0, 0)))
    mean = b.op("q.mean", [small], requant(1, 18), "mean", axes=(0, 1), keepdims=False, **whole)
    out = b.op("q.linear", [mean], {"weight": narrow, "bias": bias(5), **requant(5, 19)}, "head", **whole)
    table = np.floor(65535 * np.exp(-0.1 * np.arange(256)) + 0.5).astype(np.uint16)
    b.op("q.softmax", [out], {"table": Integer(table)}, "probabilities")
    graph = b.graph("probabilities")
    return graph.with_values({name: Value(v.shape, "int8", grid) for name, v in graph.values.items()})


def test_small_net_equals_the_reference_for_any_batch_size(tmp_path):
    graph = small_net()
    artifact = emitted(graph, tmp_path)
    for n in (0, 1, 7):
        x = bytes_like(np.random.default_rng(n), n, 6, 6, 2)
        y = artifact.run(x)
        assert y.dtype == np.int8
        np.testing.assert_array_equal(y, run_integer(graph, x))


def test_float_boundary_quantizes_and_dequantizes_as_the_grids_do(tmp_path):
    graph = small_net()
    x = np.random.default_rng(8).normal(scale=8, size=(20, 6, 6, 2)).astype(np.float32)
    x.ravel()[:6] = [0.05, -0.05, 0.15, 1e30, -np.inf, np.inf]  # halves of the grid, and far outside
    grid_in, grid_out = graph.values["pixels"].grid, graph.values["probabilities"].grid
    y = emitted(graph, tmp_path, float_boundary=True).run(x)
    expected = grid_out.dequantize(run_integer(graph, grid_in.quantize(x).astype(np.int8)))
    assert y.dtype == np.float32
    np.testing.assert_array_equal(y, expected)


def test_decoded_weights_are_stored_as_integers(tmp_path):
    rng = np.random.default_rng(9)
    weight = bytes_like(rng, 3, 4)
    params = {
        "weight": weight,
        "bias": np.zeros(3, np.int32),
        "multiplier": np.full(1, 40000, np.uint16),
        "shift": np.full(1, 22, np.uint8),
    }
    plain = one_node("q.linear", [((4,), 1)], ((3,), 2), params, {"lo": -128, "hi": 127})
    product = plain.node("node")
    roles = {role: name for role, name in product.params.items() if role != "weight"}
    decode = Node("expand", "q.decode", (), ("dense",), {"weight": "weight"})
    using = Node("node", "q.linear", ("x0", "dense"), ("y",), roles, product.attrs)
    graph = plain.with_values({"dense": Value((3, 4), "int8", None, batched=False)}).replace(
        "node", decode, using
    )
    graph.check()
    x = bytes_like(rng, 5, 4)
    np.testing.assert_array_equal(emitted(graph, tmp_path).run(x), run_integer(plain, x))


def test_graph_output_may_be_its_input(tmp_path):
    value = Value((4,), "int8", Grid(1.0, 0))
    graph = Graph("copy", (), {"x": value}, {}, ("x",), ("x",))
    x = bytes_like(np.random.default_rng(4), 3, 4)
    np.testing.assert_array_equal(emitted(graph, tmp_path).run(x), x)


def test_quantize_and_dequantize_nodes_are_exact(tmp_path):
    grid = Grid(0.3, 11, bits=5)
    values = {"x": Value((5,)), "q": Value((5,), "int8", grid), "y": Value((5,))}
    nodes = (Node("in", "quantize", ("x",), ("q",)), Node("out", "dequantize", ("q",), ("y",)))
    graph = Graph("round", nodes, values, {}, ("x",), ("y",))
    x = np.random.default_rng(5).normal(scale=4, size=(50, 5)).astype(np.float32)
    np.testing.assert_array_equal(emitted(graph, tmp_path).run(x), grid.dequantize(grid.quantize(x)))


def test_files_pass_the_onnx_checker_and_name_their_grids(tmp_path):
    model = onnx.load(emitted(small_net(), tmp_path).path)
    onnx.checker.check_model(model, full_check=True)
    props = {p.key: p.value for p in model.metadata_props}
    assert model.producer_name == "smidgen"
    assert props["numerics_version"] == "1"
    assert (props["input0.scale"], props["input0.zero"]) == ("0.1", "-3")


def test_only_exact_operators_are_used(tmp_path):
    model = onnx.load(emitted(small_net(), tmp_path).path)
    kinds = {node.op_type for node in model.graph.node}
    assert not {kind for kind in kinds if "Linear" in kind}
    assert not {t.data_type for t in model.graph.initializer} & {
        onnx.TensorProto.FLOAT,
        onnx.TensorProto.DOUBLE,
    }


def test_the_same_graph_gives_the_same_bytes(tmp_path):
    first, second = (emitted(small_net(), tmp_path / name).path.read_bytes() for name in "ab")
    assert first == second


def test_check_lists_every_problem_at_once():
    b = GraphBuilder("float net")
    x = b.input("x", (4,))
    y = b.linear(x, np.ones((3, 4)), name="fc")
    graph = b.graph(b.op("relu", [y], name="act"))
    problems = OnnxEmitter().check(graph, BOARD)
    assert [p.node for p in problems] == ["fc", "act", "board"]


def test_float_weights_in_integer_operators_are_a_problem():
    params = {
        "weight": Dense(np.ones((3, 4), np.float32)),
        "bias": np.zeros(3, np.int32),
        "multiplier": np.full(1, 40000, np.uint16),
        "shift": np.full(1, 22, np.uint8),
    }
    graph = one_node("q.linear", [((4,), 0)], ((3,), 0), params, {"lo": -128, "hi": 127})
    assert [str(p) for p in OnnxEmitter().check(graph, HOST)] == [
        "node: the weight weight has no integers. Quantize it."
    ]


def test_shifts_outside_the_rule_are_a_problem():
    params = {"multiplier": np.full(1, 40000, np.uint16), "shift": np.full(1, 48, np.uint8)}
    graph = one_node("q.requantize", [((4,), 0)], ((4,), 0), params, {"lo": -128, "hi": 127})
    assert [p.reason for p in OnnxEmitter().check(graph, HOST)] == ["a shift lies outside 1 to 47"]


def test_nothing_is_written_when_a_node_is_unsupported(tmp_path):
    b = GraphBuilder("float net")
    graph = b.graph(b.op("relu", [b.input("x", (4,))], name="act"))
    with pytest.raises(Unsupported, match="act: relu computes with real numbers"):
        OnnxEmitter().emit(graph, HOST, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("x", [np.zeros((2, 5), np.int8), np.zeros((2, 4), np.float32), np.zeros(4, np.int8)])
def test_inputs_that_do_not_fit_are_refused(tmp_path, x):
    graph = one_node("q.table", [((4,), 0)], ((4,), 0), {"table": np.zeros(256, np.int8)}, {})
    with pytest.raises(BadInput, match=r"input x0: .* int8 \[n, 4\] is needed"):
        emitted(graph, tmp_path).run(x)


def test_a_missing_input_is_refused(tmp_path):
    graph = one_node("q.concat", [((3,), 0), ((4,), 0)], ((7,), 0), {}, {"axis": 0})
    with pytest.raises(BadInput, match="1 inputs, but the network takes 2"):
        emitted(graph, tmp_path).run(np.zeros((1, 3), np.int8))


def test_a_damaged_file_is_refused(tmp_path):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"not a model")
    with pytest.raises(BadFile, match="ONNX Runtime can't load it"):
        OnnxArtifact(path).run(np.zeros((1, 3), np.int8))
