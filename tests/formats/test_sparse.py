"""Sparse weights: positions round trip, the smaller encoding wins, nesting."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smidgen.errors import BadFile
from smidgen.formats import Affine, Dense, Sparse, from_parts, to_parts
from smidgen.formats.sparse import gaps_from_mask, mask_from_gaps

masks = hnp.arrays(bool, st.integers(0, 300), elements=st.booleans())


@given(masks, st.integers(2, 8))
def test_relative_indices_round_trip(mask: np.ndarray, bits: int) -> None:
    assert np.array_equal(mask_from_gaps(gaps_from_mask(mask, bits), bits, mask.size), mask)


def test_a_long_gap_uses_escapes() -> None:
    mask = np.zeros(20, bool)
    mask[10] = True
    assert gaps_from_mask(mask, 2).tolist() == [3, 3, 3, 1]


def test_a_position_outside_the_tensor_is_refused() -> None:
    with pytest.raises(BadFile, match="position 8"):
        mask_from_gaps(np.array([3, 3, 2]), 2, 8)


@given(st.floats(0.0, 1.0), st.integers(0, 99))
def test_the_smaller_position_encoding_is_stored(density: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((8, 50)) < density
    fmt = Sparse(mask, Dense(rng.normal(size=mask.shape)))
    sizes = [(gaps_from_mask(mask.ravel(), b).size * b + 7) // 8 for b in range(2, 9)]
    assert fmt.positions.packed_bytes == min([*sizes, mask.size // 8])


def test_only_nonzero_symbols_are_stored() -> None:
    w = np.random.default_rng(0).normal(size=(4, 25)).astype(np.float32)
    mask = np.abs(w) > 1
    stored = {leaf.name: leaf.symbols.size for leaf in Sparse(mask, Affine.fit(w, 4)).leaves()}
    assert stored["inner/symbols"] == mask.sum()


def test_masked_weights_decode_to_exactly_zero() -> None:
    w = np.random.default_rng(0).normal(size=(4, 25)).astype(np.float32) + 3
    mask = np.arange(100).reshape(4, 25) % 3 == 0
    fmt = Sparse(mask, Affine.fit(w, 4, symmetric=False))
    assert not fmt.decode()[~mask].any()
    assert not fmt.integers().values[~mask].any()


def test_map_dense_quantizes_inside_the_mask() -> None:
    w = np.random.default_rng(0).normal(size=(4, 25)).astype(np.float32)
    fmt = Sparse(np.abs(w) > 1, Dense(w)).map_dense(lambda dense: Affine.fit(dense, 4))
    assert fmt.label == "sparse(affine4)"


def test_a_sparse_inside_a_sparse_is_refused() -> None:
    w = np.ones((2, 2), np.float32)
    meta, leaves = to_parts(Sparse(w > 0, Dense(w)))
    with pytest.raises(BadFile, match="inside"):
        from_parts({**meta, "inner": meta}, {leaf.name: leaf.symbols for leaf in leaves})
