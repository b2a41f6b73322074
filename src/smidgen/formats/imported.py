"""Integers that another tool quantized and that no integer kernel multiplies with, kept as they came.

real = (q - zero) * scale with more than 8 bits, differences that leave int8, or scales along an axis other
than the first, or for blocks of weights. Layers that use them compute in float; what fits is an `Affine`.
"""

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
from smidgen.formats.scales import is_bfloat16, scale_leaf, scales_of
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

MAX_BITS = 16


@dataclass(frozen=True, eq=False)
class Imported(Format):
    """Weights on any affine grid.

    Attributes:
        symbols: int16, the weight's shape, each of `bits` bits, two's complement.
        scale: positive float32 of the weight's rank; every size divides the weight's, and an entry stands for
            a block of neighbours: [1, 1] for all of a matrix, [O, 1] for channels, [O, I / 32] for blocks.
        zero: int16 of the same shape as `scale`, or None for 0.
        bits: 2..16.
    """

    symbols: npt.NDArray[np.int16]
    scale: npt.NDArray[np.float32]
    zero: npt.NDArray[np.int16] | None
    bits: int

    @property
    def shape(self) -> tuple[int, ...]:
        return self.symbols.shape

    @property
    def label(self) -> str:
        return f"imported{self.bits}"

    def decode(self) -> npt.NDArray[np.float32]:
        whole = self.symbols.astype(np.int32)
        if self.zero is not None:
            whole = whole - expanded(self.zero, self.shape)
        real: npt.NDArray[np.float32] = whole.astype(np.float32) * expanded(self.scale, self.shape)
        return real

    def leaves(self) -> tuple[Leaf, ...]:
        found = [
            Leaf("symbols", self.symbols.ravel(), self.bits, signed=True, shape=self.shape),
            scale_leaf(self.scale),
        ]
        if self.zero is not None:
            found.append(Leaf("zero", self.zero.ravel(), self.bits, signed=True))
        return tuple(found)

    def meta(self) -> dict[str, Any]:
        return {
            "shape": list(self.shape),
            "bits": self.bits,
            "scales": list(self.scale.shape),
            "asymmetric": self.zero is not None,
            "float32_scales": not is_bfloat16(self.scale),
        }

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Imported:
        shape, scales = shape_of(meta), shape_of({"shape": meta.get("scales")})
        bits = meta.get("bits")
        if type(bits) is not int or not 2 <= bits <= MAX_BITS:
            raise BadFile("imported", f"bits={bits!r}", f"2 to {MAX_BITS} bits are known")
        if len(scales) != len(shape) or any(n < 1 or m % n for n, m in zip(scales, shape, strict=True)):
            raise BadFile("imported", f"scales {list(scales)} of weights {list(shape)}", "sizes that divide")
        count = math.prod(scales)
        scale = scales_of(leaves, count, "imported", meta.get("float32_scales") is True)
        zero = leaf_of(leaves, "zero", count).astype(np.int16) if meta.get("asymmetric") else None
        symbols = leaf_of(leaves, "symbols", math.prod(shape)).astype(np.int16).reshape(shape)
        return cls(symbols, scale.reshape(scales), None if zero is None else zero.reshape(scales), bits)

    def twin(self) -> Twin:
        """A constant: what another tool decided is not trained again."""
        from smidgen.formats.twins import ImportedTwin

        return ImportedTwin(self)


def expanded(blocks: Array, shape: tuple[int, ...]) -> Array:
    """Each entry repeated for its block of neighbours along every axis."""
    for axis, (count, size) in enumerate(zip(blocks.shape, shape, strict=True)):
        blocks = blocks if count in (1, size) else np.repeat(blocks, size // count, axis=axis)
    return np.broadcast_to(blocks, shape)
