"""Paired drops of any metric."""

import numpy as np

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
