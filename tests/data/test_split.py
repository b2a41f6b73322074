"""Splits are disjoint, exhaustive, spread by class, and never divide a group."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.data import Dataset, split
from smidgen.data.split import hold_out, leave_out
from smidgen.errors import BadInput

fractions = st.floats(0.05, 0.4)
seeds = st.integers(0, 2**32 - 1)
labels = st.lists(st.integers(0, 4), min_size=3, max_size=120).map(np.array)


def data(y: np.ndarray, groups: np.ndarray | None = None) -> Dataset:
    """Row i holds the number i."""
    return Dataset(np.arange(len(y), dtype=np.float32)[:, None], y.astype(np.int64), groups)


@given(labels, fractions, fractions, seeds)
def test_every_row_is_in_exactly_one_part(y: np.ndarray, validation: float, test: float, seed: int) -> None:
    parts = hold_out(data(y), (validation, test), seed)
    assert sorted(np.concatenate(parts)) == list(range(len(y)))
    assert all(len(part) for part in parts)


@given(labels, fractions, fractions, seeds)
def test_every_class_is_spread_by_the_fractions(
    y: np.ndarray, validation: float, test: float, seed: int
) -> None:
    parts = hold_out(data(y), (validation, test), seed)
    for label in np.unique(y):
        for part, share in zip(parts, (1 - validation - test, validation, test)):
            ideal = share * np.sum(y == label)
            assert abs(np.sum(y[part] == label) - ideal) <= 2


@given(st.lists(st.integers(0, 30), min_size=3, max_size=100).map(np.array), fractions, fractions, seeds)
def test_groups_never_straddle(groups: np.ndarray, validation: float, test: float, seed: int) -> None:
    rows = data(np.zeros(len(groups)), groups)
    if len(np.unique(groups)) < 3:
        with pytest.raises(BadInput, match="groups"):
            hold_out(rows, (validation, test), seed)
        return
    parts = [set(groups[index]) for index in hold_out(rows, (validation, test), seed)]
    assert all(parts)
    assert parts[0].isdisjoint(parts[1])
    assert parts[2].isdisjoint(parts[0] | parts[1])
    assert set.union(*parts) == set(groups)


@settings(max_examples=20)
@given(seeds)
def test_the_seed_alone_decides(seed: int) -> None:
    y = np.arange(60) % 3
    once, again = (hold_out(data(y), (0.2, 0.2), seed) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(once, again))


def test_another_seed_gives_another_split() -> None:
    y = np.arange(60) % 3
    assert not np.array_equal(hold_out(data(y), (0.3,), 0)[1], hold_out(data(y), (0.3,), 1)[1])


def test_equal_groups_are_dealt_near_their_fractions() -> None:
    groups = np.repeat(np.arange(20), 5)
    parts = hold_out(data(np.zeros(100), groups), (0.2, 0.2), seed=3)
    assert [len(part) for part in parts] == [60, 20, 20]


def test_split_keeps_inputs_labels_and_groups_of_a_row_together() -> None:
    y = np.arange(40) % 4
    parts = split(data(y, y + 10), 4, seed=1)
    for part in (parts.train, parts.validation, parts.test):
        assert np.array_equal(part.y, y[part.x[:, 0].astype(int)])
        assert np.array_equal(part.groups, part.y + 10)


def test_leave_out_holds_out_the_named_groups() -> None:
    train, validation, test = leave_out(np.array([3, 1, 2, 3, 1]), validation=[1], test=[3])
    assert [train.tolist(), validation.tolist(), test.tolist()] == [[2], [1, 4], [0, 3]]


@pytest.mark.parametrize("chosen", [(0.5, 0.5), (0.0, 0.2), (0.2, 1.0), (-0.1, 0.2), (float("nan"), 0.2)])
def test_impossible_fractions_are_refused(chosen: tuple[float, float]) -> None:
    with pytest.raises(BadInput, match="fractions"):
        hold_out(data(np.zeros(10)), chosen, 0)


def test_too_few_rows_are_refused() -> None:
    with pytest.raises(BadInput, match="2 rows, but 3 parts"):
        hold_out(data(np.zeros(2)), (0.2, 0.2), 0)
