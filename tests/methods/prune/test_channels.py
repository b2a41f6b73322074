"""Channel pruning: the right channels leave, layers become smaller, limits hold."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Dense
from smidgen.graph import Graph, GraphBuilder
from smidgen.methods.prune.channels import Channels
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float


def cnn(first: list[float], second: list[float], gammas: list[float] | None = None) -> Graph:
    """conv a -> [BatchNorm] -> relu -> conv b -> relu -> mean -> linear; a filter has equal weights."""
    b = GraphBuilder("cnn")
    x = b.input("x", (5, 5, 1))
    x = b.conv(x, np.ones((len(first), 3, 3, 1)) * np.reshape(first, (-1, 1, 1, 1)), name="a")
    if gammas:
        one = np.ones(len(gammas))
        params = {"gamma": np.array(gammas), "beta": one * 0, "mean": one * 0, "variance": one}
        x = b.op("batch_norm", [x], params, name="bn", epsilon=1e-3)
    x = b.op("relu", [x])
    x = b.op(
        "relu",
        [b.conv(x, np.ones((len(second), 1, 1, len(first))) * np.reshape(second, (-1, 1, 1, 1)), name="b")],
    )
    return b.graph(b.linear(b.op("mean", [x], axes=(0, 1), keepdims=False), np.ones((2, len(second)))))


def applied(step: Channels, graph: Graph) -> tuple[Graph, list[str]]:
    ctx = Context(None, graph)
    return step.apply(graph, ctx), ctx.notes


def sizes_left(graph: Graph, name: str) -> list[float]:
    """The size of each remaining filter (all its weights are equal)."""
    return graph.weights[name].decode().reshape(graph.weights[name].shape[0], -1)[:, 0].tolist()


@pytest.mark.parametrize("importance", ["l1", "l2"])
def test_uniform_scope_removes_the_smallest_filters_of_each_layer(importance: str) -> None:
    graph, notes = applied(Channels(0.5, importance), cnn([3, 1, -4, 2], [50, -10, 40, 30]))
    assert sizes_left(graph, "a.weight") == [3, -4]
    assert sizes_left(graph, "b.weight") == [50, 40]
    assert notes == []


def test_global_scope_ranks_relative_sizes_of_all_layers() -> None:
    """Relative to their means: a = 0.1 … 1.3 around one, b nearly equal, so `a` loses all three."""
    graph, _ = applied(Channels(3 / 8, scope="global"), cnn([1, 13, 2, 3], [100, 101, 102, 103]))
    assert sizes_left(graph, "a.weight") == [13]
    assert len(sizes_left(graph, "b.weight")) == 4


def test_layer_cap_sends_the_rest_of_the_ratio_elsewhere() -> None:
    graph, _ = applied(
        Channels(3 / 8, scope="global", layer_cap=0.5), cnn([1, 13, 2, 3], [100, 101, 102, 103])
    )
    assert sizes_left(graph, "a.weight") == [13, 3]
    assert sizes_left(graph, "b.weight") == [101, 102, 103]


def test_batch_norm_importance_ranks_gammas_and_spares_layers_without() -> None:
    graph, _ = applied(Channels(0.5, "batch_norm"), cnn([1, 2, 3, 4], [1, 2], gammas=[0.9, -0.8, 0.1, 0.2]))
    assert sizes_left(graph, "a.weight") == [1, 2]
    assert graph.weights["bn.gamma"].decode().tolist() == pytest.approx([0.9, -0.8])
    assert graph.weights["b.weight"].shape[0] == 2


def test_channels_that_produce_nothing_leave_without_a_trace() -> None:
    original = cnn([0, 2, 0, 4], [1, 0, 1, 0])
    graph, _ = applied(Channels(0.5), original)
    x = np.random.default_rng(0).normal(size=(3, 5, 5, 1)).astype(np.float32)
    np.testing.assert_allclose(run_float(graph, x), run_float(original, x), rtol=1e-5)
    assert sizes_left(graph, "a.weight") == [2, 4]


def test_kept_channels_are_rounded_up_to_a_multiple() -> None:
    graph, _ = applied(Channels(0.3, round_to=4), cnn([*range(1, 13)], [*range(1, 7)]))
    assert graph.weights["a.weight"].shape[0] == 12
    graph, _ = applied(Channels(0.5, round_to=4), cnn([*range(1, 13)], [*range(1, 7)]))
    assert graph.weights["a.weight"].shape[0] == 8
    assert graph.weights["b.weight"].shape[0] == 4


def test_one_channel_always_stays() -> None:
    graph, _ = applied(Channels(1.0, layer_cap=1.0), cnn([1, 2, 3], [1, 2]))
    assert sizes_left(graph, "a.weight") == [3]
    assert sizes_left(graph, "b.weight") == [2]


def test_share_of_a_hundred_is_not_cut_short_by_binary_fractions() -> None:
    graph, _ = applied(Channels(0.29), cnn([1.0] * 100, [1, 2]))
    assert graph.weights["a.weight"].shape[0] == 71


@pytest.mark.parametrize(
    ("step", "reason"),
    [
        (
            Channels(0.1),
            "ratio 0.1, layer_cap 0.9 and round_to 1 leave less than one channel to remove in each layer",
        ),
        (Channels(0.5, "batch_norm"), "no removable channel has a BatchNorm"),
    ],
)
def test_step_without_effect_says_why(step: Channels, reason: str) -> None:
    original = cnn([1, 2, 3], [1, 2])
    graph, notes = applied(step, original)
    assert graph is original
    assert notes == [f"prune.channels: {reason}, nothing changes"]


def test_network_of_fixed_channels_says_why() -> None:
    b = GraphBuilder("linear")
    original = b.graph(b.linear(b.input("x", (4,)), np.ones((2, 4))))
    graph, notes = applied(Channels(0.5), original)
    assert graph is original
    assert "every channel is needed whole" in notes[0]


def test_input_graph_keeps_its_weights() -> None:
    original = cnn([3, 1, 4, 2], [50, 10, 40, 30])
    before = {name: fmt.decode().copy() for name, fmt in original.weights.items()}
    applied(Channels(0.5), original)
    assert all(isinstance(fmt, Dense) for fmt in original.weights.values())
    for name, array in before.items():
        np.testing.assert_array_equal(original.weights[name].decode(), array)


@pytest.mark.parametrize(
    "bad",
    [
        {"ratio": 1.1},
        {"importance": "x"},
        {"scope": "x"},
        {"layer_cap": -1},
        {"round_to": 0},
        {"round_to": 1.5},
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        Channels(**bad)
