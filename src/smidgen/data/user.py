"""Read the user's own data: `arrays.npz`, or `package.module:function` that returns arrays or Splits."""

from __future__ import annotations

import importlib
import os
import sys
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.data.arrays import splits_from_arrays
from smidgen.data.dataset import Splits
from smidgen.errors import BadInput

_CORRUPT = (
    zipfile.BadZipFile,
    zlib.error,
    ValueError,
    EOFError,
    RuntimeError,
    NotImplementedError,
    MemoryError,
)


def load_user_data(
    source: str, validation_fraction: float = 0.15, test_fraction: float = 0.15, seed: int = 0
) -> Splits:
    """Splits from `source`, checked.

    An .npz file, or the mapping that a function returns, holds either `x` [n, ...] and `y` [n], which are
    split here, or `x_train`, `y_train`, `x_test`, `y_test` and perhaps `x_validation`, `y_validation` (or
    `x_val`, `y_val`); parts that are absent are split off the training rows. `groups` (`groups_train`, …),
    int [n], keeps the rows of a subject together. A function may also return (x, y), (x, y, groups) or
    Splits. Inputs become float32, channels last; labels are integers from 0. Nothing is ever unpickled.

    Raises:
        BadInput: the data can't be used; the message names the file or function, the array and the remedy.
    """
    from_function = ":" in source and not source.endswith(".npz")
    found = _call(source) if from_function else _read_npz(source)
    return splits_of(found, source, validation_fraction, test_fraction, seed)


def splits_of(
    found: Any, where: str, validation_fraction: float = 0.15, test_fraction: float = 0.15, seed: int = 0
) -> Splits:
    """Splits from what a user has in hand: Splits, (x, y), (x, y, groups) or a mapping as in an .npz file.

    Raises BadInput, which calls it `where`.
    """
    if isinstance(found, Splits):
        found.check(where)
        return found
    return splits_from_arrays(_named(found, where), where, validation_fraction, test_fraction, seed)


def _read_npz(source: str) -> dict[str, Any]:
    path = Path(source).expanduser()
    if path.suffix != ".npz":
        raise BadInput(
            source, "not a kind of data that is known", "an .npz file or package.module:function is needed"
        )
    if not path.is_file():
        raise BadInput(source, "no such file", "", "Check the path")
    if not zipfile.is_zipfile(path):
        raise BadInput(source, "not a zip archive", "an .npz file is one", "Write it with numpy.savez")
    arrays: dict[str, Any] = {}
    name = ""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            for name in archive.files:
                arrays[name] = archive[name]
    except (*_CORRUPT, OSError) as problem:
        if "pickle" in str(problem) or "Object arrays" in str(problem):
            raise _objects(source, name) from problem
        raise BadInput(
            source, f"array {name!r} can't be read ({problem})", "", "Write the file again"
        ) from problem
    return arrays


def _objects(source: str, name: str) -> BadInput:
    return BadInput(
        source,
        f"{name!r} is an array of Python objects",
        "only numbers are read: objects could run code",
        "Make all samples the same shape and save them as float32",
    )


def _call(source: str) -> Any:
    """What the function returns. Whatever the user's code raises becomes one BadInput."""
    module_name, _, function_name = source.partition(":")
    function = _find_function(source, module_name, function_name)
    try:
        return function()
    except Exception as problem:
        raise BadInput(source, f"the function raised {type(problem).__name__}: {problem}") from problem


def _find_function(source: str, module_name: str, function_name: str) -> Callable[[], Any]:
    """Import from the working folder first, as `python -m` does."""
    sys.path.insert(0, os.getcwd())
    try:
        module = importlib.import_module(module_name)
    except Exception as problem:
        raise BadInput(
            source,
            f"module {module_name!r} can't be imported ({type(problem).__name__}: {problem})",
            "",
            "Run from the folder that holds it, or install it",
        ) from problem
    finally:
        sys.path.remove(os.getcwd())
    function = getattr(module, function_name, None)
    if not callable(function):
        raise BadInput(
            source, f"no function {function_name!r} in {module_name}", "", "Check the name after the colon"
        )
    return function  # type: ignore[no-any-return]


def _named(found: Any, source: str) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        return found
    if isinstance(found, tuple) and len(found) in (2, 3):
        return dict(zip(("x", "y", "groups"), found))
    size = f" of {len(found)}" if isinstance(found, (tuple, list)) else ""
    raise BadInput(
        source,
        f"a {type(found).__name__}{size}",
        "(x, y), (x, y, groups), a mapping of arrays or Splits is needed",
    )
