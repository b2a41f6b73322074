"""Plain float32 weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, Leaf
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin


def shape_of(meta: Mapping[str, Any]) -> tuple[int, ...]:
    """The `shape` entry of a format's description, checked. Raises BadFile."""
    shape = meta.get("shape")
    if not isinstance(shape, list) or not all(type(n) is int and 0 <= n < 2**31 for n in shape):
        raise BadFile("format", f"shape {shape!r}", "a shape is a list of non-negative sizes")
    return tuple(shape)


def leaf_of(leaves: Mapping[str, Array], name: str, size: int) -> Array:
    """The stream called `name`, which must hold `size` symbols. Raises BadFile."""
    leaf = leaves.get(name)
    if leaf is None or leaf.size != size:
        found = "missing" if leaf is None else f"{leaf.size} symbols long"
        raise BadFile("format", f"stream {name!r} is {found}", f"{size} symbols are needed")
    return leaf


@dataclass(frozen=True, eq=False)
class Dense(Format):
    """Float32 weights `array`, any shape."""

    array: npt.NDArray[np.float32]

    def __post_init__(self) -> None:
        object.__setattr__(self, "array", np.ascontiguousarray(self.array, dtype=np.float32))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def decode(self) -> npt.NDArray[np.float32]:
        return self.array

    def leaves(self) -> tuple[Leaf, ...]:
        return (Leaf("symbols", self.array.view(np.uint32).ravel(), 32, signed=False, shape=self.shape),)

    def meta(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Dense:
        shape = shape_of(meta)
        words = leaf_of(leaves, "symbols", math.prod(shape))
        return cls(words.astype(np.uint32).view(np.float32).reshape(shape))

    def twin(self) -> Twin:
        from smidgen.formats.twins import DenseTwin

        return DenseTwin(self)

    def map_dense(self, change: Callable[[npt.NDArray[np.float32]], Format]) -> Format:
        return change(self.array)
