"""Arrays under known names → checked Splits. The user's arrays are judged here, whatever they came from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.rows import Inputs, Rows
from smidgen.data.split import hold_out, split
from smidgen.errors import BadInput

_ALIASES = {"validation": ("validation", "val"), "test": ("test",), "train": ("train",)}


def splits_from_arrays(
    arrays: Mapping[str, Any], where: str, validation_fraction: float, test_fraction: float, seed: int
) -> Splits:
    """Splits from `x`, `y` or from `x_train`, `y_train`, …; see `load_user_data`. Raises BadInput."""
    if "x" in arrays or "y" in arrays:
        whole = _dataset(arrays, "x", "y", "groups", where)
        classes = _count_classes(whole.y, where)
        splits = split(whole, classes, validation_fraction, test_fraction, seed)
    elif "x_train" in arrays or "y_train" in arrays:
        splits = _given_parts(arrays, where, validation_fraction, test_fraction, seed)
    else:
        names = ", ".join(sorted(map(str, arrays))) or "nothing"
        raise BadInput(where, f"it holds {names}", "x and y, or x_train and y_train, are needed")
    splits.check(where)
    _check_parts(splits, where)
    return splits


def _given_parts(
    arrays: Mapping[str, Any], where: str, validation_fraction: float, test_fraction: float, seed: int
) -> Splits:
    """The parts that are there; those that are not are split off the training rows."""
    fractions = {"validation": validation_fraction, "test": test_fraction}
    parts = {name: part for name in _ALIASES if (part := _part(arrays, name, where)) is not None}
    classes = _count_classes(parts["train"].y, where)
    absent = [name for name in fractions if name not in parts]
    if absent:
        rest, *held = hold_out(parts["train"], [fractions[name] for name in absent], seed)
        parts.update({name: parts["train"].take(index) for name, index in zip(absent, held)})
        parts["train"] = parts["train"].take(rest)
    return Splits(parts["train"], parts["validation"], parts["test"], classes)


def _part(arrays: Mapping[str, Any], name: str, where: str) -> Dataset | None:
    for suffix in _ALIASES[name]:
        if f"x_{suffix}" in arrays or f"y_{suffix}" in arrays:
            return _dataset(arrays, f"x_{suffix}", f"y_{suffix}", f"groups_{suffix}", where)
    return None


def _dataset(arrays: Mapping[str, Any], x: str, y: str, groups: str, where: str) -> Dataset:
    for name in (x, y):
        if name not in arrays:
            raise BadInput(where, f"there is no {name!r}", f"{x} and {y} come together")
    inputs = _inputs(arrays[x], f"{where}: {x}")
    labels = _targets(arrays[y], f"{where}: {y}")
    owners = None
    if groups in arrays:
        owners = _integers(arrays[groups], f"{where}: {groups}", "groups", "Number the subjects, as int64")
    for name, vector in ((y, labels), (groups, owners)):
        if vector is not None and len(vector) != len(inputs):
            raise BadInput(
                where, f"{x} has {len(inputs)} rows and {name} {len(vector)}", "one entry a row is needed"
            )
    return Dataset(inputs, labels, owners)


def _inputs(given: Any, where: str) -> Inputs:
    if isinstance(given, Rows):
        return given
    array = _array(given, where)
    if array.dtype.kind not in "fiub":
        raise BadInput(where, f"inputs are {array.dtype}", "real numbers are needed")
    if array.ndim < 2 or 0 in array.shape[1:]:
        raise BadInput(
            where, f"the shape is {list(array.shape)}", "[rows, ...] with at least one feature is needed"
        )
    if len(array) == 0:
        raise BadInput(where, "there are no rows", "every split needs samples")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinity
        inputs = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(inputs).all():
        row = int(np.argwhere(~np.isfinite(inputs))[0][0])
        raise BadInput(
            where, f"row {row} has NaN or infinity", "inputs must be finite", "Clean the data first"
        )
    return inputs


def _targets(given: Any, where: str) -> npt.NDArray[np.int64] | npt.NDArray[np.float32]:
    """Integers are labels of classes, int64 [n]; floats are values, float32 [n, k]."""
    array = _array(given, where)
    if array.dtype.kind != "f":
        return _integers(array, where, "labels", "Number the classes from 0, as int64; values are floats")
    if array.ndim == 0 or 0 in array.shape[1:]:
        raise BadInput(where, f"values have the shape {list(array.shape)}", "[rows] or [rows, k] is needed")
    with np.errstate(over="ignore"):
        values: npt.NDArray[np.float32] = array.reshape(len(array), -1).astype(np.float32)
    if not np.isfinite(values).all():
        row = int(np.argwhere(~np.isfinite(values))[0][0])
        raise BadInput(
            where, f"row {row} has NaN or infinity", "targets must be finite", "Clean the data first"
        )
    return values


def _integers(given: Any, where: str, what: str, remedy: str) -> npt.NDArray[np.int64]:
    array = _array(given, where)
    if array.ndim != 1:
        raise BadInput(
            where, f"{what} have the shape {list(array.shape)}", "one integer a row is needed", remedy
        )
    if array.dtype.kind not in "iub":
        raise BadInput(where, f"{what} are {array.dtype}", "integers are needed", remedy)
    return array.astype(np.int64)


def _array(given: Any, where: str) -> npt.NDArray[Any]:
    """Lists and torch tensors on the CPU too."""
    try:
        array = np.asarray(given)
    except Exception as problem:
        raise BadInput(where, f"a {type(given).__name__} can't be made an array ({problem})") from problem
    if array.dtype.kind == "O":
        raise BadInput(
            where, "an array of Python objects", "numbers are needed", "Make all samples the same shape"
        )
    return array


def _count_classes(y: npt.NDArray[np.int64] | npt.NDArray[np.float32], where: str) -> int | None:
    """max + 1, where each class has a sample: a gap is a sign of labels that start at 1 or are ids.

    None for values.
    """
    if y.dtype.kind == "f":
        return None
    if len(y) == 0 or y.min() < 0:
        raise BadInput(where, f"label {int(y.min())}" if len(y) else "no labels", "labels run from 0")
    present = np.unique(y)
    if len(present) < 2:
        raise BadInput(where, "all labels are the same", "at least two classes are needed")
    if len(present) != present[-1] + 1:
        missing = int(np.argmax(present != np.arange(len(present))))
        raise BadInput(
            where,
            f"labels go up to {present[-1]}, none is {missing}",
            "they must be numbered from 0 without gaps",
            "Use numpy.unique(y, return_inverse=True)[1]",
        )
    return len(present)


def _check_learned(y: npt.NDArray[Any], classes: int, where: str) -> None:
    """Every class has training rows."""
    learned = np.unique(y)
    if len(learned) < classes:
        missing = int(np.setdiff1d(np.arange(classes), learned)[0])
        raise BadInput(
            where,
            f"no training row has label {missing}",
            "every class needs some",
            "Give more rows, or merge classes",
        )


def _check_parts(splits: Splits, where: str) -> None:
    """Each class can be learned, and no group is on both sides."""
    if splits.classes is not None:
        _check_learned(splits.train.y, splits.classes, where)
    parts = {"train": splits.train, "validation": splits.validation, "test": splits.test}
    seen: dict[int, str] = {}
    for name, part in parts.items():
        for group in np.unique(part.groups) if part.groups is not None else ():
            if int(group) in seen:
                raise BadInput(
                    where, f"group {group} is in {seen[int(group)]} and {name}", "groups must not straddle"
                )
            seen[int(group)] = name
