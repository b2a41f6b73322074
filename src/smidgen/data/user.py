"""Read the user's own data: files and folders by their readers, or a function that returns arrays."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from smidgen.data.arrays import splits_from_arrays
from smidgen.data.dataset import Splits
from smidgen.data.readers import find_reader
from smidgen.data.readers.request import Found, Request
from smidgen.data.user_function import call, find_function
from smidgen.errors import BadInput

FILES = (".npz", ".parquet")


def load_user_data(
    source: str,
    validation_fraction: float = 0.15,
    test_fraction: float = 0.15,
    seed: int = 0,
    shape: tuple[int, ...] | None = None,
) -> Splits:
    """Splits from `source`, checked.

    An .npz file, or the mapping that a function returns, holds either `x` [n, ...] and `y` [n], which are
    split here, or `x_train`, `y_train`, `x_test`, `y_test` and perhaps `x_validation`, `y_validation` (or
    `x_val`, `y_val`); parts that are absent are split off the training rows. `groups` (`groups_train`, …),
    int [n], keeps the rows of a subject together. A function may also return (x, y), (x, y, groups) or
    Splits. Integer `y` are class labels from 0; float `y` [n] or [n, k] are values. Inputs become float32.

    A folder of class folders, a .parquet file or a folder of them is read by its reader in `data/readers`;
    `path?key=value&key=value` tells it more (`readers.request.KEYS`). `shape` is what the network takes, by
    which images are laid out channels first or last. Nothing is ever unpickled.

    Raises:
        BadInput: the data can't be used; the message names the file or function, the array and the remedy.
        MissingExtra: a package that decodes them is not installed.
    """
    path = source.partition("?")[0]
    if ":" in path and not path.endswith(FILES):
        found = call(source, find_function(source))
        return splits_of(found, source, validation_fraction, test_fraction, seed)
    request = Request.parse(source, shape)
    read = _read(request)
    splits = splits_from_arrays(read.arrays, str(request.path), validation_fraction, test_fraction, seed)
    return replace(splits, names=read.names, notes=read.notes)


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


def _read(request: Request) -> Found:
    try:
        return find_reader(request.path)(request)
    except OSError as problem:
        raise BadInput(
            str(request.path), f"it can't be read ({problem.strerror})", "", "Check the path"
        ) from problem


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
