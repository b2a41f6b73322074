"""Labels as they are in a table → numbers from 0, the same in all parts, or values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput

Array = npt.NDArray[Any]
Parts = Mapping[str, Array]


def targets_of(
    parts: Parts, where: str, hint: Sequence[str] = ()
) -> tuple[dict[str, Array], tuple[str, ...]]:
    """Targets by part and names of the classes: floats stay values, integers stay, text is numbered.

    `hint` names the classes of integer labels. Raises BadInput for anything else.
    """
    kinds = {array.dtype.kind for array in parts.values()}
    if kinds <= set("f"):
        return dict(parts), ()
    if kinds <= set("iub"):
        integers = {part: array.astype(np.int64) for part, array in parts.items()}
        count = 1 + max(int(array.max(initial=-1)) for array in integers.values())
        return integers, tuple(hint) if len(hint) == count else ()
    return _encoded_text(parts, where)


def encode(parts: Parts) -> tuple[dict[str, Array], Array]:
    """Each value's place among all distinct ones, int64, by part; and those."""
    distinct, places = np.unique(np.concatenate(list(parts.values())), return_inverse=True)
    ends = np.cumsum([len(array) for array in parts.values()])[:-1]
    return dict(zip(parts, np.split(places.astype(np.int64).ravel(), ends), strict=True)), distinct


def _encoded_text(parts: Parts, where: str) -> tuple[dict[str, Array], tuple[str, ...]]:
    for array in parts.values():
        odd = [value for value in array if not isinstance(value, str)]
        if odd:
            raise BadInput(where, f"a label is a {type(odd[0]).__name__}", "labels are numbers or text")
    numbered, names = encode(parts)
    return numbered, tuple(map(str, names))
