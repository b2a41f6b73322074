"""Recurrent PyTorch layers: the graph computes what torch does, in every combination of their settings."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from pathlib import Path
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
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.recurrent import integers_of_recurrent, samples

torch.set_num_threads(1)
N, T, FEATURES, H = 7, 5, 4, 6
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


# Every pair of settings, and each kind of layer with most: tracing takes the time, so not all 64.
COMBINATIONS = [
    ("gru", True, True, 2, True),
    ("gru", False, False, 1, False),
    ("lstm", True, True, 1, False),
    ("lstm", False, True, 2, True),
    ("rnn tanh", True, True, 2, False),
    ("rnn relu", False, False, 2, True),
    ("rnn relu", True, True, 1, True),
]


@pytest.mark.parametrize(("kind", "bias", "bidirectional", "layers", "batch_first"), COMBINATIONS)
def test_layers_with_all_their_results(
    kind: str, bias: bool, bidirectional: bool, layers: int, batch_first: bool
) -> None:
    torch.manual_seed(0)
    settings = {"bias": bias, "bidirectional": bidirectional, "batch_first": batch_first}
    layer = KINDS[kind](FEATURES, H, layers, dropout=0.5 * (layers > 1), **settings)
    x = torch.randn(N, T, FEATURES) if batch_first else torch.randn(T, N, FEATURES)
    loaded(layer, x, batch_axes=0 if batch_first else 1)


def sequence_ends(layer: nn.Module, x: Tensor) -> Tensor:
    out = layer(x)[0]
    return torch.cat((out[:, -1, :H], out[:, 0, H:]), 1)


def zeros_of_the_batch(layer: nn.Module, x: Tensor) -> Tensor:
    return layer(x, x.new_zeros(x.shape[0], 4, H).transpose(0, 1))[0][:, -1]


# The readout, and how many sequences the two layers' four scans still keep.
READOUTS: dict[str, tuple[Callable[..., Any], int]] = {
    "the last step, zero states given": (zeros_of_the_batch, 3),
    "both ends": (sequence_ends, 2),
    "the last step of several": (lambda layer, x: layer(x)[0].unbind(1)[-1], 3),
    "half of the sequence": (lambda layer, x: layer(x)[0].chunk(2, 2)[1], 3),
    "parts": (lambda layer, x: torch.split(layer(x)[0], [2, 10], 2)[1][:, 1:4:2], 4),
    "the mean": (lambda layer, x: layer(x)[0].mean(1), 4),
    "all states": (lambda layer, x: layer(x)[1].permute(1, 0, 2).flatten(1), 2),
    "a viewed state": (
        lambda layer, x: layer(x)[1].view(2, 2, x.shape[0], H)[-1].transpose(0, 1).reshape(x.shape[0], -1),
        2,
    ),
    "stacked states": (lambda layer, x: torch.stack(layer(x)[1].unbind(0)[2:], 1), 2),
    "differences": (lambda layer, x: (lambda h: h[-2] - h[-1])(layer(x)[1]), 2),
}


@pytest.mark.parametrize("name", READOUTS)
def test_readouts_of_stacked_bidirectional_layers(name: str) -> None:
    torch.manual_seed(0)
    function, kept = READOUTS[name]
    layer = nn.GRU(FEATURES, H, 2, batch_first=True, bidirectional=True)
    graph = loaded(Model(layer, function), torch.randn(N, T, FEATURES))
    assert sum(len(sequences_of(node)) for node in graph.nodes if node.op == "scan") == kept


def test_the_last_row_of_a_backward_layer_is_its_first_step_not_its_final_state() -> None:
    layer = nn.GRU(FEATURES, H, batch_first=True, bidirectional=True)
    graph = loaded(Model(layer, lambda layer, x: layer(x)[0][:, -1]), torch.randn(N, T, FEATURES))
    kept = {node.attrs["reverse"]: len(sequences_of(node)) for node in graph.nodes if node.op == "scan"}
    assert kept == {False: 0, True: 1}


def test_a_time_major_layer_inside_a_batch_first_model() -> None:
    def several(layer: nn.Module, x: Tensor) -> tuple[Tensor, ...]:
        last = layer(x.transpose(0, 1))[0][-1]
        memory = layer(x.permute(1, 0, 2))[1][1].squeeze(0)
        return last, memory, layer(torch.tanh(2 * x.transpose(0, 1) - 1))[0].mean(0)

    graph = loaded(Model(nn.LSTM(FEATURES, H), several), torch.randn(N, T, FEATURES))
    assert not any(node.op == "transpose" for node in graph.nodes)
    assert sum(name.startswith("layer.") for name in graph.weights) == 12


def test_states_that_come_from_outside() -> None:
    states = {"gru": (torch.randn(2, N, H),), "lstm": (torch.randn(N, H), torch.randn(N, H))}
    loaded(
        nn.GRU(FEATURES, H, 2, batch_first=True),
        torch.randn(N, T, FEATURES),
        *states["gru"],
        batch_axes=(0, 1),
    )
    lstm = Model(nn.LSTM(FEATURES, H, batch_first=True), lambda f, x, h, c: f(x, (h[None], c[None])))
    loaded(lstm, torch.randn(N, T, FEATURES), *states["lstm"])


def test_a_constant_that_is_the_same_for_all_steps_of_a_time_major_sequence() -> None:
    offset = torch.randn(T, 1, FEATURES)
    module = Model(nn.RNN(FEATURES, H), lambda layer, x: layer(x + offset)[0])
    loaded(module, torch.randn(T, N, FEATURES), batch_axes=1)


CELLS = {"gru": nn.GRUCell, "lstm": nn.LSTMCell, "rnn": nn.RNNCell}


@pytest.mark.parametrize("kind", CELLS)
def test_cells_are_one_step(kind: str) -> None:
    loaded(Model(CELLS[kind](FEATURES, H), lambda cell, x: cell(x)), torch.randn(N, FEATURES))


def test_a_cell_in_a_loop_stores_its_weights_once() -> None:
    def loop(cell: nn.Module, x: Tensor) -> Tensor:
        h = None
        for t in range(3):
            h = cell(x[:, t], h)
        return h

    graph = loaded(Model(nn.GRUCell(FEATURES, H), loop), torch.randn(N, T, FEATURES))
    assert sum(node.op == "scan" for node in graph.nodes) == 3
    assert len(graph.weights) == 10


def test_tokens_are_embedded() -> None:
    module = nn.Sequential(nn.Embedding(9, FEATURES), nn.GRU(FEATURES, H, batch_first=True))
    graph = loaded(module, torch.randint(0, 9, (N, T)))
    assert graph.nodes[0].op == "embedding"


def test_an_lstm_with_a_projection_becomes_an_island_with_the_reason() -> None:
    module, x = nn.LSTM(FEATURES, H, proj_size=2, batch_first=True), torch.randn(N, T, FEATURES)
    graph = load(module, x)
    assert [island.reason for island in islands(graph)] == ["an LSTM with a projection (proj_size)"]
    with torch.no_grad():
        expected = flat(module(x))
    for mine, theirs, axis in zip(run_float_all(graph, x.numpy()), expected, (0, 1, 1), strict=True):
        np.testing.assert_allclose(mine, theirs.movedim(axis, 0), atol=1e-5)


def test_a_batch_in_the_place_of_the_steps_is_refused() -> None:
    with pytest.raises(BadInput, match=r"over the samples of the batch.*batch_first=True.*batch_axes=1"):
        load(nn.GRU(FEATURES, H), torch.randn(N, T, FEATURES))


@pytest.mark.parametrize(("axes", "reason"), [((0, 1), "2 batch axes for 1 inputs"), (3, "batch axis 3 of")])
def test_batch_axes_must_fit_the_inputs(axes: Any, reason: str) -> None:
    with pytest.raises(BadInput, match=reason):
        load(nn.GRU(FEATURES, H), torch.randn(N, T, FEATURES), axes)


@pytest.mark.parametrize("kind", ["gru", "lstm"])
def test_onnx_files_that_torch_wrote_agree(kind: str, tmp_path: Path) -> None:
    layer = KINDS[kind](FEATURES, H, 2, batch_first=True, bidirectional=True)
    module, x = Model(layer, lambda layer, x: layer(x)[0][:, -1]).eval(), torch.randn(N, T, FEATURES)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            *(module, (x[:1],), tmp_path / "m.onnx"),
            **{"dynamo": False, "input_names": ["x"], "dynamic_axes": {"x": {0: "n"}}},
        )
    graph = load(tmp_path / "m.onnx")
    with torch.no_grad():
        np.testing.assert_allclose(run_float_all(graph, x.numpy())[0], module(x), atol=1e-5)
    assert not islands(graph)


def test_an_operator_without_its_own_rule_between_time_major_layers_is_an_island() -> None:
    module = Model(
        nn.GRU(FEATURES, H), lambda layer, x: torch.lgamma(layer(x.transpose(0, 1))[0]).transpose(0, 1)
    )
    x = torch.randn(N, T, FEATURES)
    graph = load(module, x)
    with torch.no_grad():
        np.testing.assert_allclose(run_float_all(graph, x.numpy())[0], module(x), rtol=1e-5, atol=1e-5)
    assert [island.source for island in islands(graph)] == ["aten.lgamma"]


def test_a_loaded_layer_becomes_integers_that_the_native_plan_runs_exactly() -> None:
    layer = nn.LSTM(FEATURES, H, 2, batch_first=True, bidirectional=True)
    head = nn.Linear(2 * H, 3)
    graph = load(Model(nn.ModuleList([layer, head]), lambda m, x: m[1](m[0](x)[0][:, -1])), samples(1, T))
    lowered = integers_of_recurrent(graph)
    grid = lowered.values[lowered.inputs[0]].grid
    assert grid is not None
    x = grid.quantize(samples(50, T, seed=2)).astype(np.int8)
    np.testing.assert_array_equal(native_plan(lowered).run(x), run_integer(lowered, x))
