"""Weights multiplied as they are stored: the same bytes as with int8 weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadFile
from smidgen.formats import Affine, Format, Sparse
from smidgen.graph import Graph
from smidgen.lower.schedule import schedule
from smidgen.run.native import NativePlan, load, native_plan, serialize
from tests.kernels.one_node import one_node as build
from tests.kernels.one_node import random_int8, random_ratios
from tests.kernels.stored_weights import seeds, stored

BOUNDS = {"lo": -128, "hi": 127}


def everywhere(fmt: Format) -> bool:
    return True


def params(fmt: Format, seed: int, per_channel: bool = True) -> dict[str, np.ndarray | Format]:
    rng, out = np.random.default_rng(seed), fmt.shape[0]
    ratios = random_ratios(rng, out if per_channel else 1)
    return {"weight": fmt, "bias": rng.integers(-9999, 9999, out).astype(np.int32), **ratios}


def same_as_int8(graph: Graph, seed: int) -> None:
    """The stored weights are read by their own kernel, and the result is that of int8 weights."""
    program = schedule(graph, everywhere)
    assert [call.kernel for call in program.calls] in (["smg_q_conv_stored"], ["smg_q_linear_stored"])
    assert not any(constant.name.endswith("int8") for constant in program.constants)
    x = random_int8(np.random.default_rng(seed), 2, *graph.values["x0"].shape)
    np.testing.assert_array_equal(NativePlan(graph, program).run(x), native_plan(graph).run(x))


@st.composite
def windows(draw) -> tuple[Format, tuple[int, ...], dict[str, object]]:
    """(weight [O, kernel, I / groups], input shape, attributes) of a convolution over one or two axes."""
    rank, groups = draw(st.integers(1, 2)), draw(st.sampled_from([1, 1, 2, 3]))
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    dilation = [draw(st.integers(1, 2)) for _ in range(rank)]
    padding = [(draw(st.integers(0, 3)), draw(st.integers(0, 2))) for _ in range(rank)]
    least = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    space = [low + draw(st.integers(0, 6)) for low in least]
    space[-1] += draw(st.sampled_from([0, 0, 20]))  # more outputs in a row than a tile has
    depth, out = draw(st.integers(1, 3)), draw(st.integers(1, 3)) * groups
    attrs = {
        "stride": tuple(draw(st.integers(1, 3)) for _ in range(rank)),
        "padding": tuple(padding),
        "dilation": tuple(dilation),
        "groups": groups,
    }
    return draw(stored((out, *kernel, depth))), (*space, depth * groups), attrs


@settings(max_examples=150)
@given(windows(), seeds, st.integers(-128, 127), st.booleans())
def test_a_convolution_of_stored_weights_equals_that_of_int8(window, seed, zero, per_channel) -> None:
    fmt, shape, attrs = window
    graph = build("q.conv", [shape], params(fmt, seed, per_channel), zeros=(zero,), **attrs, **BOUNDS)
    same_as_int8(graph, seed)


@settings(max_examples=60)
@given(st.integers(1, 9), st.integers(1, 9), st.sampled_from([(), (1,), (20,), (2, 3)]), st.data(), seeds)
def test_a_linear_layer_of_stored_weights_equals_that_of_int8(out, features, rows, data, seed) -> None:
    fmt = data.draw(stored((out, features)))
    same_as_int8(build("q.linear", [(*rows, features)], params(fmt, seed), **BOUNDS), seed)


@settings(max_examples=30)
@given(st.data(), seeds)
def test_a_result_of_16_bits_equals_that_of_int8_weights(data, seed) -> None:
    fmt = data.draw(stored((5, 7)))
    wide = {"lo": -32768, "hi": 32767, "out_bits": 16, "out_zero": 0}
    same_as_int8(build("q.linear", [(7,)], params(fmt, seed), **wide), seed)


@pytest.mark.parametrize("channels", [1, 6])
def test_a_depthwise_convolution_of_stored_weights_equals_that_of_int8(channels: int) -> None:
    weight = np.random.default_rng(1).normal(size=(channels, 3, 3, 1)).astype(np.float32)
    fmt = Affine.fit(weight, 2)
    attrs = {"stride": (1, 2), "padding": ((1, 1),) * 2, "dilation": (1, 1), "groups": channels}
    same_as_int8(build("q.conv", [(7, 40, channels)], params(fmt, 2), **attrs, **BOUNDS), 3)


def test_several_vectors_with_results_of_16_bits_take_int8_weights() -> None:
    fmt = Affine.fit(np.random.default_rng(1).normal(size=(4, 7)).astype(np.float32), 4)
    wide = {"lo": -32768, "hi": 32767, "out_bits": 16, "out_zero": 0}
    graph = build("q.linear", [(3, 7)], params(fmt, 2), **wide)
    assert [call.kernel for call in schedule(graph, everywhere).calls] == ["smg_q_linear16"]


def gaps() -> Graph:
    rng = np.random.default_rng(0)
    inner = Affine.fit(rng.normal(size=(12, 40)).astype(np.float32), 3, symmetric=False)
    return build("q.linear", [(40,)], params(Sparse(rng.random((12, 40)) < 0.03, inner), 1), **BOUNDS)


@pytest.mark.parametrize(
    "change",
    [
        *({"bits": 9}, {"stored": 400}, {"gap_count": 4000}, {"gap_bits": 9}, {"zeros": 13}),
        *({"in": 41}, {"entries": 2}, {"group": 0}, {"wide_y": 2}),
    ],
)
def test_a_program_that_reads_beyond_its_streams_is_refused(change: dict[str, int]) -> None:
    program = schedule(gaps(), everywhere)
    (call,) = program.calls
    wrong = replace(call, args=tuple({**dict(call.args), **change}.items()))
    with pytest.raises(BadFile, match="do not fit its memory"):
        load("wrong", *serialize(replace(program, calls=(wrong,))))


def test_gaps_that_lead_beyond_the_last_weight_end_the_walk() -> None:
    graph = gaps()
    program = schedule(graph, everywhere)
    (at,) = [i for i, c in enumerate(program.constants) if c.name == "weight.gaps"]
    constants = list(program.constants)
    constants[at] = replace(constants[at], array=np.full_like(constants[at].array, 255))
    made = NativePlan(graph, replace(program, constants=tuple(constants)))
    assert made.run(np.zeros((1, 40), np.int8)).shape == (1, 12)
