"""Kernels of every instruction set against the portable ones: several blocks, tiles and tails."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.graph import Graph
from smidgen.lower.nonlinear import normalize_ranges
from smidgen.run.isa import VARIABLE
from smidgen.run.native import NativePlan, native_plan
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_integers, random_ratios

seeds = st.integers(0, 2**32 - 1)
zeros = st.sampled_from([-128, -1, 0, 3, 127])
few = settings(max_examples=25, deadline=None)


def plan_of(graph: Graph, isa: str) -> NativePlan:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, isa)
        return native_plan(graph)


def same_as_portable(graph: Graph, isa: str, x: np.ndarray) -> None:
    """Equal outputs, whatever the memory around the input and between samples holds."""
    np.testing.assert_array_equal(plan_of(graph, isa).run(x), plan_of(graph, "ref").run(x))


def same_pairs(graph: Graph, isa: str, inputs: tuple[np.ndarray, ...]) -> None:
    found, expected = (plan_of(graph, name).run(inputs) for name in (isa, "ref"))
    np.testing.assert_array_equal(found, expected)


def layer(rng: np.random.Generator, per_channel: bool, *shape: int) -> dict[str, np.ndarray]:
    """Weights and extreme biases of a layer with ratios that saturate now and then."""
    bias = rng.integers(-(2**24), 2**24, shape[0]).astype(np.int32)
    ratios = random_ratios(rng, shape[0] if per_channel else 1, 16, 47)
    return {"weight": random_int8(rng, *shape), "bias": bias, **ratios}


@few
@given(
    seeds,
    st.integers(1, 300),
    st.integers(1, 150),
    st.integers(1, 30),
    st.integers(1, 60),
    zeros,
    st.booleans(),
)
@pytest.mark.parametrize("bits", [8, 16])
def test_linear_of_many_rows_and_samples(
    isa, bits, seed, features, out, rows, samples, zero, per_channel
) -> None:
    rng = np.random.default_rng(seed)
    params = layer(rng, per_channel, out, features)
    lo, hi = (LO, HI) if bits == 8 else (-30000, 31000)
    shape = (features,) if seed % 2 else (rows, features)
    graph = one_node("q.linear", [shape], params, (zero,), -5, out_bits=bits, lo=lo, hi=hi)
    same_as_portable(graph, isa, random_int8(rng, samples if seed % 2 else 2, *shape))


@few
@given(
    seeds,
    st.integers(1, 2),
    st.integers(1, 70),
    st.integers(1, 90),
    st.integers(1, 30),
    st.integers(1, 4),
    zeros,
)
def test_convolution_of_many_channels(isa, seed, groups, per_in, per_out, width, kernel, zero) -> None:
    rng = np.random.default_rng(seed)
    params = layer(rng, True, groups * per_out, kernel, kernel, per_in)
    stride, dilation, before, after = (int(v) for v in rng.integers(1, 3, 4))
    shape = (kernel * dilation + 2, width + kernel * dilation, groups * per_in)
    attrs = {"stride": (stride, 1), "padding": ((before, after), (after, 0)), "dilation": (1, dilation)}
    graph = one_node("q.conv", [shape], params, (zero,), groups=groups, lo=LO, hi=HI, **attrs)
    same_as_portable(graph, isa, random_int8(rng, 2, *shape))


@few
@given(seeds, st.integers(2, 100), st.integers(1, 30), st.sampled_from([(3, 3), (1, 5), (10, 4)]), zeros)
def test_depthwise_convolution_of_many_channels(isa, seed, channels, width, kernel, zero) -> None:
    rng = np.random.default_rng(seed)
    params = layer(rng, True, channels, *kernel, 1)
    shape = (kernel[0] + 1, width + kernel[1], channels)
    attrs = {"stride": (1, 2), "padding": ((1, 0), (2, 1)), "dilation": (1, 1), "groups": channels}
    graph = one_node("q.conv", [shape], params, (zero,), lo=LO, hi=HI, **attrs)
    plan = plan_of(graph, isa)
    assert [call.kernel for call in plan.program.calls] == ["smg_q_depthwise"]
    same_as_portable(graph, isa, random_int8(rng, 2, *shape))


@few
@given(seeds, st.integers(1, 200), st.integers(1, 47), st.booleans())
@pytest.mark.parametrize("op", ["q.add", "q.mul"])
def test_element_wise_operators_of_long_rows(isa, op, seed, channels, shift, broadcast) -> None:
    rng = np.random.default_rng(seed)
    shapes = [(3, channels), (3, 1 if broadcast else channels)]
    ratio = (
        {"multiplier": rng.integers(-65535, 65536, 2).astype(np.int32)}
        if op == "q.add"
        else random_ratios(rng, 1)
    )
    attrs = {"shift": shift} if op == "q.add" else {}
    graph = one_node(op, shapes, ratio, (100, -128), lo=LO, hi=HI, **attrs)
    same_pairs(graph, isa, tuple(random_int8(rng, 2, *shape) for shape in shapes))


def wide_inputs(rng: np.random.Generator, channels: int) -> tuple[np.ndarray, ...]:
    """Two operands of three samples and two rows each, the ends of 16 bits among their values."""
    return tuple(random_integers(rng, 16, 3, 2, channels) for _ in range(2))


def wide_pair(op: str, channels: int, params: dict[str, np.ndarray], **attrs: int) -> Graph:
    shapes = [(2, channels), (2, channels)]
    return one_node(op, shapes, params, (0, 0), 0, (16, 16), 16, lo=-32768, hi=31000, **attrs)


@few
@given(
    seeds, st.integers(1, 200), st.tuples(*[st.integers(-16, 16)] * 2), st.integers(0, 11), st.integers(1, 30)
)
def test_wide_sums_of_long_rows(isa, seed, channels, factors, exponent, shift) -> None:
    """Factors that are small once common powers of two are taken off, as those of gates are."""
    rng = np.random.default_rng(seed)
    multiplier = np.array(factors, np.int32) << exponent
    graph = wide_pair("q.add", channels, {"multiplier": multiplier}, shift=shift)
    same_pairs(graph, isa, wide_inputs(rng, channels))


@few
@given(seeds, st.integers(1, 200), st.sampled_from([1, 3, 2**15, 2**15 - 1]), st.integers(1, 31))
def test_wide_products_of_long_rows(isa, seed, channels, multiplier, shift) -> None:
    rng = np.random.default_rng(seed)
    ratio = {"multiplier": np.array([multiplier], np.uint16), "shift": np.array([shift], np.uint8)}
    same_pairs(wide_pair("q.mul", channels, ratio), isa, wide_inputs(rng, channels))


@few
@given(seeds, st.integers(1, 100), st.sampled_from([8, 16]))
def test_tables_of_many_values_and_the_steepest_lines(isa, seed, count, bits) -> None:
    rng = np.random.default_rng(seed)
    table = random_integers(rng, bits, 257).astype(np.int16)
    graph = one_node("q.table", [(count,)], {"table": table}, (0,), 0, (16,), bits)
    same_as_portable(graph, isa, random_integers(rng, 16, 3, count))


@few
@given(seeds, st.integers(1, 5), st.integers(1, 200))
def test_copies_of_many_runs(isa, seed, rows, run) -> None:
    rng = np.random.default_rng(seed)
    graph = one_node("q.concat", [(rows, run), (rows, run)], {}, (0, 0), 0, axis=1)
    same_pairs(graph, isa, tuple(random_int8(rng, 3, rows, run) for _ in range(2)))


def test_a_plan_says_what_runs_its_calls(isa) -> None:
    rng = np.random.default_rng(0)
    graph = one_node("q.linear", [(3,)], layer(rng, True, 2, 3), (0,), lo=LO, hi=HI)
    assert native_plan(graph).chosen == [isa]


@few
@given(seeds, st.integers(1, 300), zeros, st.booleans(), st.booleans())
@pytest.mark.parametrize("bits", [8, 16])
def test_normalization_of_long_rows(isa, bits, seed, size, zero, per_channel, alike) -> None:
    rng = np.random.default_rng(seed)
    channels = size if per_channel else 1
    params = {
        "multiplier": rng.integers(-65536, 65537, channels).astype(np.int32),
        "bias": rng.integers(-(2**22), 2**22, channels).astype(np.int32),
    }
    legal = normalize_ranges(f"int{bits}", size).items()
    attrs = {name: int(rng.choice([lo, hi, rng.integers(lo, hi + 1)])) for name, (lo, hi) in legal}
    attrs |= {"axes": (1,), "centered": bool(rng.integers(2)), "lo": LO, "hi": HI}
    graph = one_node("q.normalize", [(5, size)], params, (zero,), bits=(bits,), **attrs)
    x = random_integers(rng, bits, 2, 5, size)
    same_as_portable(graph, isa, np.full_like(x, x.flat[0]) if alike else x)


@few
@given(seeds, st.integers(1, 300), st.floats(0.001, 3), st.booleans())
def test_softmax_of_long_rows(isa, seed, size, scale, alike) -> None:
    rng = np.random.default_rng(seed)
    table = np.floor(np.exp(-scale * np.arange(256)) * 65535 + 0.5).astype(np.uint16)
    graph = one_node("q.softmax", [(5, size)], {"table": table}, (0,), -128)
    x = random_int8(rng, 2, 5, size)
    same_as_portable(graph, isa, np.full_like(x, x.flat[0]) if alike else x)


def test_every_share_of_a_small_sum_is_exact(isa) -> None:
    """Quotients that are whole numbers, and those just below one."""
    table = np.zeros(256, np.uint16)
    table[:4] = (4, 3, 2, 1)
    x = np.array([row for row in np.ndindex(4, 4, 4, 4) if 3 in row], np.int8).reshape(1, -1, 4)
    same_as_portable(one_node("q.softmax", [x.shape[1:]], {"table": table}, (0,), -128), isa, x)
