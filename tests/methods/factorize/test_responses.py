"""Principal components of responses: least error on the samples, and a bias that makes up for the mean."""

import numpy as np
import pytest

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.formats import LowRank
from smidgen.graph import Graph, GraphBuilder
from smidgen.methods.factorize.responses import ResponsePCA
from smidgen.methods.factorize.svd import TruncatedSVD
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import digits, noise_like, small_cnn


def skewed(n: int = 200, features: int = 24) -> Splits:
    """Inputs that vary in few directions, around a mean that is not zero."""
    rng = np.random.default_rng(0)
    x = (
        rng.normal(size=(n, features))
        @ np.diag(0.5 ** np.arange(features))
        @ rng.normal(size=(features,) * 2)
    )
    part = Dataset((x + 3).astype(np.float32), np.zeros(n, np.int64))
    return Splits(part, part, part, 2)


def layer(bias: bool) -> Graph:
    rng = np.random.default_rng(1)
    b = GraphBuilder("one")
    x = b.input("x", (24,))
    return b.graph(b.linear(x, rng.normal(size=(16, 24)), rng.normal(size=16) if bias else None, name="fc"))


@pytest.mark.parametrize("bias", [True, False])
def test_the_error_on_the_samples_is_what_principal_components_leave(bias: bool) -> None:
    data, graph = skewed(), layer(bias)
    factored = ResponsePCA(0.9, samples=200).apply(graph, Context(data, graph))
    factored.check()
    rank = factored.weights["fc.weight"].rank
    y = run_float(graph, data.train.x).astype(np.float64)
    variances = np.linalg.svd(y - y.mean(axis=0), compute_uv=False) ** 2  # an independent way to them
    error = np.square(y - run_float(factored, data.train.x)).sum()
    assert error == pytest.approx(variances[rank:].sum(), rel=1e-3)
    assert variances[:rank].sum() >= 0.9 * variances.sum() > variances[: rank - 1].sum()


def test_no_factors_of_that_rank_from_the_weights_alone_do_better() -> None:
    data, graph = skewed(), layer(True)
    ctx = Context(data, graph)
    y = run_float(graph, data.train.x)
    steps = (ResponsePCA(0.3, "weights", 200), TruncatedSVD(0.3, "weights"))
    by_responses, by_weights = (step.apply(graph, ctx) for step in steps)
    assert by_responses.weights["fc.weight"].rank == by_weights.weights["fc.weight"].rank
    error, other = (np.square(y - run_float(g, data.train.x)).sum() for g in (by_responses, by_weights))
    assert error < other / 10


def test_convolutions_and_batch_norm_keep_their_function_at_full_energy() -> None:
    # Only 4 of the 12 kernels are independent, so the whole energy fits into rank 4.
    graph, data = small_cnn(), digits()
    kernels = graph.weights["conv2.weight"].decode()
    mixed = np.random.default_rng(0).normal(size=(12, 4)) @ kernels[:4].reshape(4, -1)
    graph = graph.with_weights(
        {"conv2.weight": type(graph.weights["conv2.weight"])(mixed.reshape(kernels.shape))}
    )
    factored = ResponsePCA(1 - 1e-9).apply(graph, Context(data, graph))
    assert factored.weights["conv2.weight"].rank == 4
    x = data.test.x[:32]
    assert np.allclose(run_float(factored, x), run_float(graph, x), atol=1e-3)


def test_a_bias_that_another_layer_uses_is_not_changed_for_it() -> None:
    rng = np.random.default_rng(2)
    b = GraphBuilder("shared")
    x = b.input("x", (24,))
    b.weight("bias", rng.normal(size=24))
    h = b.linear(x, rng.normal(size=(24, 24)), "bias", name="first")
    graph = b.graph(b.linear(h, rng.normal(size=(24, 24)), "bias", name="second"))
    factored = ResponsePCA(0.9, samples=200).apply(graph, Context(skewed(), graph))
    factored.check()
    names = {node.params["bias"] for node in factored.nodes}
    assert len(names) == 2
    data = skewed()
    error = np.abs(run_float(factored, data.train.x) - run_float(graph, data.train.x))
    assert error.mean() < 0.5 * np.abs(run_float(graph, data.train.x)).mean()


def test_tied_weights_stay_whole() -> None:
    b = GraphBuilder("tied")
    x = b.input("x", (24,))
    b.weight("w", np.random.default_rng(0).normal(size=(24, 24)))
    graph = b.graph(b.linear(b.linear(x, "w"), "w"))
    ctx = Context(skewed(), graph)
    assert not isinstance(ResponsePCA().apply(graph, ctx).weights["w"], LowRank)
    assert "nothing changes" in " ".join(ctx.notes)


def test_it_needs_data() -> None:
    graph = small_cnn()
    with pytest.raises(BadInput, match="no data"):
        ResponsePCA().apply(graph, Context(None, graph))


def test_same_seed_same_samples() -> None:
    graph = small_cnn()
    data = noise_like(graph)
    first, second = (ResponsePCA(samples=16).apply(graph, Context(data, graph, seed)) for seed in (1, 1))
    names = graph.weights
    assert all(np.array_equal(first.weights[n].decode(), second.weights[n].decode()) for n in names)
