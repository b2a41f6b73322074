"""Packs of binary weights: which ones stay, what they cost, how they train."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smidgen.codec.streams import encode_stream
from smidgen.errors import BadFile
from smidgen.formats import Binary, BinaryPacks, from_parts, to_parts

RNG = np.random.default_rng(0)
W = RNG.normal(size=(64, 1024)).astype(np.float32) / 4


@given(st.integers(0, 2**32 - 1), st.integers(1, 70), st.sampled_from([1, 5, 32]), st.floats(0, 1))
def test_the_largest_packs_of_a_row_stay(seed: int, inputs: int, width: int, sparsity: float) -> None:
    latent = np.random.default_rng(seed).uniform(-1, 1, (3, 2, inputs)).astype(np.float32)
    fmt = BinaryPacks.fit(latent, sparsity, width)
    for row, kept in zip(latent, fmt.kept, strict=True):
        sums = [
            float(np.abs(tap[at : at + width].astype(np.float64)).sum())
            for tap in row
            for at in range(0, inputs, width)
        ]
        count = max(1, int((1 - sparsity) * len(sums) + 0.5 + 1e-9))
        assert kept.sum() == count
        assert min(np.array(sums)[kept.ravel()]) >= sorted(sums)[-count]


def test_what_is_left_is_the_signs_and_the_rest_is_zero() -> None:
    fmt = BinaryPacks.fit(W, 0.9)
    values = fmt.integers().values
    assert np.array_equal(values[fmt.mask], Binary.fit(W).integers().values[fmt.mask])
    assert not values[~fmt.mask].any()
    assert fmt.packs_a_row == 3
    kept = np.abs(W.astype(np.float64))[0][fmt.mask[0]].mean()
    assert kept <= fmt.scale[0] <= kept * (1 + 2**-7)


def test_words_are_the_kept_ones_in_order() -> None:
    fmt = BinaryPacks.fit(W.reshape(64, 2, 512)[:, :, :500], 0.8)
    words, places = fmt.words()
    assert (np.diff(places, axis=1) > 0).all()
    for o, p in ((0, 0), (63, 5)):
        tap, first = places[o, p] // 16, 32 * (places[o, p] % 16)
        bits = fmt.bits[o, tap, first : first + 32]
        assert fmt.kept[o, tap, places[o, p] % 16]
        assert words[o, p] == sum(int(bit) << i for i, bit in enumerate(bits))


def test_a_tenth_of_the_words_with_their_places_takes_less_than_a_fifth_of_the_bytes() -> None:
    sparse, dense = (
        sum(len(encode_stream(leaf)) for leaf in fmt.leaves())
        for fmt in (BinaryPacks.fit(W, 0.9), Binary.fit(W))
    )
    assert sparse * 5 < dense


def test_latents_stay_inside_and_the_gradient_passes_through() -> None:
    twin = BinaryPacks.fit(3 * W, 0.5).twin()
    seen = torch.from_numpy(RNG.normal(size=W.shape).astype(np.float32))
    (twin.weight() * seen).sum().backward()
    assert torch.equal(twin.latent.grad, seen)
    assert float(twin.latent.detach().abs().max()) <= 1


def test_packs_are_chosen_anew_until_the_share_is_over() -> None:
    twin = BinaryPacks.fit(W, 0.5, open_share=0.5).twin()

    def move(latent: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            twin.latent.copy_(torch.from_numpy(latent))
        return twin.freeze().kept

    other = W[:, ::-1].copy()
    twin.progress(0.4)
    assert np.array_equal(move(other), BinaryPacks.fit(other, 0.5).kept)
    twin.progress(0.5)
    assert np.array_equal(move(W), BinaryPacks.fit(other, 0.5).kept)


def test_packs_of_a_file_are_settled() -> None:
    meta, leaves = to_parts(BinaryPacks.fit(W, 0.5, open_share=0.5))
    again = from_parts(meta, {leaf.name: leaf.symbols for leaf in leaves})
    assert isinstance(again, BinaryPacks)
    assert again.open_share == 0


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"scales": 3}, "3 scales"),
        ({"width": 0}, "packs of 0 weights"),
        ({"width": 64}, "packs of 64 weights"),
        ({"packs": 7}, "symbol 7 in packs"),
        ({"symbols": 2}, "symbol 2 in symbols"),
    ],
)
def test_a_description_that_does_not_fit_is_refused(change: dict[str, int], problem: str) -> None:
    meta, leaves = to_parts(BinaryPacks.fit(W, 0.5))
    read = {leaf.name: leaf.symbols.astype(np.int64) for leaf in leaves}
    for name in read.keys() & change:
        read[name][0] = change[name]
    with pytest.raises(BadFile, match=problem):
        from_parts({**meta, **change}, read)


def test_rows_with_different_numbers_of_packs_are_refused() -> None:
    meta, leaves = to_parts(BinaryPacks.fit(W, 0.5))
    read = {leaf.name: leaf.symbols.copy() for leaf in leaves}
    kept = read["packs"].reshape(64, 32)
    kept[0] = 1
    read["symbols"] = np.zeros(int(kept.sum()) * 32, np.uint8)
    with pytest.raises(BadFile, match="different numbers of packs"):
        from_parts(meta, read)
