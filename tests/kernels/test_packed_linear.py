"""Linear layers on weights packed into few bits or without their empty blocks: the integers stay the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.graph import Graph
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_ratios

VECTORS = {"amx": "avx512"}  # whose vector kernels an instruction set has
LANES = 16  # the most outputs that a block has
seeds = st.integers(0, 2**32 - 1)
sizes = st.tuples(st.integers(1, 150), st.integers(1, 90), st.integers(1, 30))  # inputs, outputs, rows
few = settings(max_examples=25, deadline=None)


def linear(rng: np.random.Generator, weight: np.ndarray, rows: int, out_bits: int = 8) -> Graph:
    """One vector a sample, or `rows` of them."""
    out, width = weight.shape
    bias = rng.integers(-(2**24), 2**24, out).astype(np.int32)
    params = {
        "weight": weight.astype(np.int8),
        "bias": bias,
        **random_ratios(rng, int(rng.choice([1, out])), 16, 47),
    }
    shape = (width,) if rows == 1 else (rows, width)
    zero = int(rng.choice([-128, -1, 0, 3, 127]))
    lo, hi = (LO, HI) if out_bits == 8 else (-30000, 31000)
    return one_node("q.linear", [shape], params, (zero,), out_bits=out_bits, lo=lo, hi=hi)


def candidates(graph: Graph, isa: str) -> list[str]:
    """What else than the usual kernels can run the only call."""
    (found,) = load("linear", *serialize(native_plan(graph).program)).candidates(isa)
    return [name for name, _ in found if " " in name]


def packed_equals_reference(graph: Graph, isa: str, how: str, x: np.ndarray) -> None:
    """Portable kernels pack nothing."""
    names = [name for name in candidates(graph, isa) if name.endswith(how)]
    assert bool(names) == (isa != "ref")
    for name in names:
        plan = NativePlan(graph, native_plan(graph).program, [name])
        assert plan.chosen == [name]
        np.testing.assert_array_equal(plan.run(x), run_integer(graph, x))


@few
@given(seeds, sizes, st.integers(1, 30), st.sampled_from([8, 16]))
@pytest.mark.parametrize("bits", [2, 4])
def test_few_bits_compute_the_same(isa, bits, seed, size, samples, out_bits) -> None:
    rng = np.random.default_rng(seed)
    width, out, rows = size
    half = 1 << (bits - 1)
    weight = rng.integers(-half, half, (out, width))
    weight.flat[0] = -half  # not one bit less
    rows = 1 if seed % 2 else rows
    graph = linear(rng, weight, rows, out_bits)
    x = random_int8(rng, samples if rows == 1 else 2, *graph.values["x0"].shape)
    packed_equals_reference(graph, isa, f"{bits} bits", x)


@few
@given(seeds, sizes, st.integers(1, 30), st.sampled_from([8, 16]), st.floats(0, 0.3))
def test_without_empty_blocks_the_same_is_computed(isa, seed, size, samples, out_bits, density) -> None:
    rng = np.random.default_rng(seed)
    width, out, rows = size
    blocks = -(-out // LANES)
    kept = np.zeros(blocks * width, bool)
    kept[: int(density * kept.size)] = True
    mask = np.repeat(rng.permutation(kept).reshape(blocks, width), LANES, axis=0)[:out]
    rows = 1 if seed % 2 else rows
    graph = linear(rng, np.where(mask, random_int8(rng, out, width), 0), rows, out_bits)
    x = random_int8(rng, samples if rows == 1 else 2, *graph.values["x0"].shape)
    packed_equals_reference(graph, isa, "blocks", x)


@pytest.mark.parametrize(
    ("low", "high", "offered"),
    [
        (-2, 1, "2 bits"),
        (-1, 1, "2 bits"),
        (-2, 2, "4 bits"),
        (-8, 7, "4 bits"),
        (-8, 8, None),
        (-9, 7, None),
    ],
)
def test_weights_are_packed_into_the_fewest_bits_that_hold_them(isa, low, high, offered) -> None:
    rng = np.random.default_rng(0)
    weight = rng.choice([low, high], (20, 40))
    found = candidates(linear(rng, weight, 1), isa)
    own = VECTORS.get(isa, isa)
    assert {name for name in found if name.startswith(own)} == (
        {f"{own} {offered}"} if offered and isa != "ref" else set()
    )


@pytest.mark.parametrize(("percent", "offered"), [(61, True), (59, False)])
def test_blocks_are_skipped_where_enough_are_empty(isa, percent, offered) -> None:
    rng = np.random.default_rng(0)
    weight = np.full((32, 100), 99)
    weight[:, :percent] = 0
    found = candidates(linear(rng, weight, 1), isa)
    assert (f"{VECTORS.get(isa, isa)} blocks" in found) == (offered and isa != "ref")


def test_single_zeros_leave_no_block_empty(isa) -> None:
    rng = np.random.default_rng(0)
    weight = np.where(rng.random((64, 50)) < 0.5, 0, 99)
    assert candidates(linear(rng, weight, 1), isa) == []


def test_extreme_sums_wrap_nowhere(isa) -> None:
    """The largest sums that lowering lets pass: 2^31 - 1 and its negative."""
    rng = np.random.default_rng(0)
    width = 8192
    weight = np.stack([np.full(width, -8), np.full(width, 7)])
    bias = np.array([2**31 - 1 - 8 * 255 * width, -(2**31) + 1 + 7 * 255 * width], np.int32)
    params = {"weight": weight.astype(np.int8), "bias": bias, **random_ratios(rng, 1, 39, 39)}
    graph = one_node("q.linear", [(width,)], params, (127,), lo=LO, hi=HI)
    for value in (-128, 127):
        x = np.full((1, width), value, np.int8)
        packed_equals_reference(graph, isa, "4 bits", x)
