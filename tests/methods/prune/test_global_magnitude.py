"""Global magnitude pruning: exact counts, one threshold, a minimum per layer, gradual schedules."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.datasets import load_digits

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.formats import Affine, Dense, Sparse
from smidgen.graph import Graph, GraphBuilder
from smidgen.methods.prune._allocation import GONE, keep_masks
from smidgen.methods.prune.global_magnitude import GlobalMagnitude, cubic, sparsity_of
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit


def mlp(seed: int = 0, widths: tuple[int, ...] = (64, 24, 10)) -> Graph:
    rng = np.random.default_rng(seed)
    b = GraphBuilder("mlp")
    x = b.input("x", (widths[0],))
    for number, (fan_in, out) in enumerate(pairwise(widths)):
        x = b.linear(x, rng.normal(size=(out, fan_in)) * fan_in**-0.5, np.zeros(out), name=f"fc{number}")
        if number < len(widths) - 2:
            x = b.op("relu", [x])
    return b.graph(x)


@pytest.fixture(scope="module")
def digits() -> Splits:
    x, y = load_digits(return_X_y=True)
    x, y = (x / 16).astype(np.float32), y.astype(np.int64)
    parts = [Dataset(x[i], y[i]) for i in (slice(0, 1000), slice(1000, 1400), slice(1400, None))]
    return Splits(*parts, classes=10)


def sparse_weights(graph: Graph) -> dict[str, Sparse]:
    return {name: fmt for name, fmt in graph.weights.items() if isinstance(fmt, Sparse)}


def applied(step: Step, graph: Graph, data: Splits | None = None) -> tuple[Graph, list[str]]:
    ctx = Context(data, graph)
    return step.apply(graph, ctx), ctx.notes


layers = st.lists(
    hnp.arrays(np.float32, st.integers(1, 40), elements=st.integers(0, 9).map(float)), min_size=1, max_size=5
).map(lambda arrays: {f"layer{i}": a for i, a in enumerate(arrays)})


@given(layers, st.floats(0, 0.999), st.sampled_from(["global", "uniform"]))
def test_pruned_count_is_exact(found: dict[str, np.ndarray], sparsity: float, scope: str) -> None:
    masks = keep_masks(found, sparsity, scope, 0.0, "test")
    total = sum(m.size for m in found.values())
    assert sum(int((~m).sum()) for m in masks.values()) == int(np.floor(sparsity * total + 0.5))


@given(layers, st.floats(0, 0.999))
def test_one_threshold_separates_kept_from_pruned_weights(
    found: dict[str, np.ndarray], sparsity: float
) -> None:
    masks = keep_masks(found, sparsity, "global", 0.0, "test")
    pruned = np.concatenate([found[name][~m] for name, m in masks.items()])
    kept = np.concatenate([found[name][m] for name, m in masks.items()])
    assert max(pruned, default=-1) <= min(kept, default=10)


@given(layers, st.floats(0, 0.999))
def test_equal_magnitudes_leave_in_order(found: dict[str, np.ndarray], sparsity: float) -> None:
    """Reference: sort (magnitude, layer, position) and drop the head of the list."""
    ranked = sorted((v, layer, i) for layer, (_, m) in enumerate(found.items()) for i, v in enumerate(m))
    gone = {(layer, i) for _, layer, i in ranked[: int(np.floor(sparsity * len(ranked) + 0.5))]}
    masks = keep_masks(found, sparsity, "global", 0.0, "test")
    assert {(a, int(i)) for a, m in enumerate(masks.values()) for i in np.flatnonzero(~m)} == gone


@settings(max_examples=200)
@given(layers, st.floats(0, 0.999), st.floats(0, 30), st.sampled_from(["global", "uniform"]))
def test_minimum_is_kept_and_the_total_exact_or_refused(
    found: dict[str, np.ndarray], sparsity: float, percent: float, scope: str
) -> None:
    total = sum(m.size for m in found.values())
    minimum, target = (int(np.floor(v + 0.5)) for v in (percent / 100 * total, sparsity * total))
    if sum(max(m.size - minimum, 0) for m in found.values()) < target:
        with pytest.raises(BadInput, match="Lower sparsity or minimum_percent"):
            keep_masks(found, sparsity, scope, percent, "test")
        return
    masks = keep_masks(found, sparsity, scope, percent, "test")
    assert all(m.sum() >= min(minimum, m.size) for m in masks.values())
    assert sum(int((~m).sum()) for m in masks.values()) == target


def test_capped_layer_hands_its_share_to_the_others_in_proportion() -> None:
    """90 of 130: without a minimum 30 + 40 + 20 leave; `a` may lose 17, so b and c lose 73 as 40 : 20."""
    found = {"a": np.zeros(30), "b": np.r_[np.zeros(40), np.ones(10)], "c": np.r_[np.zeros(20), np.ones(30)]}
    free = keep_masks(found, 90 / 130, "global", 0.0, "test")
    assert [int((~m).sum()) for m in free.values()] == [30, 40, 20]
    capped = keep_masks(found, 90 / 130, "global", 1.0 * 13 / 1.3, "test")
    assert [int((~m).sum()) for m in capped.values()] == [17, 37, 36]
    loose = keep_masks(found, 90 / 130, "global", 2 / 1.3, "test")
    assert [int((~m).sum()) for m in loose.values()] == [28, 41, 21]


def test_layers_below_the_minimum_stay_whole() -> None:
    found = {"thin": np.zeros(5), "wide": np.ones(95)}
    masks = keep_masks(found, 0.5, "global", 6.0, "test")
    assert masks["thin"].all()
    assert (~masks["wide"]).sum() == 50


@given(layers, st.floats(0, 0.9), st.floats(0, 0.999), st.sampled_from(["global", "uniform"]))
def test_weights_pruned_before_stay_pruned(
    found: dict[str, np.ndarray], first: float, second: float, scope: str
) -> None:
    before = keep_masks(found, first, "global", 0.0, "test")
    left = {name: np.where(before[name], m, GONE) for name, m in found.items()}
    after = keep_masks(left, second, scope, 0.0, "test")
    assert all((before[name] | ~after[name]).all() for name in found)
    total = sum(m.size for m in found.values())
    pruned = sum(int((~m).sum()) for m in after.values())
    assert pruned == int(np.floor(max(first, second) * total + 0.5))


def test_one_shot_leaves_latents_alone_and_decodes_to_exact_zeros() -> None:
    graph = mlp()
    pruned, notes = applied(GlobalMagnitude(sparsity=0.9), graph)
    found = sparse_weights(pruned)
    assert set(found) == {"fc0.weight", "fc1.weight"}
    assert notes == []
    assert sparsity_of(found.values()) == pytest.approx(0.9, abs=1e-3)
    for name, fmt in found.items():
        original = graph.weights[name].decode()
        np.testing.assert_array_equal(fmt.decode(), original * fmt.mask)
        np.testing.assert_array_equal(fmt.latent, original)


def test_uniform_scope_gives_every_layer_the_same_sparsity() -> None:
    found = sparse_weights(applied(GlobalMagnitude(sparsity=0.75, scope="uniform"), mlp())[0])
    assert [1 - fmt.mask.mean() for fmt in found.values()] == [0.75, 0.75]


def test_quantized_weights_are_ranked_by_their_latents() -> None:
    graph = mlp()
    affine = {n: Affine.fit(graph.weights[n].decode(), 2) for n in ("fc0.weight", "fc1.weight")}
    coarse = sparse_weights(applied(GlobalMagnitude(sparsity=0.5), graph.with_weights(affine))[0])
    plain = sparse_weights(applied(GlobalMagnitude(sparsity=0.5), graph)[0])
    for name, fmt in coarse.items():
        assert isinstance(fmt.inner, Affine)
        np.testing.assert_array_equal(fmt.mask, plain[name].mask)


def test_masks_survive_quantization_afterwards(digits: Splits) -> None:
    recipe = Recipe((GlobalMagnitude(sparsity=0.9), AffineQuantization(bits=4)))
    graph = recipe.apply(mlp(), Context(digits, mlp()))
    for fmt in sparse_weights(graph).values():
        integers = fmt.integers()
        assert integers is not None
        assert not integers.values[~fmt.mask].any()
        assert fmt.label == "sparse(affine4)"
    assert sparsity_of(sparse_weights(graph).values()) == pytest.approx(0.9, abs=1e-3)


def test_lower_sparsity_than_reached_changes_nothing_and_says_so() -> None:
    pruned, _ = applied(GlobalMagnitude(sparsity=0.8), mlp())
    again, notes = applied(GlobalMagnitude(sparsity=0.5), pruned)
    assert again is pruned
    assert notes == ["prune.global_magnitude: 80.0% of the weights are pruned already, nothing changes"]


def test_network_without_layers_changes_nothing_and_says_so() -> None:
    b = GraphBuilder("bare")
    graph = b.graph(b.op("relu", [b.input("x", (4,))]))
    same, notes = applied(GlobalMagnitude(), graph)
    assert same is graph
    assert notes == ["prune.global_magnitude: no conv or linear layer holds float weights, nothing changes"]


def test_minimum_that_does_not_fit_is_refused() -> None:
    message = r"1592 of 1776 weights should be pruned, but layers that keep 178 weights each allow 1420"
    graph = mlp().with_weights({"fc1.weight": Dense(np.ones((10, 24), np.float32))})
    with pytest.raises(BadInput, match=message.replace("1592", "1687")):
        GlobalMagnitude(sparsity=0.95, minimum_percent=10).apply(graph, Context(None, graph))


@pytest.mark.parametrize(
    "bad",
    [
        {"sparsity": 1.0},
        {"sparsity": -0.1},
        {"minimum_percent": 101},
        {"until": 0},
        {"schedule": "x"},
        {"scope": "x"},
    ],
)
def test_settings_out_of_range_are_refused(bad: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        GlobalMagnitude(**bad)


def test_cubic_schedule_starts_and_ends_where_it_should() -> None:
    assert cubic(0.2, 0.9, 0.0) == pytest.approx(0.2)
    assert cubic(0.2, 0.9, 1.0) == pytest.approx(0.9)
    assert cubic(0.0, 0.8, 0.5) == pytest.approx(0.7)


def trained(steps: tuple[Step, ...], digits: Splits, seed: int = 0) -> Graph:
    return Recipe(steps).apply(mlp(), Context(digits, mlp(), seed=seed))


def test_gradual_schedule_declares_itself_and_prunes_nothing_yet(digits: Splits) -> None:
    step = GlobalMagnitude(sparsity=0.9, schedule="gradual")
    graph, _ = applied(step, mlp(), digits)
    assert graph.pending == (step,)
    assert all(fmt.mask.all() for fmt in sparse_weights(graph).values())


@pytest.mark.parametrize("quantize", [(), (AffineQuantization(bits=4),)])
def test_gradual_pruning_reaches_its_sparsity_while_training(
    digits: Splits, quantize: tuple[Step, ...]
) -> None:
    gradual = GlobalMagnitude(sparsity=0.8, schedule="gradual")
    graph = trained((gradual, *quantize, Fit(epochs=15, lr=1e-2)), digits)
    found = sparse_weights(graph)
    assert graph.pending == ()
    assert sparsity_of(found.values()) == pytest.approx(0.8, abs=1e-3)
    assert all((fmt.decode()[~fmt.mask] == 0).all() for fmt in found.values())
    assert accuracy(graph, digits) > 0.75


def accuracy(graph: Graph, digits: Splits) -> float:
    from smidgen.learn.fit import float_logits

    return float((float_logits(graph, digits.test.x).argmax(axis=1) == digits.test.y).mean())


def test_training_does_not_revive_weights_pruned_in_one_shot(digits: Splits) -> None:
    before, _ = applied(GlobalMagnitude(sparsity=0.9), mlp())
    after = Fit(epochs=2).apply(before, Context(digits, before))
    for name, fmt in sparse_weights(after).items():
        np.testing.assert_array_equal(fmt.mask, sparse_weights(before)[name].mask)
        assert not fmt.decode()[~fmt.mask].any()


def test_gradual_pruning_is_deterministic(digits: Splits) -> None:
    steps = (GlobalMagnitude(sparsity=0.8, schedule="gradual"), Fit(epochs=2))
    first, second = trained(steps, digits), trained(steps, digits)
    for name in first.weights:
        np.testing.assert_array_equal(first.weights[name].decode(), second.weights[name].decode())


def test_gradual_pruning_follows_the_cubic_curve_from_the_sparsity_it_finds(digits: Splits) -> None:
    from smidgen.learn.hooks import FitState
    from smidgen.learn.twin import GraphTwin

    before, _ = applied(GlobalMagnitude(sparsity=0.2), mlp())
    step = GlobalMagnitude(sparsity=0.9, schedule="gradual", until=0.5)
    (hook,) = step.hooks(Context(digits, before))
    state = FitState(GraphTwin(before), epochs=1, steps_per_epoch=100)
    hook.on_fit_start(state)
    for t, expected in ((0.0, 0.2), (0.25, 0.9 - 0.7 / 8), (0.5, 0.9), (0.9, 0.9)):
        state = replace(state, step=round(t * 100))
        hook.on_step(state)
        assert sparsity_of(sparse_weights(state.twin.freeze()).values()) == pytest.approx(expected, abs=1e-3)


def test_training_that_stops_early_still_ends_at_the_sparsity(digits: Splits) -> None:
    """The best weights of an early stop are from before the schedule's end."""
    graph = trained((GlobalMagnitude(sparsity=0.9, schedule="gradual"), Fit(epochs=9, patience=1)), digits)
    assert sparsity_of(sparse_weights(graph).values()) == pytest.approx(0.9, abs=1e-3)
