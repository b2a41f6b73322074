"""Stored weights: packing, and the kernels that expand them, against what the formats mean."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadFile
from smidgen.formats import Affine, Codebook, Format, Leaf, Sparse
from smidgen.formats.packing import pack_bits, unpack_bits
from smidgen.graph import Graph
from smidgen.lower.schedule import expand_weights, schedule
from smidgen.run.native import native_plan
from smidgen.run.plan_code import load, serialize
from tests.kernels.one_node import one_node, random_int8, random_ratios
from tests.kernels.stored_weights import seeds, stored


def linear(fmt: Format) -> Graph:
    """A linear layer with the weight `fmt` as [O, rest]."""
    rng = np.random.default_rng(0)
    out = fmt.shape[0]
    params = {"weight": fmt, "bias": rng.integers(-99, 99, out).astype(np.int32), **random_ratios(rng, out)}
    return one_node("q.linear", [(fmt.shape[1],)], params, lo=-128, hi=127)


def decoded(fmt: Format) -> np.ndarray:
    """The int8 weights that the kernel makes, read from the trace of a network that stores `fmt`."""
    *_, features = fmt.shape
    rank = len(fmt.shape) - 2
    axes = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank, "groups": 1}
    params = {
        "weight": fmt,
        "bias": np.zeros(fmt.shape[0], np.int32),
        **random_ratios(np.random.default_rng(0), 1),
    }
    op, shape = ("q.conv", (*fmt.shape[1:-1], features)) if rank else ("q.linear", (features,))
    graph = one_node(op, [shape], params, **(axes if rank else {}), lo=-128, hi=127)
    plan = native_plan(expand_weights(graph, lambda _: True))
    return plan.trace(np.zeros((1, *shape), np.int8))["n.decode"]


@settings(max_examples=120)
@given(stored())
def test_decoding_gives_the_integers_of_the_format(fmt: Format) -> None:
    whole = fmt.integers()
    assert whole is not None
    np.testing.assert_array_equal(decoded(fmt), whole.values)


@pytest.mark.parametrize("fit", [Affine.fit, Codebook.fit])
@pytest.mark.parametrize(("density", "positions"), [(0.01, "gaps"), (0.5, "mask")])
def test_both_sparse_encodings_are_decoded(
    fit: Callable[..., Format], density: float, positions: str
) -> None:
    rng = np.random.default_rng(3)
    fmt = Sparse(rng.random((30, 40)) < density, fit(rng.normal(size=(30, 40)).astype(np.float32), 3))
    constants = {constant.name for constant in schedule(expand_weights(linear(fmt))).constants}
    assert f"weight.{positions}" in constants
    np.testing.assert_array_equal(decoded(fmt), fmt.integers().values)


@settings(max_examples=25)
@given(stored().filter(lambda fmt: len(fmt.shape) == 2), seeds)
def test_a_stored_weight_computes_what_its_expansion_does(fmt: Format, seed: int) -> None:
    graph = linear(fmt)
    x = random_int8(np.random.default_rng(seed), 3, fmt.shape[1])
    stored_plan = native_plan(expand_weights(graph, lambda _: True))
    np.testing.assert_array_equal(stored_plan.run(x), native_plan(graph).run(x))


def test_constants_of_a_stored_weight_are_its_packed_leaves() -> None:
    weight = np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32)
    fmt = Affine.fit(weight, 4, "group", group_size=8)
    constants = {c.name: c.array for c in schedule(expand_weights(linear(fmt))).constants}
    leaves = {leaf.name: leaf for leaf in fmt.leaves()}
    assert constants["weight.symbols"].tobytes() == pack_bits(leaves["symbols"]).tobytes()
    assert constants["weight.multiples"].tobytes() == pack_bits(leaves["multiples"]).tobytes()
    assert "weight.int8" not in constants


def test_constants_of_shared_weights_are_packed_indices_and_the_codebook() -> None:
    fmt = Codebook.fit(np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32), 3)
    constants = {c.name: c.array for c in schedule(expand_weights(linear(fmt))).constants}
    leaves = {leaf.name: leaf for leaf in fmt.leaves()}
    assert constants["weight.symbols"].tobytes() == pack_bits(leaves["symbols"]).tobytes()
    assert constants["weight.centroids"].tobytes() == fmt.centroids.tobytes()
    assert "weight.int8" not in constants


@pytest.mark.parametrize("change", [{"entries": 9}, {"bits": 9}, {"rows": 9}])
def test_a_program_that_reads_beyond_a_codebook_is_refused(change: dict[str, int]) -> None:
    fmt = Codebook.fit(np.random.default_rng(0).normal(size=(8, 20)).astype(np.float32), 3)
    program = schedule(expand_weights(linear(fmt)))
    decode = next(call for call in program.calls if call.kernel == "smg_decode")
    wrong = replace(decode, args=tuple({**dict(decode.args), **change}.items()))
    calls = tuple(wrong if call is decode else call for call in program.calls)
    with pytest.raises(BadFile, match="do not fit its memory"):
        load("wrong", *serialize(replace(program, calls=calls)))


def test_a_codebook_larger_than_its_tensor_is_not_expanded() -> None:
    graph = linear(Codebook.fit(np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32), 8))
    assert expand_weights(graph) is graph


def test_eight_bit_weights_are_not_expanded() -> None:
    graph = linear(Affine.fit(np.random.default_rng(0).normal(size=(6, 20)).astype(np.float32), 8))
    assert expand_weights(graph) is graph


def test_a_tied_weight_is_stored_once_and_expanded_at_each_use() -> None:
    fmt = Affine.fit(np.random.default_rng(0).normal(size=(8, 8)).astype(np.float32), 4)
    graph = linear(fmt)
    second = replace(graph.nodes[0], name="m", inputs=("y",), outputs=("z",))
    twice = replace(graph.with_values({"z": graph.values["y"]}), nodes=(*graph.nodes, second), outputs=("z",))
    program = schedule(expand_weights(twice))
    assert [call.kernel for call in program.calls].count("smg_decode") == 2
    assert [c.name for c in program.constants].count("weight.symbols") == 1


@settings(max_examples=60)
@given(st.integers(1, 32), st.booleans(), st.integers(0, 40), seeds)
def test_unpacking_inverts_packing(bits: int, signed: bool, size: int, seed: int) -> None:
    lo, hi = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
    symbols = np.random.default_rng(seed).integers(lo, hi, size)
    leaf = Leaf("s", symbols, bits, signed)
    packed = pack_bits(leaf)
    assert packed.nbytes == leaf.packed_bytes
    np.testing.assert_array_equal(unpack_bits(packed, size, bits, signed), symbols)


def test_packing_starts_at_the_least_significant_bit() -> None:
    packed = pack_bits(Leaf("s", np.array([1, -1, 2]), 3, signed=True))
    assert packed.tolist() == [0b10_111_001, 0b0]  # 001, 111, then 010 across the byte boundary


def test_a_symbol_that_does_not_fit_is_refused() -> None:
    with pytest.raises(ValueError, match="do not fit 3 bits"):
        pack_bits(Leaf("s", np.array([4]), 3, signed=True))


def test_a_stream_of_the_wrong_length_is_refused() -> None:
    with pytest.raises(BadFile, match="5 symbols of 3 bits take 2"):
        unpack_bits(np.zeros(3, np.uint8), 5, 3, signed=False)
