"""ShiftNorm in training: statistics as BatchNorm keeps them, a factor that is a power of two."""

from __future__ import annotations

import numpy as np
import torch

from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.shift_norm import shift_factor
from smidgen.learn.shift_norm import batch_statistics, shift_norm
from smidgen.learn.twin import GraphTwin
from smidgen.run.float_ops import run_float
from tests.networks import few_bits_cnn

RNG = np.random.default_rng(0)


def normalized(channels: int) -> Graph:
    b = GraphBuilder("norm")
    params = {"mean": RNG.normal(size=channels), "variance": RNG.uniform(0.1, 9, channels)}
    return b.graph(
        b.op("shift_norm", [b.input("x", (4, 4, channels))], params, epsilon=1e-5, extra_scale=2.0)
    )


def test_the_factor_is_the_nearest_power_of_two() -> None:
    variance = RNG.uniform(1e-3, 1e3, 200)
    factor = np.log2(shift_factor(variance, 1e-5, 2.0))
    assert np.array_equal(factor, np.round(factor))
    assert np.all(np.abs(factor + np.log2(2 * np.sqrt(variance + 1e-5))) <= 0.5 + 1e-9)


def test_running_statistics_are_those_of_torch_batch_norm() -> None:
    x = torch.from_numpy(RNG.normal(2, 3, (7, 5, 5, 4)))
    mean, variance = torch.zeros(4, dtype=torch.float64), torch.ones(4, dtype=torch.float64)
    norm = torch.nn.BatchNorm2d(4, momentum=0.1).double()
    norm(x.movedim(-1, 1))
    found, spread = batch_statistics(x, mean, variance, 0.1)
    assert torch.allclose(mean, norm.running_mean)
    assert torch.allclose(variance, norm.running_var)
    assert torch.allclose(found, x.mean((0, 1, 2)))
    assert torch.allclose(spread, x.var((0, 1, 2), unbiased=False))


def test_the_gradient_is_that_of_the_exact_factor() -> None:
    """Through mean, variance and x; only the factor's own size is the power's."""
    x = torch.from_numpy(RNG.normal(size=(6, 3))).requires_grad_()
    variance = x.var(0, unbiased=False)
    centred = x - x.mean(0)
    exact = torch.rsqrt(variance + 1e-5)
    power = torch.exp2(torch.floor(torch.log2(exact) + 0.5)).detach()
    seen = torch.from_numpy(RNG.normal(size=(6, 3)))
    (expected,) = torch.autograd.grad((centred * (exact + (power - exact).detach()) * seen).sum(), x)
    (found,) = torch.autograd.grad(
        (shift_norm(x, x.mean(0), x.var(0, unbiased=False), 1e-5, 1.0) * seen).sum(), x
    )
    assert torch.allclose(found, expected)


def test_a_twin_at_rest_computes_the_float_graph() -> None:
    for graph in (normalized(5), few_bits_cnn()):
        x = RNG.normal(size=(8, *graph.values["x"].shape)).astype(np.float32)
        with torch.no_grad():
            found = GraphTwin(graph).eval()(torch.from_numpy(x)).numpy()
        assert np.isclose(found, run_float(graph, x), atol=1e-4).mean() > 0.95


def test_training_moves_the_statistics_into_the_graph() -> None:
    graph = normalized(3)
    twin = GraphTwin(graph).train()
    x = torch.from_numpy(RNG.normal(5, 1, (64, 4, 4, 3)).astype(np.float32))
    for _ in range(60):
        twin(x)
    params = graph.nodes[0].params
    mean = twin.freeze().weights[params["mean"]].decode()
    assert np.allclose(mean, x.mean((0, 1, 2)).numpy(), atol=0.05)


def test_an_activation_of_few_bits_passes_the_gradient_inside() -> None:
    b = GraphBuilder("unipolar")
    twin = GraphTwin(b.graph(b.op("unipolar2", [b.input("x", (6,))])))
    x = torch.tensor([[-0.5, 0.0, 0.1, 0.17, 0.9, 1.5]], requires_grad=True)
    y = twin(x)
    y.sum().backward()
    assert torch.allclose(y, torch.tensor([[0.0, 0.0, 0.0, 1 / 3, 1.0, 1.0]]))
    assert x.grad is not None
    assert x.grad[0, 2:5].tolist() == [1.0, 1.0, 1.0]
    assert x.grad[0, [0, 5]].tolist() == [0.0, 0.0]
