"""The data containers and their checks."""

from dataclasses import replace

import numpy as np
import pytest

from smidgen.data import Dataset, Splits
from smidgen.data.augment import TimeShift
from smidgen.errors import BadInput


def rows(n: int = 4) -> Dataset:
    return Dataset(np.arange(2 * n, dtype=np.float32).reshape(n, 2), np.arange(n, dtype=np.int64) % 2)


def splits(**changed: Dataset) -> Splits:
    return Splits(**{"train": rows(), "validation": rows(), "test": rows(), **changed}, classes=2)


def test_batches_cover_all_rows_in_order() -> None:
    parts = list(rows(5).batches(2))
    assert [len(p) for p in parts] == [2, 2, 1]
    assert np.array_equal(np.concatenate([p.x for p in parts]), rows(5).x)


def test_head_of_more_than_there_is_gives_everything() -> None:
    assert len(rows(3).head(10)) == 3


def test_the_digest_depends_on_every_value() -> None:
    changed = rows()
    changed.x[3, 1] += 1
    relabelled = Dataset(rows().x, 1 - rows().y)
    assert len({rows().digest, changed.digest, relabelled.digest}) == 3
    assert rows().digest == rows().digest


def test_rows_keep_their_groups_and_clusters() -> None:
    ids = np.array([5, 5, 7, 7])
    taken = replace(rows(), groups=ids, clusters=ids + 1).take(np.array([3, 0]))
    assert taken.groups is not None
    assert taken.groups.tolist() == [7, 5]
    assert taken.clusters is not None
    assert taken.clusters.tolist() == [8, 6]


def test_clusters_are_what_depends_else_groups() -> None:
    ids = np.arange(4)
    assert rows().dependent is None
    assert replace(rows(), groups=ids).dependent is ids
    assert replace(rows(), groups=ids // 2, clusters=ids).dependent is ids


def test_good_splits_pass() -> None:
    good = splits()
    good.check("here")
    assert good.digest.count("-") == 2


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (rows().take(np.arange(0)), "the test split is empty"),
        (Dataset(rows().x, rows().y[:3]), "4 test inputs and 3 labels"),
        (Dataset(rows().x[:, :1], rows().y), r"test samples are \[1\], but train samples are \[2\]"),
        (Dataset(np.full((4, 2), np.nan, np.float32), rows().y), "test sample 0 has NaN"),
        (Dataset(np.full((4, 2), np.inf, np.float32), rows().y), "test sample 0 has NaN or infinity"),
        (Dataset(rows().x, rows().y + 1), "a test label is 2, but labels run from 0 to 1"),
        (Dataset(rows().x, rows().y - 1), "a test label is -1"),
        (replace(rows(), clusters=np.arange(3)), r"cluster numbers \[3\] for 4 test samples"),
    ],
)
def test_a_bad_split_is_named(part: Dataset, message: str) -> None:
    with pytest.raises(BadInput, match=f"here: .*{message}"):
        splits(test=part).check("here")


def test_the_digest_of_splits_depends_on_how_training_varies_them() -> None:
    plain = splits()
    shifted = replace(plain, augmentation=TimeShift(1))
    assert plain.digest.count("-") == 2
    assert len({plain.digest, shifted.digest, replace(plain, augmentation=TimeShift(2)).digest}) == 3
    assert shifted.digest == replace(splits(), augmentation=TimeShift(1)).digest
