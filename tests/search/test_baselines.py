import numpy as np
import pytest

from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import GraphBuilder
from smidgen.learn.fit import FitSettings
from smidgen.models import lstm
from smidgen.run.float_ops import run_float
from smidgen.search.baselines import (
    LINEAR,
    OTHER_MODELS,
    baseline_candidates,
    baseline_networks,
    narrowed,
    other_models,
    useful_widths,
)
from tests.random_trees import float_trees
from tests.search.small import SHAPE, fresh, splits


def test_a_narrowed_network_has_the_share_of_every_layer():
    small = narrowed(fresh(), 0.5, seed=0)
    assert small.weights["conv1.weight"].shape == (6, 3, 3, 1)
    assert small.weights["logits.weight"].shape == (4, 16 * 6)


def test_weights_are_drawn_anew_and_by_the_seed():
    first, again, other = (
        narrowed(fresh(), 1.0, seed).weights["conv1.weight"].decode() for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again)
    assert not np.allclose(first, other)
    assert not np.allclose(first, fresh().weights["conv1.weight"].decode())


def test_fresh_weights_keep_the_scale_of_signals():
    rng = np.random.default_rng(0)
    b = GraphBuilder("deep")
    x = b.input("x", (200,))
    for _ in range(8):
        x = b.op("relu", [b.linear(x, np.full((200, 200), 7.0), np.ones(200))])
    deep = narrowed(b.graph(b.linear(x, np.ones((3, 200)), np.ones(3))), 0.9, seed=0)
    hidden = run_float(deep, rng.normal(size=(50, 200)).astype(np.float32))
    assert 0.1 < hidden.std() < 10


def test_batch_norm_starts_as_the_identity():
    b = GraphBuilder("norm")
    x = b.linear(b.input("x", (4,)), np.ones((6, 4)), np.ones(6))
    stats = {role: np.full(6, 5.0) for role in ("gamma", "beta", "mean", "variance")}
    x = b.op("batch_norm", [x], stats, name="bn", epsilon=0.0)
    small = narrowed(b.graph(b.linear(x, np.ones((2, 6)), np.zeros(2))), 0.5, seed=0)
    found = [small.weights[f"bn.{role}"].decode().tolist() for role in ("gamma", "beta", "mean", "variance")]
    assert found == [[1] * 3, [0] * 3, [0] * 3, [1] * 3]


@pytest.mark.parametrize("width", [0, -0.5, 1.5])
def test_an_impossible_width_is_refused(width):
    with pytest.raises(ValueError, match="width"):
        narrowed(fresh(), width, seed=0)


def test_trees_and_single_layers_have_no_narrower_networks():
    b = GraphBuilder("single")
    single = b.graph(b.linear(b.input("x", (4,)), np.ones((3, 4))))
    assert useful_widths(float_trees(), (0.5,)) == useful_widths(single, (0.5,)) == ()
    assert useful_widths(fresh(), (0.5,)) == (0.5,)


def test_every_candidate_has_its_network_trained_like_the_user_s():
    data, widths = splits(), (0.5,)
    networks = baseline_networks(data, fresh, FitSettings(epochs=8, lr=5e-3), widths)
    assert {c.base for c in baseline_candidates(data, widths)} == set(networks)
    for make in networks.values():
        logits = run_float(make(0), data.validation.x)
        assert (logits.argmax(axis=1) == data.validation.y).mean() > 0.5
        assert data.validation.x.shape[1:] == SHAPE


def test_a_narrowed_lstm_has_smaller_gates_and_remembers_at_first():
    small = narrowed(lstm.build((5, 3), 2, width=8 / 192), 0.5, seed=0)
    assert small.weights["lstm.forget.recurrent"].shape == (4, 4)
    assert small.weights["lstm.forget.bias"].decode().tolist() == [1] * 4
    assert small.weights["lstm.cell.bias"].decode().tolist() == [0] * 4
    assert 0.2 < np.abs(small.weights["lstm.cell.recurrent"].decode()).max() <= 0.5


def test_trees_stand_only_where_targets_are_classes_or_one_value():
    x = np.zeros((4, 3), np.float32)
    one, two = (Dataset(x, np.zeros((4, k), np.float32)) for k in (1, 2))
    assert other_models(splits()) == other_models(Splits(one, one, one, None)) == OTHER_MODELS
    assert other_models(Splits(two, two, two, None)) == (LINEAR,)


def test_a_linear_model_of_gigabytes_is_not_fitted():
    huge = Dataset(np.zeros((4, 10_000), np.float32), np.zeros((4, 10_000), np.float32))
    assert other_models(Splits(huge, huge, huge, None)) == ()
