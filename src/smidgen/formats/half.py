"""Weights in half precision: IEEE 754 binary16, two bytes a weight."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.formats.base import Format, Leaf
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

HALF_MAX = 65504.0  # the largest finite binary16 number


@dataclass(frozen=True, eq=False)
class Half(Format):
    """Float16 weights `array`, any shape. Files code low and high bytes apart where that is shorter."""

    array: npt.NDArray[np.float16]

    def __post_init__(self) -> None:
        if self.array.dtype != np.float16:
            raise ValueError(f"Half holds float16, not {self.array.dtype}")
        object.__setattr__(self, "array", np.ascontiguousarray(self.array).reshape(self.array.shape))

    @classmethod
    def fit(cls, dense: npt.NDArray[np.float32]) -> Half:
        """`dense` rounded to the nearest (half to even, IEEE 754); |w| above 65504 becomes 65504."""
        return cls(np.clip(dense, -HALF_MAX, HALF_MAX).astype(np.float16))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def decode(self) -> npt.NDArray[np.float32]:
        return self.array.astype(np.float32)

    def leaves(self) -> tuple[Leaf, ...]:
        return (Leaf("symbols", self.array.view(np.uint16).ravel(), 16, signed=False, shape=self.shape),)

    def meta(self) -> dict[str, Any]:
        return {"shape": list(self.shape)}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Half:
        shape = shape_of(meta)
        words = leaf_of(leaves, "symbols", math.prod(shape))
        return cls(words.astype(np.uint16).view(np.float16).reshape(shape))

    def twin(self) -> Twin:
        from smidgen.formats.twins import HalfTwin

        return HalfTwin(self)

    def map_dense(self, change: Callable[[npt.NDArray[np.float32]], Format]) -> Format:
        return change(self.decode())
