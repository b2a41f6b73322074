"""Shared weights: clustering against brute force, the int8 grid, trained centroids, damaged files."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from smidgen.errors import BadFile
from smidgen.formats import Codebook, Sparse, from_parts, to_parts
from smidgen.formats.codebook import cluster, nearest

W = np.random.default_rng(0).normal(size=(8, 3, 3, 10)).astype(np.float32)
weights = hnp.arrays(
    np.float32, st.integers(0, 60), elements=st.floats(-4, 4, width=32).map(lambda v: round(v, 2))
)


def squared_error(values: np.ndarray, centers: np.ndarray) -> float:
    distances = np.abs(values.astype(np.float64)[:, None] - centers[None, :])
    return float(np.square(distances.min(axis=1)).sum())


def lloyd(values: np.ndarray, count: int, rounds: int) -> list[float]:
    """The textbook, one value at a time; clusters that end empty are dropped."""

    def members(centers: list[float]) -> list[list[float]]:
        found: list[list[float]] = [[] for _ in centers]
        for v in values.astype(np.float64):
            distances = [abs(v - c) for c in centers]
            # Of two equally near centers the upper one.
            found[max(i for i, d in enumerate(distances) if d == min(distances))].append(v)
        return found

    centers = list(np.linspace(values.min(), values.max(), count, dtype=np.float64))
    for _ in range(rounds):
        centers = [np.mean(m) if m else c for m, c in zip(members(centers), centers, strict=True)]
    return [c for m, c in zip(members(centers), centers, strict=True) if m]


@pytest.mark.parametrize("rounds", [0, 1, 7])
def test_clustering_is_lloyds_algorithm(rounds: int) -> None:
    for seed in range(5):
        values = np.random.default_rng(seed).normal(size=80).astype(np.float32)
        assert np.allclose(cluster(values, 8, rounds), lloyd(values, 8, rounds), atol=1e-12)


@settings(deadline=None)
@given(weights, st.integers(1, 6))
def test_more_rounds_are_never_worse(values: np.ndarray, bits: int) -> None:
    errors = [squared_error(values, cluster(values, 1 << bits, rounds)) for rounds in (0, 1, 2, 5, 50)]
    assert all(later <= earlier + 1e-9 for earlier, later in itertools.pairwise(errors))


@settings(deadline=None)
@given(weights, st.integers(1, 8))
def test_every_center_has_members_and_they_ascend(values: np.ndarray, bits: int) -> None:
    centers = cluster(values, 1 << bits, 20)
    assert 1 <= centers.size <= 1 << bits
    assert np.all(np.diff(centers) > 0)
    if values.size:
        assert set(nearest(values, centers)) == set(range(centers.size))


def test_two_far_groups_are_found() -> None:
    assert cluster(np.array([1, 2, 10, 12], np.float32), 2, 10).tolist() == [1.5, 11.0]


def test_few_distinct_values_are_their_own_centers() -> None:
    assert cluster(np.array([3, 1, 3, 3], np.float32), 4, 10).tolist() == [1.0, 3.0]


@pytest.mark.parametrize("bits", range(1, 9))
def test_weights_take_at_most_the_asked_number_of_values(bits: int) -> None:
    fmt = Codebook.fit(W, bits)
    assert len(np.unique(fmt.decode())) == fmt.centroids.size <= 1 << bits
    assert fmt.bits <= bits


@settings(deadline=None)
@given(weights, st.integers(1, 8))
def test_a_weight_is_within_its_clusters_reach_and_half_a_step(values: np.ndarray, bits: int) -> None:
    fmt, centers = Codebook.fit(values, bits), cluster(values, 1 << bits, 50)
    to_center = np.abs(values[:, None] - centers[None, :]).min(axis=1)
    assert np.all(np.abs(fmt.decode() - values) <= to_center + 0.5 * fmt.scale[0] + 1e-6)


def test_eight_bits_are_as_good_as_rounding_to_int8() -> None:
    fmt = Codebook.fit(W, 8)
    assert np.abs(fmt.decode() - W).max() <= 1.5 * fmt.scale[0]


def test_pruned_weights_have_no_say_in_the_centroids() -> None:
    mask = np.abs(W) > 1
    alone = Codebook.fit(W[mask], 3)
    assert np.array_equal(Codebook.fit(W * mask, 3, members=mask).centroids, alone.centroids)
    assert not np.array_equal(Codebook.fit(W * mask, 3).centroids, alone.centroids)


def test_only_nonzero_weights_have_an_index() -> None:
    mask = np.abs(W) > 1
    leaves = {leaf.name: leaf for leaf in Sparse(mask, Codebook.fit(W, 3, members=mask)).leaves()}
    assert leaves["inner/symbols"].symbols.size == mask.sum()
    assert leaves["inner/symbols"].bits == 3


def test_stored_bytes_are_indices_centroids_and_one_scale() -> None:
    fmt = Codebook.fit(W, 4)
    assert fmt.stored_bytes() == W.size // 2 + fmt.centroids.size + 2


def test_a_bit_count_that_does_not_exist_is_refused() -> None:
    for bits in (0, 9):
        with pytest.raises(ValueError, match="1 to 8 bits"):
            Codebook.fit(W, bits)


# Training


def test_a_centroids_gradient_is_the_sum_over_its_members() -> None:
    fmt = Codebook.fit(W, 3)
    twin = fmt.twin()
    upstream = np.random.default_rng(1).normal(size=W.shape).astype(np.float32)
    (twin.weight() * torch.from_numpy(upstream)).sum().backward()
    sums = [upstream[fmt.indices == k].sum() for k in range(fmt.centroids.size)]
    assert np.allclose(twin.centroids.grad.numpy(), sums, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("size", [1e-4, 0.3, 5.0])
def test_a_trained_twin_freezes_to_exactly_its_weight(size: float) -> None:
    for seed in range(20):
        twin = Codebook.fit(W, 4).twin()
        moved = np.random.default_rng(seed).normal(size=twin.centroids.numel()) * size
        twin.centroids.data += torch.from_numpy(moved.astype(np.float32))
        frozen = twin.freeze()
        assert np.array_equal(twin.weight().detach().numpy(), frozen.decode())
        assert np.array_equal(frozen.twin().freeze().decode(), frozen.decode())


def test_training_changes_no_membership() -> None:
    fmt = Codebook.fit(W, 3)
    twin = fmt.twin()
    twin.centroids.data += torch.linspace(-0.2, 0.2, fmt.centroids.size)
    assert np.array_equal(twin.freeze().indices, fmt.indices)


def test_small_moves_add_up_though_the_forward_pass_is_rounded() -> None:
    twin = Codebook.fit(W, 3).twin()
    before = twin.weight().detach()
    twin.centroids.data += 1e-5
    assert torch.equal(twin.weight(), before)
    assert not np.array_equal(twin.freeze().latent, Codebook.fit(W, 3).latent)


def test_centroids_that_meet_become_one() -> None:
    fmt = Codebook.fit(W, 2)
    twin = fmt.twin()
    twin.centroids.data[0] = twin.centroids.data[1]
    assert twin.freeze().centroids.size == 3


# Files


def parts() -> tuple[dict, dict]:
    meta, leaves = to_parts(Codebook.fit(W, 3))
    return meta, {leaf.name: leaf.symbols for leaf in leaves}


@pytest.mark.parametrize("entries", [0, 257, 1 << 40, True, "8", None])
def test_a_number_of_entries_that_does_not_exist_is_refused(entries: object) -> None:
    meta, leaves = parts()
    with pytest.raises(BadFile, match="1 to 256"):
        from_parts({**meta, "entries": entries}, leaves)


def test_an_index_beyond_the_codebook_is_refused() -> None:
    meta, leaves = parts()
    symbols = leaves["symbols"].copy()
    symbols[5] = 8
    with pytest.raises(BadFile, match="index 8, but the codebook has 8 entries"):
        from_parts(meta, {**leaves, "symbols": symbols})


@pytest.mark.parametrize("change", [lambda c: c[::-1], lambda c: np.zeros_like(c), lambda c: c - c[0] - 128])
def test_centroids_out_of_order_or_range_are_refused(change: Callable[[np.ndarray], np.ndarray]) -> None:
    meta, leaves = parts()
    with pytest.raises(BadFile, match="ascend within"):
        from_parts(meta, {**leaves, "centroids": change(leaves["centroids"].astype(np.int64))})


def test_a_scale_that_is_not_positive_is_refused() -> None:
    meta, leaves = parts()
    with pytest.raises(BadFile, match="positive"):
        from_parts(meta, {**leaves, "scale": np.zeros(1, np.uint16)})


@pytest.mark.parametrize("name", ["symbols", "centroids", "scale"])
def test_a_missing_stream_is_refused(name: str) -> None:
    meta, leaves = parts()
    del leaves[name]
    with pytest.raises(BadFile, match=name):
        from_parts(meta, leaves)
