"""Exact integers without a grid: biases at accumulator scale, multipliers, shifts, tables."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, Leaf
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

STORAGE = ("int8", "uint8", "int16", "uint16", "int32")


@dataclass(frozen=True, eq=False)
class Integer(Format):
    """Integers `array` of a dtype in `STORAGE`; `decode` gives them as floats (|x| < 2^24 exactly)."""

    array: Array

    def __post_init__(self) -> None:
        if self.array.dtype.name not in STORAGE:
            raise ValueError(f"Integer holds one of {STORAGE}, not {self.array.dtype}")

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    @property
    def dtype(self) -> str:
        return self.array.dtype.name

    def decode(self) -> npt.NDArray[np.float32]:
        return self.array.astype(np.float32)

    def leaves(self) -> tuple[Leaf, ...]:
        signed = self.array.dtype.kind == "i"
        return (Leaf("symbols", self.array.ravel(), self.array.dtype.itemsize * 8, signed, self.shape),)

    def meta(self) -> dict[str, Any]:
        return {"shape": list(self.shape), "dtype": self.dtype}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Integer:
        shape, dtype = shape_of(meta), meta.get("dtype")
        if dtype not in STORAGE:
            raise BadFile("format", f"integer type {dtype!r}", f"one of {', '.join(STORAGE)} is needed")
        return cls(leaf_of(leaves, "symbols", math.prod(shape)).astype(dtype).reshape(shape))

    def twin(self) -> Twin:
        """A constant: integers have no gradient."""
        from smidgen.formats.twins import IntegerTwin

        return IntegerTwin(self)
