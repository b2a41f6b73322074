"""The pace of a search: trainings that fit its time."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadFile
from smidgen.search import pace as module
from smidgen.search.pace import Pace, pace_for, seconds_per_epoch, settled_pace
from smidgen.search.starts import starting_recipes
from tests.search.fakes import small_graph

GRAPH = small_graph()


def data(rows: int) -> Splits:
    shape = GRAPH.values[GRAPH.inputs[0]].shape
    part = Dataset(np.zeros((rows, *shape), np.float32), np.arange(rows) % 2)
    return Splits(part, part, part, 2)


def test_an_epoch_is_timed_on_a_few_batches() -> None:
    assert 0 < seconds_per_epoch(GRAPH, data(2000), 64) < 60


@pytest.mark.parametrize(
    ("seconds", "epochs"),
    [(0.01, (5, 10, 20)), (10.0, (1, 3, 6)), (100.0, (1,)), (20.0, (1, 3)), (1e9, (1,))],
)
def test_the_time_holds_two_dozen_of_the_longest_trainings(monkeypatch, seconds, epochs) -> None:
    monkeypatch.setattr(module, "seconds_per_epoch", lambda graph, data, batch_size: seconds)
    assert pace_for(GRAPH, data(10), 24 * 30.0, 2).epochs == epochs


def test_without_a_time_limit_nothing_is_timed(monkeypatch) -> None:
    monkeypatch.delattr(module, "seconds_per_epoch")
    assert pace_for(GRAPH, data(10), None, 1) == Pace()


def test_large_data_has_larger_batches() -> None:
    assert pace_for(GRAPH, data(20_000), None, 1).batch_size == 128


def test_a_resumed_search_keeps_its_pace(tmp_path, monkeypatch) -> None:
    first = settled_pace(tmp_path, GRAPH, data(10), None, 1)
    monkeypatch.delattr(module, "pace_for")
    assert settled_pace(tmp_path, GRAPH, data(10), 5.0, 1) == first


@pytest.mark.parametrize(
    "text", ["[]", "{", '{"epochs": [], "batch_size": 1}', '{"epochs": [0], "batch_size": 1}']
)
def test_a_damaged_file_is_one_clear_error(tmp_path, text) -> None:
    (tmp_path / "pace.json").write_text(text)
    with pytest.raises(BadFile):
        settled_pace(tmp_path, GRAPH, data(10), None, 1)


def test_hand_picked_trainings_follow_the_pace() -> None:
    recipes = starting_recipes(Pace((1, 3, 6), 128))
    trainings = [step for recipe in recipes for step in recipe.steps if step.name == "tune.fit"]
    assert {(step.epochs, step.batch_size) for step in trainings} == {(3, 128)}
