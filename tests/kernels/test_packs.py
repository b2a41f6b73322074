"""Layers on the packed bits of some words only, against sums in plain loops, for every instruction set."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import Unsupported
from smidgen.formats import BinaryPacks
from smidgen.run.native import native_plan
from tests.kernels import loops
from tests.kernels.one_node import HI, LO, OUT_ZERO, random_int8, random_ratios, ratio_of
from tests.kernels.test_bits import compare, convolutions, picked, signs_to, sums

few = settings(max_examples=12, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sparsities = st.sampled_from([0.0, 0.3, 0.9, 1.0])


def packs(rng: np.random.Generator, shape: tuple[int, ...], sparsity: float) -> BinaryPacks:
    return BinaryPacks.fit(rng.normal(size=shape).astype(np.float32), sparsity)


@few
@given(convolutions(), sparsities, seeds)
def test_a_convolution_to_int8_equals_the_sum_of_kept_signs(case, sparsity, seed) -> None:
    shape, of_weight, window = case
    rng = np.random.default_rng(seed)
    weight, x = packs(rng, of_weight, sparsity), random_int8(rng, 2, *shape)
    bias = rng.integers(-99, 99, of_weight[0]).astype(np.int32)
    ratios = random_ratios(rng, of_weight[0] if seed % 2 else 1, 12, 20)
    params = {"weight": weight, "bias": bias, **ratios}
    graph = signs_to(shape, "q.binary_conv", params, False, **window, groups=1, lo=LO, hi=HI)
    rules = {"groups": 1, "zero": 0, "ratio": ratio_of(ratios), "bounds": (OUT_ZERO, LO, HI)}
    signs = np.where(x >= 0, 1, -1)
    expected = [loops.conv(one, weight.integers().values, bias, **window, **rules) for one in signs]
    compare(graph, x, np.array(expected))


@few
@given(convolutions(), sparsities, seeds)
def test_a_convolution_to_bits_compares_the_sum_of_kept_signs(case, sparsity, seed) -> None:
    shape, of_weight, window = case
    rng = np.random.default_rng(seed)
    weight, x = packs(rng, of_weight, sparsity), random_int8(rng, 3, *shape)
    reach = int(np.prod(of_weight[1:]))
    threshold = (rng.integers(-reach, reach + 2, of_weight[0]) // rng.choice([1, 8])).astype(np.int32)
    params = {"weight": weight, "threshold": threshold}
    graph = signs_to(shape, "q.binary_conv_bits", params, True, **window, groups=1)
    acc = np.array([sums(one, weight.integers().values, **window) for one in np.where(x >= 0, 1, -1)])
    compare(graph, x, picked(acc >= threshold))


@few
@given(st.integers(1, 2200), st.integers(1, 70), st.integers(1, 40), sparsities, seeds)
def test_linear_layers_equal_the_sum_of_kept_signs(features, out, samples, sparsity, seed) -> None:
    rng = np.random.default_rng(seed)
    weight, x = packs(rng, (out, features), sparsity), random_int8(rng, samples, features)
    acc = np.where(x >= 0, 1, -1) @ weight.integers().values.T.astype(np.int64)
    threshold = rng.integers(-features, features + 2, out).astype(np.int32)
    params = {"weight": weight, "threshold": threshold}
    compare(signs_to((features,), "q.binary_linear_bits", params, True), x, picked(acc >= threshold))


def test_packs_that_are_no_words_are_refused() -> None:
    weight = BinaryPacks.fit(np.ones((2, 40), np.float32), 0.5, width=1)
    graph = signs_to(
        (40,), "q.binary_linear_bits", {"weight": weight, "threshold": np.zeros(2, np.int32)}, True
    )
    with pytest.raises(Unsupported, match="packs of 1 weights"):
        native_plan(graph)
