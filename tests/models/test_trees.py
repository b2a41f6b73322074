"""The baselines out of trees: good enough to be worth beating, and the same for the same seed."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.data import Splits
from smidgen.errors import BadInput
from smidgen.models import trees
from smidgen.run.float_ops import run_float
from tests.models.test_linear_baseline import splits

BOTH = pytest.mark.parametrize("name", [trees.BOOSTED, trees.FOREST])


@BOTH
@pytest.mark.parametrize("classes", [2, 4])
def test_most_validation_rows_are_right(name: str, classes: int) -> None:
    data = splits(classes)
    found = run_float(trees.fit(data, name), data.validation.x)
    assert found.shape == (100, classes)
    assert (found.argmax(axis=1) == data.validation.y).mean() > 0.8


@BOTH
def test_images_are_flattened_in_the_order_of_their_bytes(name: str) -> None:
    data = splits(3)
    graph = trees.fit(data, name)
    graph.check()
    assert [node.op for node in graph.nodes] == ["reshape", "trees"]
    flat = trees.fit(flattened(data), name)
    assert [node.op for node in flat.nodes] == ["trees"]
    x = data.validation.x
    np.testing.assert_array_equal(run_float(graph, x), run_float(flat, x.reshape(len(x), -1)))


def flattened(data: Splits) -> Splits:
    from smidgen.data import Dataset

    parts = (data.train, data.validation, data.test)
    return Splits(*(Dataset(part.x.reshape(len(part), -1), part.y) for part in parts), data.classes)


@BOTH
def test_the_seed_decides_everything(name: str) -> None:
    data = splits(3)
    once, again, other = (
        trees.fit(data, name, seed).weights["outputs.threshold"].decode() for seed in (1, 1, 2)
    )
    assert np.array_equal(once, again)
    assert not np.array_equal(once, other)


def test_a_rare_class_stays_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "ROWS", 20)
    data = splits(3)
    data.train.y[:] = 0
    data.train.y[:2] = [1, 2]
    assert trees.fit(data, trees.FOREST).values["outputs"].shape == (3,)


def test_a_class_without_rows_is_refused() -> None:
    data = splits(3)
    with pytest.raises(BadInput, match="a class without training rows"):
        trees.fit(Splits(data.train, data.validation, data.test, 4), trees.FOREST)


def valued(targets: int) -> Splits:
    """x0 + |x1|, `targets` times."""
    from smidgen.data import Dataset

    x = np.random.default_rng(0).normal(size=(3, 400, 3)).astype(np.float32)
    y = np.repeat((x[..., :1] + np.abs(x[..., 1:2])), targets, axis=2)
    return Splits(*(Dataset(*part) for part in zip(x, y)), None)


@BOTH
def test_one_value_a_sample_is_learned(name: str) -> None:
    data = valued(1)
    found = run_float(trees.fit(data, name), data.validation.x)
    assert np.mean((found - data.validation.y) ** 2) < 0.2 * data.validation.y.var()


def test_several_values_a_sample_are_refused() -> None:
    with pytest.raises(BadInput, match="2 values a sample, but trees give one"):
        trees.fit(valued(2), trees.FOREST)
