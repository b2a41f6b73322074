"""Data sets and their splits. Inputs are float32, channels last, per-sample shape without batch."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from smidgen.data.augment import Augmentation
from smidgen.data.rows import Inputs, Rows
from smidgen.errors import BadInput


@dataclass(frozen=True, eq=False)
class Dataset:
    """`inputs` float32 [n, ...] or rows decoded when needed; `y` int64 [n] labels or float32 [n, k] values.

    `groups` int64 [n] or None (subject, speaker): a split keeps the rows of a group together.
    `clusters` int64 [n] or None: rows that are no independent draws, as windows of one recording.
    """

    inputs: Inputs
    y: npt.NDArray[np.int64] | npt.NDArray[np.float32]
    groups: npt.NDArray[np.int64] | None = None
    clusters: npt.NDArray[np.int64] | None = None

    def __len__(self) -> int:
        return int(self.inputs.shape[0])

    @property
    def x(self) -> npt.NDArray[np.float32]:
        """All inputs, float32 [n, ...]: what to stream is better asked for in `batches`. Raises BadInput."""
        return self.inputs.decoded() if isinstance(self.inputs, Rows) else self.inputs

    def take(self, index: npt.NDArray[np.int64]) -> Dataset:
        """The rows `index`, in that order."""
        groups, clusters = (ids if ids is None else ids[index] for ids in (self.groups, self.clusters))
        return Dataset(self.inputs[index], self.y[index], groups, clusters)

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
        h = hashlib.sha256(repr((self.inputs.shape, self.y.shape)).encode())
        for block in self.inputs.blocks() if isinstance(self.inputs, Rows) else (self.inputs,):
            h.update(np.ascontiguousarray(block).data)
        h.update(np.ascontiguousarray(self.y).data)
        return h.hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class Splits:
    """Disjoint train, validation and test sets, and what is asked of them. Test is opened once, last.

    Attributes:
        classes: how many; None where the targets are values (regression).
        augmentation: by which every training on them varies its batches. It belongs to the data, so that
            compression trains as the uncompressed network was trained.
        names: of the classes, in order; empty if nobody named them.
        metric: by which outputs are judged, a name or `package.module:function`; empty: accuracy or R².
        loss: that training minimises, likewise; empty: cross-entropy or the mean squared error.
        notes: what a reader decided for the user (columns, layout), one statement each.
        synthetic: no data were brought: inputs are random and targets are the original network's outputs.
    """

    train: Dataset
    validation: Dataset
    test: Dataset
    classes: int | None
    augmentation: Augmentation | None = None
    names: tuple[str, ...] = ()
    metric: str = ""
    loss: str = ""
    notes: tuple[str, ...] = ()
    synthetic: bool = False

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
            if part.inputs.shape[1:] != self.train.inputs.shape[1:]:
                found, expected = list(part.inputs.shape[1:]), list(self.train.inputs.shape[1:])
                raise BadInput(where, f"{name} samples are {found}", f"train samples are {expected}")
            # Rows come from decoders, which only make finite numbers.
            if not isinstance(part.inputs, Rows) and not np.isfinite(part.x).all():
                row = int(np.argwhere(~np.isfinite(part.x))[0][0])
                raise BadInput(
                    where,
                    f"{name} sample {row} has NaN or infinity",
                    "inputs must be finite",
                    "Clean the data first",
                )
            _check_targets(part.y, self.classes, where, name)
            if self.classes is None and part.y.shape[1:] != self.train.y.shape[1:]:
                found, expected = part.y.shape[1], self.train.y.shape[1]
                raise BadInput(where, f"{name} rows have {found} targets", f"train rows have {expected}")
            for ids in (part.groups, part.clusters):
                if ids is not None and ids.shape != (len(part),):
                    numbers = f"group or cluster numbers {list(ids.shape)} for {len(part)} {name} samples"
                    raise BadInput(where, numbers, "one number a sample is needed")

    @property
    def digest(self) -> str:
        parts = [part.digest for part in (self.train, self.validation, self.test)]
        return "-".join(parts if self.augmentation is None else [*parts, repr(self.augmentation)])


def _check_targets(
    y: npt.NDArray[np.int64] | npt.NDArray[np.float32], classes: int | None, where: str, part: str
) -> None:
    """Labels are in range; values are finite, float32 [n, k]."""
    if classes is None:
        if y.dtype != np.float32 or y.ndim != 2 or not np.isfinite(y).all():
            found = (
                "NaN or infinite" if y.dtype == np.float32 and y.ndim == 2 else f"{y.dtype} {list(y.shape)}"
            )
            raise BadInput(where, f"{part} targets are {found}", "finite float32 [rows, k] are needed")
    elif y.dtype.kind not in "iu" or y.ndim != 1:
        found = f"{y.dtype} {list(y.shape)}"
        raise BadInput(
            where, f"{part} labels are {found}", "integers [rows] are needed", "Or set classes=None"
        )
    elif y.min() < 0 or y.max() >= classes:
        bad = int(y[(y < 0) | (y >= classes)][0])
        raise BadInput(where, f"a {part} label is {bad}", f"labels run from 0 to {classes - 1}")
