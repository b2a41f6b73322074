"""Sparse products against float64."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels import sparse

few = settings(max_examples=60)
sizes = st.integers(1, 150)
KERNELS = [sparse.block_columns, sparse.block_rows, sparse.csr]


@few
@given(
    st.sampled_from(KERNELS),
    st.integers(0, 2**32 - 1),
    sizes,
    sizes,
    st.sampled_from([0.0, 0.05, 0.5, 1.0]),
    st.integers(1, 3),
)
def test_a_sparse_product_equals_the_dense_one(kernel, seed, out, width, density, samples) -> None:
    rng = np.random.default_rng(seed)
    weight = rng.normal(size=(out, width)) * (rng.random((out, width)) < density)
    weight = weight.astype(np.float32)
    x = rng.normal(size=(samples, width)).astype(np.float32)
    error = np.abs(kernel(weight)(x) - x.astype(np.float64) @ weight.T)
    assert (error <= width * 2.0**-23 * (np.abs(x) @ np.abs(weight).T)).all()


def test_empty_blocks_are_not_read() -> None:
    """An input that no output needs may be anything."""
    weight = np.zeros((32, 64), np.float32)
    weight[:, 20] = 1
    x = np.full(64, np.nan, np.float32)
    x[20] = 3
    assert (sparse.block_columns(weight)(x) == 3).all()
    x[16:32] = 3
    assert (sparse.block_rows(weight)(x) == 3).all()


@pytest.mark.parametrize("kernel", KERNELS)
def test_what_is_no_matrix_is_refused(kernel) -> None:
    with pytest.raises(BadInput, match=r"a matrix \[out, in\]"):
        kernel(np.zeros((3, 0)))


def test_more_columns_than_indices_can_name_are_refused() -> None:
    with pytest.raises(BadInput, match="65,537 inputs"):
        sparse.block_columns(np.zeros((1, 65537)))
