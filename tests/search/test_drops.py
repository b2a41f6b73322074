"""Paired drops of any metric."""

from dataclasses import replace

import numpy as np
import pytest

from smidgen.data.metrics import METRICS
from smidgen.search import paired
from smidgen.search.drops import mean_drop, paired_drop

RNG = np.random.default_rng(0)
TARGETS = RNG.normal(size=(400, 1)).astype(np.float32)


def noisy(scale: float, seed: int) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=TARGETS.shape) * scale
    return (TARGETS + noise).astype(np.float32)


def test_accuracy_keeps_its_own_bootstrap() -> None:
    labels, found = np.arange(90) % 3, np.arange(90) % 2
    assert paired_drop(METRICS["accuracy"], labels, [found], labels) == paired.paired_drop(
        labels, [found], labels
    )


def test_an_error_that_rises_is_a_loss_in_its_own_unit() -> None:
    drop = paired_drop(METRICS["rmse"], noisy(0.1, 1), [noisy(0.3, 2), noisy(0.3, 3)], TARGETS)
    assert drop.unit == ""
    assert 0.15 < drop.low < drop.points < drop.high < 0.25
    assert "points" not in str(drop)


def test_the_interval_covers_zero_for_equals_and_shrinks_with_samples() -> None:
    few = paired_drop(METRICS["r2"], noisy(0.3, 1)[:40], [noisy(0.3, 2)[:40]], TARGETS[:40])
    many = paired_drop(METRICS["r2"], noisy(0.3, 1), [noisy(0.3, 2)], TARGETS)
    assert few.low < 0 < few.high
    assert many.high - many.low < few.high - few.low


def test_what_both_get_wrong_cancels() -> None:
    same = noisy(0.3, 1)
    drop = paired_drop(METRICS["mae"], same, [same], TARGETS)
    assert (drop.points, drop.low, drop.high) == (0, 0, 0)


def test_a_mean_over_samples_is_drawn_like_any_metric() -> None:
    """Squared errors: scored once a sample, or anew for every draw."""
    metric = METRICS["mse"]
    quick = replace(metric, rows=lambda outputs, targets: ((outputs - targets) ** 2)[:, 0].astype(np.float64))
    runs = [noisy(0.2, 1), noisy(0.4, 2)]
    slow = paired_drop(metric, noisy(0.1, 3), runs, TARGETS)
    found = paired_drop(quick, noisy(0.1, 3), runs, TARGETS)
    np.testing.assert_allclose([found.points, found.low, found.high], [slow.points, slow.low, slow.high])


def test_draws_where_the_metric_is_not_defined_are_left_out() -> None:
    targets = np.array([1, 0, 0, 0, 0, 0])
    outputs = np.eye(2, dtype=np.float32)[targets]
    drop = paired_drop(METRICS["auc"], outputs, [outputs], targets)
    assert (drop.low, drop.high) == (0, 0)


def test_the_mean_is_over_seeds() -> None:
    runs = [noisy(0.2, 1), noisy(0.4, 2)]
    metric = METRICS["mse"]
    wanted = np.mean([metric.score(r, TARGETS) for r in runs]) - metric.score(noisy(0.1, 3), TARGETS)
    assert np.isclose(mean_drop(metric, noisy(0.1, 3), runs, TARGETS), wanted)


def test_with_clusters_whole_clusters_are_drawn() -> None:
    clusters = RNG.permutation(np.arange(400) // 20)
    shifted = TARGETS + 0.3 * (clusters % 4 == 0)[:, None].astype(np.float32)
    drop = paired_drop(METRICS["mae"], TARGETS, [shifted], TARGETS, clusters)
    lost = np.abs(shifted - TARGETS)[:, 0]
    rows = [np.flatnonzero(clusters == number) for number in range(20)]
    rng = np.random.default_rng(5)
    means = [lost[np.concatenate([rows[i] for i in rng.integers(0, 20, 20)])].mean() for _ in range(2000)]
    np.testing.assert_allclose([drop.low, drop.high], np.quantile(means, [0.025, 0.975]), atol=0.02)
    assert drop.clusters == 20
    alone = paired_drop(METRICS["mae"], TARGETS, [shifted], TARGETS)
    assert alone.clusters is None
    assert drop.high - drop.low > 2 * (alone.high - alone.low)


def test_clusters_of_accuracy_reach_its_own_bootstrap() -> None:
    labels, found, clusters = np.arange(90) % 3, np.arange(90) % 2, np.arange(90) // 9
    drop = paired_drop(METRICS["accuracy"], labels, [found], labels, clusters)
    assert drop == paired.paired_drop(labels, [found], labels, clusters=clusters)


def test_clusters_of_other_samples_are_refused() -> None:
    with pytest.raises(ValueError, match="clusters for"):
        paired_drop(METRICS["mse"], TARGETS, [TARGETS], TARGETS, np.arange(3))
