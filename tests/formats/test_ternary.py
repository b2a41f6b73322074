"""Ternary weights: threshold and scale of their paper, few bits in a file."""

import numpy as np
import pytest
import torch

from smidgen.codec.streams import encode_stream
from smidgen.errors import BadFile
from smidgen.formats import Ternary, from_parts, to_parts

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3, 3, 5)).astype(np.float32)


def test_small_weights_become_zero_and_the_others_share_their_mean_size() -> None:
    fmt = Ternary.fit(np.array([[4.0, -2.0, 0.5, -0.25], [1.0, 1.0, 1.0, -1.0]], np.float32))
    assert np.array_equal(fmt.symbols, [[1, -1, 0, 0], [1, 1, 1, -1]])
    assert np.array_equal(fmt.scale, [3.0, 1.0])


def test_one_scale_serves_a_tensor() -> None:
    fmt = Ternary.fit(np.array([[10.0, -10.0], [1.0, -1.0]], np.float32), "tensor")
    assert np.array_equal(fmt.symbols, [[1, -1], [0, 0]])
    assert fmt.scale == [10.0]


def test_a_file_needs_no_more_than_the_entropy_of_three_values() -> None:
    fmt = Ternary.fit(RNG.normal(size=(64, 1024)).astype(np.float32))
    share = np.unique(fmt.symbols, return_counts=True)[1] / fmt.symbols.size
    bits = float(-(share * np.log2(share)).sum())
    coded = 8 * len(encode_stream(fmt.leaves()[0])) / fmt.symbols.size
    assert coded < 1.02 * bits < 1.6


def test_the_gradient_passes_straight_through() -> None:
    twin = Ternary.fit(W).twin()
    seen = torch.from_numpy(RNG.normal(size=W.shape).astype(np.float32))
    (twin.weight() * seen).sum().backward()
    assert np.array_equal(twin.latent.grad.numpy(), seen.numpy())


def test_damaged_descriptions_are_refused() -> None:
    meta, leaves = to_parts(Ternary.fit(W))
    good = {leaf.name: leaf.symbols for leaf in leaves}
    with pytest.raises(BadFile, match="scales"):
        from_parts({**meta, "scales": 0}, good)
    with pytest.raises(BadFile, match="beyond -1, 0 and 1"):
        from_parts(meta, {**good, "symbols": good["symbols"] - 1})
