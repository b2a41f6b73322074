"""Every way to run a layer, whether a plan would choose it or not, gives the bytes of the portable kernel."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.formats import Binary
from smidgen.graph import Graph
from smidgen.lower.program import Program
from smidgen.lower.schedule import schedule
from smidgen.run.isa import chosen_isa
from smidgen.run.native import NativePlan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_ratios
from tests.kernels.test_bits import signs_to

few = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def candidates(program: Program) -> list[str]:
    """The names of all that could run some call of the program."""
    found = load(program.name, *serialize(program)).candidates(chosen_isa())
    return sorted({name for pairs in found for name, _ in pairs})


def same_as_reference(graph: Graph, x: np.ndarray) -> None:
    program, expected = schedule(graph), run_integer(graph, x)
    for name in candidates(program):
        plan = NativePlan(graph, program, [name] * len(program.calls))
        np.testing.assert_array_equal(plan.run(x), expected, err_msg=name)


@st.composite
def windows(draw):
    """(x shape, weight shape, attributes): from less than a tile (16 rows, 64 bytes, 16 outputs) on."""
    channels, out = draw(st.sampled_from([1, 5, 32, 40, 64, 70, 128])), draw(st.integers(1, 70))
    kernel = (draw(st.integers(1, 3)), draw(st.integers(1, 3)))
    dilation = (draw(st.integers(1, 2)), draw(st.integers(1, 2)))
    stride = draw(st.sampled_from([(1, 1), (1, 1), (2, 2), (1, 2)]))
    padding = tuple((draw(st.integers(0, 2)), draw(st.integers(0, 2))) for _ in range(2))
    height, width = (d * (k - 1) + 1 for d, k in zip(dilation, kernel, strict=True))
    shape = (height + draw(st.integers(0, 7)), width + draw(st.integers(0, 12)), channels)
    return shape, (out, *kernel, channels), {"stride": stride, "padding": padding, "dilation": dilation}


@few
@given(windows(), st.sampled_from([-128, 0, 3, 127]), seeds)
def test_a_convolution_of_int8(case, zero, seed) -> None:
    shape, of_weight, attrs = case
    rng = np.random.default_rng(seed)
    bias = rng.integers(-(2**20), 2**20, of_weight[0]).astype(np.int32)
    params = {"weight": random_int8(rng, *of_weight), "bias": bias, **random_ratios(rng, of_weight[0])}
    graph = one_node("q.conv", [shape], params, (zero,), groups=1, lo=LO, hi=HI, **attrs)
    same_as_reference(graph, random_int8(rng, 2, *shape))


@few
@given(windows(), seeds)
def test_a_convolution_of_bits_to_int8(case, seed) -> None:
    shape, of_weight, attrs = case
    rng = np.random.default_rng(seed)
    bias = rng.integers(-99, 99, of_weight[0]).astype(np.int32)
    weight = Binary.fit(rng.normal(size=of_weight).astype(np.float32))
    params = {"weight": weight, "bias": bias, **random_ratios(rng, of_weight[0] if seed % 2 else 1, 12, 20)}
    graph = signs_to(shape, "q.binary_conv", params, False, **attrs, groups=1, lo=LO, hi=HI)
    same_as_reference(graph, random_int8(rng, 2, *shape))


@few
@given(windows(), seeds, st.sampled_from([1, 8, 2**20]))
def test_a_convolution_of_bits_to_bits(case, seed, spread) -> None:
    """Thresholds near the sums, near none of them, and far beyond."""
    shape, of_weight, attrs = case
    rng = np.random.default_rng(seed)
    reach = int(np.prod(of_weight[1:])) * spread
    threshold = rng.integers(-reach, reach + 2, of_weight[0]).clip(-(2**31), 2**31 - 1).astype(np.int32)
    weight = Binary.fit(rng.normal(size=of_weight).astype(np.float32))
    params = {"weight": weight, "threshold": threshold}
    graph = signs_to(shape, "q.binary_conv_bits", params, True, **attrs, groups=1)
    same_as_reference(graph, random_int8(rng, 2, *shape))
