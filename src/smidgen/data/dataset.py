"""In-memory data sets and their splits. Inputs are float32, channels last, per-sample shape without batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smidgen.data.augment import Augmentation
from smidgen.errors import BadInput


@dataclass(frozen=True, eq=False)
class Dataset:
    """`x` float32 [n, ...]; `y` int64 [n] class labels.

    `groups` int64 [n] or None (subject, speaker): a split keeps the rows of a group together.
    `clusters` int64 [n] or None: rows that are no independent draws, as windows of one recording.
    """

    x: npt.NDArray[np.float32]
    y: npt.NDArray[np.int64]
    groups: npt.NDArray[np.int64] | None = None
    clusters: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self.x.shape[0])

    def take(self, index: npt.NDArray[np.int64]) -> Dataset:
        """The rows `index`, in that order."""
        groups, clusters = (ids if ids is None else ids[index] for ids in (self.groups, self.clusters))
        return Dataset(self.x[index], self.y[index], groups, clusters)

    def head(self, n: int) -> Dataset:
        return self.take(np.arange(min(n, len(self))))

    def batches(self, size: int) -> Iterator[Dataset]:
        """Consecutive slices of at most `size` rows."""
        for start in range(0, len(self), size):
            yield self.take(np.arange(start, min(start + size, len(self))))

    @property
    def dependent(self) -> npt.NDArray[np.int64] | None:
        """Which rows a test must keep together, int64 [n]: `clusters`, else `groups`; None if none."""
        return self.groups if self.clusters is None else self.clusters

    @cached_property
    def digest(self) -> str:
        """SHA-256 of contents, the first 16 hex digits: identifies the data in journals and caches."""
        h = hashlib.sha256(repr((self.x.shape, self.y.shape)).encode())
        h.update(np.ascontiguousarray(self.x).data)
        h.update(np.ascontiguousarray(self.y).data)
        return h.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Splits:
    """Disjoint train, validation and test sets, and the number of classes. Test is opened once, last.

    Every training on them varies its batches by `augmentation`: it belongs to the data, so that compression
    trains as the uncompressed network was trained.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    classes: int
    augmentation: Augmentation | None = None

    def check(self, where: str) -> None:
        """Raise BadInput for an empty split, NaN or infinity, labels out of range, shapes that differ."""
        for name in ("train", "validation", "test"):
            part: Dataset = getattr(self, name)
            if len(part) == 0:
                raise BadInput(where, f"the {name} split is empty", "every split needs samples")
            if len(part.y) != len(part):
                raise BadInput(
                    where,
                    f"{len(part)} {name} inputs and {len(part.y)} labels",
                    "one label an input is needed",
                )
            if part.x.shape[1:] != self.train.x.shape[1:]:
                found, expected = list(part.x.shape[1:]), list(self.train.x.shape[1:])
                raise BadInput(where, f"{name} samples are {found}", f"train samples are {expected}")
            if not np.isfinite(part.x).all():
                row = int(np.argwhere(~np.isfinite(part.x))[0][0])
                raise BadInput(
                    where,
                    f"{name} sample {row} has NaN or infinity",
                    "inputs must be finite",
                    "Clean the data first",
                )
            if part.y.min() < 0 or part.y.max() >= self.classes:
                bad = int(part.y[(part.y < 0) | (part.y >= self.classes)][0])
                raise BadInput(where, f"a {name} label is {bad}", f"labels run from 0 to {self.classes - 1}")
            for ids in (part.groups, part.clusters):
                if ids is not None and ids.shape != part.y.shape:
                    numbers = f"group or cluster numbers {list(ids.shape)} for {len(part)} {name} samples"
                    raise BadInput(where, numbers, "one number a sample is needed")

    @property
    def digest(self) -> str:
        parts = [part.digest for part in (self.train, self.validation, self.test)]
        return "-".join(parts if self.augmentation is None else [*parts, repr(self.augmentation)])
