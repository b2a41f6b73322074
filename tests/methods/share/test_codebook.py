"""Weight sharing as a step: which layers get what, training of the centroids, execution in every back end."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Splits
from smidgen.errors import BadInput
from smidgen.formats import Codebook, Sparse
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.lower import lower
from smidgen.lower.schedule import expand_weights
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.recipe import Recipe
from smidgen.methods.share.codebook import WeightSharing
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.networks import digits, small_cnn


@pytest.fixture(scope="module")
def data() -> Splits:
    return digits()


@pytest.fixture(scope="module")
def trained(data: Splits) -> Graph:
    return fit(small_cnn(), data, FitSettings(8, 3e-3))


def shared(graph: Graph, data: Splits, step: WeightSharing, *after: Fit) -> Graph:
    return Recipe((step, *after)).apply(graph, Context(data, graph))


def integers(graph: Graph, x: np.ndarray) -> np.ndarray:
    return graph.values[graph.inputs[0]].grid.quantize(x).astype(np.int8)


def accuracy(graph: Graph, data: Splits) -> float:
    integer = lower(graph)
    outputs = run_integer(integer, integers(integer, data.test.x))
    return float((outputs.argmax(axis=1) == data.test.y).mean())


def test_convolutions_and_linear_layers_have_their_own_bits(trained: Graph, data: Splits) -> None:
    graph = shared(trained, data, WeightSharing(conv_bits=5, linear_bits=2))
    found = {
        node.op: graph.weights[node.params["weight"]].label
        for node in graph.nodes
        if node.op in ("conv", "linear")
    }
    assert found == {"conv": "codebook5", "linear": "codebook2"}


def test_batch_norm_is_folded_first(trained: Graph, data: Splits) -> None:
    assert "batch_norm" not in {node.op for node in shared(trained, data, WeightSharing()).nodes}


def test_pruned_weights_stay_zero_and_out_of_the_clusters(trained: Graph, data: Splits) -> None:
    ctx = Context(data, trained)
    pruned = GlobalMagnitude(sparsity=0.8).apply(trained, ctx)
    graph = WeightSharing(3, 3).apply(pruned, ctx)
    for name, fmt in graph.weights.items():
        if not isinstance(fmt, Sparse):
            continue
        assert np.array_equal(fmt.mask, pruned.weights[name].mask)
        assert isinstance(fmt.inner, Codebook)
        assert not fmt.decode()[~fmt.mask].any()
        assert np.all(np.unique(fmt.inner.indices[fmt.mask]) == np.arange(fmt.inner.centroids.size))


def test_many_values_change_the_network_little(trained: Graph, data: Splits) -> None:
    whole = float((float_logits(trained, data.test.x).argmax(axis=1) == data.test.y).mean())
    assert accuracy(shared(trained, data, WeightSharing(8, 8)), data) == pytest.approx(whole, abs=0.02)


def test_training_the_centroids_wins_accuracy_back(trained: Graph, data: Splits) -> None:
    step = WeightSharing(1, 1)
    untuned = accuracy(shared(trained, data, step), data)
    tuned = accuracy(shared(trained, data, step, Fit(epochs=6, lr=1e-2)), data)
    assert tuned > untuned + 0.1


def test_trained_centroids_keep_their_members(trained: Graph, data: Splits) -> None:
    step = WeightSharing(2, 2)
    before, after = (shared(trained, data, step, *fits) for fits in ((), (Fit(epochs=1),)))
    name = next(n.params["weight"] for n in before.nodes if n.op == "linear")
    untuned, tuned = before.weights[name], after.weights[name]
    assert np.array_equal(untuned.indices, tuned.indices)
    assert not np.array_equal(untuned.latent, tuned.latent)


def test_pruning_and_sharing_train_together(trained: Graph, data: Splits) -> None:
    steps = (GlobalMagnitude(sparsity=0.6, schedule="gradual"), WeightSharing(4, 4), Fit(epochs=8, lr=5e-3))
    graph = Recipe(steps).apply(trained, Context(data, trained))
    weights = [fmt for fmt in graph.weights.values() if isinstance(fmt, Sparse)]
    kept = sum(int(fmt.mask.sum()) for fmt in weights) / sum(fmt.mask.size for fmt in weights)
    assert kept == pytest.approx(0.4, abs=0.01)
    assert {fmt.label for fmt in weights} == {"sparse(codebook4)"}
    assert accuracy(graph, data) > 0.8


@pytest.mark.parametrize("sparsity", [0.0, 0.5, 0.95])
def test_reference_native_plan_expanded_plan_and_file_agree(
    sparsity: float, trained: Graph, data: Splits, tmp_path: Path
) -> None:
    steps = (GlobalMagnitude(sparsity=sparsity), WeightSharing(4, 4)) if sparsity else (WeightSharing(4, 4),)
    integer = lower(Recipe(steps).apply(trained, Context(data, trained)))
    x = integers(integer, data.test.x[:50])
    expected = run_integer(integer, x)
    write_smg(tmp_path / "model.smg", [integer])
    assert np.array_equal(native_plan(integer).run(x), expected)
    assert np.array_equal(native_plan(expand_weights(integer)).run(x), expected)
    assert np.array_equal(run_integer(read_smg(tmp_path / "model.smg").graph, x), expected)


def test_sharing_again_says_that_nothing_is_left_to_share(trained: Graph, data: Splits) -> None:
    ctx = Context(data, trained)
    once = WeightSharing().apply(trained, ctx)
    assert ctx.notes == []
    WeightSharing().apply(once, ctx)
    assert "no float weights" in ctx.notes[-1]


def test_data_is_needed(trained: Graph) -> None:
    with pytest.raises(BadInput, match=r"share\.codebook"):
        WeightSharing().apply(trained, Context(None, trained))


@pytest.mark.parametrize(
    "settings",
    [{"conv_bits": 0}, {"linear_bits": 9}, {"activation_bits": 1}, {"iterations": -1}, {"samples": 0}],
)
def test_settings_out_of_range_are_refused(settings: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="must be"):
        WeightSharing(**settings)
