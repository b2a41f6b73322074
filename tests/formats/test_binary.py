"""Binary weights are the best signs and scales, trained with the gradient of their paper."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from smidgen.codec.streams import encode_stream
from smidgen.errors import BadFile
from smidgen.formats import Binary, Dense, Sparse, from_parts, to_parts
from smidgen.graph import GraphBuilder
from smidgen.lower.canonical import canonical
from smidgen.run.float_ops import run_float
from tests.networks import batch_norm

RNG = np.random.default_rng(0)
W = RNG.normal(size=(4, 3, 3, 5)).astype(np.float32)


def test_zero_counts_as_positive() -> None:
    assert np.array_equal(Binary.fit(np.array([[0.0, -0.0, -1.0]], np.float32)).bits, [[True, True, False]])


@given(st.integers(0, 2**32 - 1), st.floats(0.5, 2))
def test_no_other_scale_is_closer_to_the_weights(seed: int, factor: float) -> None:
    """The exact mean size is the optimum; stored scales are at most 2^-7 above it."""
    row = np.random.default_rng(seed).normal(size=(1, 50))
    best = np.abs(row).mean()
    assert best <= Binary.fit(row.astype(np.float32)).scale[0] <= best * (1 + 2**-7) + 1e-6

    def error(scale: float) -> float:
        return float(np.square(row - np.sign(row) * scale).sum())

    assert error(best) <= error(best * factor) + 1e-12


def test_a_weight_takes_one_bit() -> None:
    fmt = Binary.fit(RNG.normal(size=(64, 1024)).astype(np.float32))
    assert fmt.stored_bytes() == 64 * 1024 // 8 + 64 * 2
    coded = sum(len(encode_stream(leaf)) for leaf in fmt.leaves())
    assert coded * 28 < 4 * 64 * 1024


def test_the_gradient_is_that_of_the_paper() -> None:
    latent = np.array([[0.5, -0.25, 1.5, -2.0]], np.float32)
    twin = Binary.fit(latent).twin()
    seen = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    (twin.weight() * seen).sum().backward()
    scale = float(Binary.fit(latent).scale[0])
    expected = seen.numpy() * (1 / 4 + scale * np.array([1, 1, 0, 0]))
    assert np.allclose(twin.latent.grad.numpy(), expected)


def test_training_moves_signs_and_scales() -> None:
    twin = Binary.fit(W).twin()
    with torch.no_grad():
        twin.latent.copy_(torch.from_numpy(-3 * W))
    moved = twin.freeze()
    assert np.array_equal(moved.decode(), Binary.fit(-3 * W).decode())
    assert np.array_equal(moved.latent, -3 * W)


def test_a_folded_factor_keeps_its_sign_and_its_exact_size() -> None:
    factor = np.array([-0.3, 2, 1, 1e-3], np.float32)
    found = Binary.fit(W).scaled(factor)
    assert np.allclose(found.decode(), Binary.fit(W).decode() * factor.reshape(4, 1, 1, 1), rtol=1e-6, atol=0)


def test_power_scales_are_nearest_to_the_mean_size_on_a_logarithmic_scale() -> None:
    for row in W.reshape(4, -1):
        mean, scale = np.abs(row).mean(), float(Binary.fit_powers(row[None]).scale[0])
        assert np.log2(scale).is_integer()
        assert abs(np.log2(scale / mean)) <= 0.5


def test_the_gradient_of_power_scales_is_the_identity_with_a_leak() -> None:
    twin = Binary.fit_powers(np.array([[0.5, -9.9, 10.1, -20.0]], np.float32)).twin()
    seen = torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    (twin.weight() * seen).sum().backward()
    assert np.allclose(twin.latent.grad.numpy(), [[1.0, 2.0, 0.3, 0.4]])


def test_power_scales_follow_their_latents_in_training() -> None:
    twin = Binary.fit_powers(W).twin()
    with torch.no_grad():
        twin.latent.mul_(-4)
    assert np.array_equal(twin.freeze().decode(), -4 * Binary.fit_powers(W).decode())


def test_power_scales_without_latents_stay() -> None:
    folded = Binary.fit_powers(W).scaled(np.array([-0.5, 2, 1, 4], np.float32))
    assert folded.powers
    twin = folded.twin()
    with torch.no_grad():
        twin.latent.mul_(3)
    assert np.array_equal(twin.freeze().decode(), folded.decode())


def test_a_factor_that_is_no_power_of_two_ends_them() -> None:
    assert not Binary.fit_powers(W).scaled(np.array([3, 1, 1, 1], np.float32)).powers


def test_damaged_descriptions_are_refused() -> None:
    meta, leaves = to_parts(Binary.fit(W))
    good = {leaf.name: leaf.symbols for leaf in leaves}
    for broken in ({**meta, "scales": 3}, {**meta, "shape": []}, {**meta, "shape": [4, 3, 3, 6]}):
        with pytest.raises(BadFile):
            from_parts(broken, good)
    with pytest.raises(BadFile, match="a scale that is no power of two"):
        from_parts({**meta, "powers": True}, good)
    with pytest.raises(BadFile, match="a bit is 0 or 1"):
        from_parts(meta, {**good, "symbols": good["symbols"] * 2})


def test_pruned_signs_are_zero() -> None:
    mask = RNG.random(W.shape) < 0.5
    values = Sparse(mask, Binary.fit(W)).integers().values
    assert np.array_equal(values, np.where(mask, np.where(W >= 0, 1, -1), 0))


def test_a_batch_norm_folds_into_signs() -> None:

    b = GraphBuilder("folding")
    h = b.conv(b.input("x", (6, 6, 5)), W, padding=1)
    graph = b.graph(batch_norm(b, h, RNG))
    name = graph.nodes[0].params["weight"]
    gamma = graph.nodes[1].params["gamma"]
    signs = np.array([1, -1, 1, -1], np.float32)
    graph = graph.with_weights({name: Binary.fit(W), gamma: Dense(graph.weights[gamma].decode() * signs)})
    folded = canonical(graph)
    assert [node.op for node in folded.nodes] == ["conv"]
    assert isinstance(folded.weights[name], Binary)
    x = RNG.normal(size=(3, 6, 6, 5)).astype(np.float32)
    assert np.allclose(run_float(folded, x), run_float(graph, x), atol=1e-4)
