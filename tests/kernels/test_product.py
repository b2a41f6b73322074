"""Weights in their formats give the products that their decoded values give."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.formats import Affine, Codebook, Dense, Format, LowRank, Sparse
from smidgen.kernels.call import quickest
from smidgen.kernels.product import float_product, integer_product
from smidgen.kernels.structured import dense

few = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 90)


def made(kind: str, weight: np.ndarray) -> Format:
    bits = int(kind[-1]) if kind[-1].isdigit() else 0
    if kind.startswith("affine"):
        return Affine.fit(weight, bits)
    if kind.startswith("group"):
        return Affine.fit(weight, bits, granularity="group")
    if kind.startswith("zero"):
        return Affine.fit(weight, bits, symmetric=False)
    if kind.startswith("codebook"):
        return Codebook.fit(weight, bits)
    if kind == "sparse":
        return Sparse(np.abs(weight) > 1.5, Dense(weight))
    return (
        LowRank(Dense(weight[:, :1].copy()), Dense(weight[:1].copy())) if kind == "lowrank" else Dense(weight)
    )


KINDS = ["affine2", "affine3", "affine4", "affine8", "group2", "group4", "zero4", "codebook1", "codebook2"]
KINDS += ["codebook4", "codebook6", "sparse", "lowrank", "dense"]


@few
@given(st.sampled_from(KINDS), seeds, sizes, sizes, st.integers(1, 5))
def test_a_float_product_is_that_of_the_decoded_weight(kind, seed, out, width, samples) -> None:
    rng = np.random.default_rng(seed)
    weight = made(kind, rng.normal(size=(out, width)).astype(np.float32))
    x = rng.normal(size=(samples, width)).astype(np.float32)
    rows = weight.decode().astype(np.float64)
    error = np.abs(float_product(weight)(x) - x @ rows.T)
    assert (error <= 2 * (width + 1) * 2.0**-23 * (np.abs(x) @ np.abs(rows).T)).all()


@few
@given(st.sampled_from(["affine2", "affine3", "affine4", "group2", "group4"]), seeds, sizes, sizes)
def test_an_integer_product_is_that_of_the_stored_integers(kind, seed, out, width) -> None:
    rng = np.random.default_rng(seed)
    weight = made(kind, rng.normal(size=(out, width)).astype(np.float32))
    assert isinstance(weight, Affine)
    x = rng.integers(-128, 128, (3, width), dtype=np.int8)
    expected = x.astype(np.int64) @ weight.integers().values.astype(np.int64).T
    np.testing.assert_array_equal(integer_product(weight)(x), expected)


@pytest.mark.parametrize("kind", ["affine8", "zero4"])
def test_other_weights_have_no_integer_product(kind: str) -> None:
    weight = made(kind, np.random.default_rng(0).normal(size=(3, 40)).astype(np.float32))
    with pytest.raises(BadInput, match="symmetric ones of 2 to 4 bits"):
        integer_product(weight)


def test_few_bits_are_not_expanded() -> None:
    weight = np.random.default_rng(0).normal(size=(8, 64)).astype(np.float32)
    assert [float_product(made(k, weight)).name for k in ("group4", "codebook4", "zero4")] == [
        "lowbit",
        "lowbit",
        "dense",
    ]


@pytest.mark.parametrize("quick", [0, 1, 2])
def test_the_kernel_that_takes_the_shortest_is_chosen(quick: int, monkeypatch: pytest.MonkeyPatch) -> None:
    seconds = iter([1.0 - (i == quick) for i in range(3)])
    monkeypatch.setattr("smidgen.kernels.call._seconds", lambda kernel, x: next(seconds))
    kernels = [dense(np.ones((2, 2))) for _ in range(3)]
    assert quickest(kernels) is kernels[quick]
