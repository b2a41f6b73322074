"""Recurrent PyTorch layers: the graph computes what torch does, in every combination of their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.scan import sequences_of
from smidgen.load import load
from smidgen.run.float_ops import run_float_all
from smidgen.run.islands import islands

torch.set_num_threads(1)
N, T, I, H = 3, 5, 4, 6
KINDS = {
    "gru": nn.GRU,
    "lstm": nn.LSTM,
    "rnn tanh": nn.RNN,
    "rnn relu": lambda *a, **k: nn.RNN(*a, nonlinearity="relu", **k),
}


class Model(nn.Module):
    """A layer and a function of it and the inputs."""

    def __init__(self, layer: nn.Module, function: Callable[..., Any]) -> None:
        super().__init__()
        self.layer, self.function = layer, function

    def forward(self, *x: Tensor) -> Any:
        return self.function(self.layer, *x)


def flat(results: Any) -> list[Tensor]:
    if isinstance(results, Tensor):
        return [results]
    return [tensor for result in results for tensor in flat(result)]


def loaded(module: nn.Module, *x: Tensor, batch_axes: Any = 0) -> Graph:
    """The module's graph without islands, which must agree with the module; the batch comes first."""
    axes = (batch_axes,) * len(x) if isinstance(batch_axes, int) else batch_axes
    graph = load(module, x, batch_axes)
    with torch.no_grad():
        expected = flat(module.eval()(*x))
    found = run_float_all(graph, [a.movedim(axis, 0).numpy() for a, axis in zip(x, axes, strict=True)])
    assert len(found) == len(expected)
    for mine, theirs in zip(found, expected, strict=True):
        batch = list(theirs.shape).index(x[0].shape[axes[0]])
        np.testing.assert_allclose(mine, theirs.movedim(batch, 0), atol=1e-5)
    assert not islands(graph)
    return graph


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("bidirectional", [True, False])
@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("batch_first", [True, False])
def test_layers_with_all_their_results(
    kind: str, bias: bool, bidirectional: bool, layers: int, batch_first: bool
) -> None:
    torch.manual_seed(0)
    settings = {"bias": bias, "bidirectional": bidirectional, "batch_first": batch_first}
    layer = KINDS[kind](I, H, layers, dropout=0.5 * (layers > 1), **settings)
    x = torch.randn(7, T, I) if batch_first else torch.randn(T, 7, I)
    loaded(layer, x, batch_axes=0 if batch_first else 1)
