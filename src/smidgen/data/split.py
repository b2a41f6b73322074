"""Seeded splits into train, validation and test: stratified by class, or by group when there are groups."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput

Index = npt.NDArray[np.int64]


def split(
    data: Dataset,
    classes: int | None,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
) -> Splits:
    """Divide `data` into three disjoint parts that together hold every row.

    With `data.groups`, no group is in two parts (subjects of the test set are unseen in training); parts are
    then as near to their fractions as whole groups allow. Without, every class is spread by the fractions;
    rows with values for targets (`classes` None) are dealt in random order.

    Raises:
        BadInput: a fraction outside (0, 1), nothing left to train on, or too few rows or groups.
    """
    train, validation, test = hold_out(data, (validation_fraction, test_fraction), seed)
    return Splits(data.take(train), data.take(validation), data.take(test), classes)


def hold_out(data: Dataset, fractions: Sequence[float], seed: int) -> tuple[Index, ...]:
    """Sorted row numbers of the rest (first) and of one part for each of `fractions`."""
    return divide(data.y, data.groups, fractions, seed)


def divide(
    y: Index | npt.NDArray[np.float32], groups: Index | None, fractions: Sequence[float], seed: int
) -> tuple[Index, ...]:
    """`hold_out` for rows of which only the targets [n, ...] and perhaps the groups [n] are known."""
    rest = 1.0 - sum(fractions)
    if not all(0 < f < 1 for f in fractions) or rest <= 0:
        shown = ", ".join(f"{f:g}" for f in fractions)
        raise BadInput("split", f"fractions {shown}", "each must be above 0 and their sum below 1")
    rng = np.random.default_rng(seed)
    if groups is None:
        classes = y if y.dtype.kind in "iu" else np.zeros(len(y))
        part_of_row = _by_class(classes.astype(np.int64), (rest, *fractions), rng)
    else:
        part_of_row = _by_group(groups, (rest, *fractions), rng)
    return tuple(np.flatnonzero(part_of_row == part) for part in range(len(fractions) + 1))


def leave_out(groups: Index, validation: Sequence[int], test: Sequence[int]) -> tuple[Index, Index, Index]:
    """Row numbers (train, validation, test) when the named groups are held out."""
    is_validation, is_test = np.isin(groups, validation), np.isin(groups, test)
    return (
        np.flatnonzero(~is_validation & ~is_test),
        np.flatnonzero(is_validation & ~is_test),
        np.flatnonzero(is_test),
    )


def _by_class(y: Index, fractions: Sequence[float], rng: np.random.Generator) -> Index:
    """Deal the rows class after class, shuffled within a class: each class is spread by the fractions."""
    order = rng.permutation(len(y))
    order = order[np.argsort(y[order], kind="stable")]
    parts = np.empty(len(y), dtype=np.int64)
    parts[order] = _deal(np.ones(len(y), dtype=np.int64), fractions, "rows")
    return parts


def _by_group(groups: Index, fractions: Sequence[float], rng: np.random.Generator) -> Index:
    _, number, sizes = np.unique(groups, return_inverse=True, return_counts=True)
    order = rng.permutation(len(sizes))
    parts = np.empty(len(sizes), dtype=np.int64)
    parts[order] = _deal(sizes[order].astype(np.int64), fractions, "groups")
    return parts[number]


def _deal(sizes: Index, fractions: Sequence[float], what: str) -> Index:
    """Give each item in turn to the part furthest below its share so far; no part stays empty."""
    if len(sizes) < len(fractions):
        raise BadInput(
            "split",
            f"{len(sizes)} {what}",
            f"{len(fractions)} parts need at least one each",
            "Give more data",
        )
    share, held = np.asarray(fractions), np.zeros(len(fractions))
    parts, total = np.empty(len(sizes), dtype=np.int64), 0
    for i, size in enumerate(sizes):
        total += int(size)
        owed = share * total - held
        if len(sizes) - i == np.count_nonzero(held == 0):  # the last items go to the parts without any
            owed = np.where(held == 0, owed, -np.inf)
        parts[i] = np.argmax(owed)
        held[parts[i]] += size
    return parts
