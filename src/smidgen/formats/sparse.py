"""Sparse weights: which positions are nonzero, and a nested format for the values there.

Positions are stored as a bit mask or as relative indices (zeros before each nonzero, in `gap_bits` bits;
the largest gap means "that many zeros and no value"), whichever packs smaller.
Relative indices: Han, Mao, Dally 2016 (arXiv 1510.00149), figure 2; there a filler carries a zero value.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, IntegerWeights, Leaf, from_parts, to_parts
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

GAP_BITS = range(2, 9)
INNER = "inner/"


@dataclass(frozen=True, eq=False)
class Sparse(Format):
    """`inner` where `mask` (bool, the weight's shape) is true, exactly 0 elsewhere."""

    mask: npt.NDArray[np.bool_]
    inner: Format

    @property
    def shape(self) -> tuple[int, ...]:
        return self.mask.shape

    @property
    def latent(self) -> npt.NDArray[np.float32]:
        return self.inner.latent

    @property
    def label(self) -> str:
        return f"sparse({self.inner.label})"

    def decode(self) -> npt.NDArray[np.float32]:
        return np.where(self.mask, self.inner.decode(), np.float32(0.0))

    def integers(self) -> IntegerWeights | None:
        inner = self.inner.integers()
        return inner and replace(inner, values=np.where(self.mask, inner.values, np.int8(0)))

    @cached_property
    def positions(self) -> Leaf:
        """The smaller of the bit mask (named `mask`) and the relative indices (named `gaps`)."""
        flat = self.mask.ravel()
        mask = Leaf("mask", flat.astype(np.uint8), 1, signed=False, shape=self.shape)
        gaps = [Leaf("gaps", gaps_from_mask(flat, bits), bits, signed=False) for bits in GAP_BITS]
        return min([mask, *gaps], key=lambda leaf: leaf.packed_bytes)

    def leaves(self) -> tuple[Leaf, ...]:
        flat = self.mask.ravel()
        inner = (
            replace(leaf, symbols=leaf.symbols[flat], shape=()) if leaf.name == "symbols" else leaf
            for leaf in self.inner.leaves()
        )
        return (self.positions, *(replace(leaf, name=INNER + leaf.name) for leaf in inner))

    def meta(self) -> dict[str, Any]:
        bits = self.positions.bits if self.positions.name == "gaps" else 0
        return {"shape": list(self.shape), "gap_bits": bits, "inner": to_parts(self.inner)[0]}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Sparse:
        shape, bits, inner_meta = shape_of(meta), meta.get("gap_bits"), meta.get("inner")
        size = math.prod(shape)
        if not isinstance(inner_meta, dict) or inner_meta.get("format") == "Sparse":
            raise BadFile("sparse", "no inner format, or a sparse one inside a sparse one")
        if bits == 0:
            flat = leaf_of(leaves, "mask", size).astype(bool)
        elif type(bits) is int and bits in GAP_BITS and "gaps" in leaves:
            flat = mask_from_gaps(leaves["gaps"], bits, size)
        else:
            raise BadFile("sparse", f"gap_bits={bits!r} or its stream is missing", "0 or 2 to 8 is needed")
        inner = {name[len(INNER) :]: leaf for name, leaf in leaves.items() if name.startswith(INNER)}
        values = leaf_of(inner, "symbols", int(flat.sum()))
        inner["symbols"] = np.zeros(size, dtype=values.dtype)
        inner["symbols"][flat] = values
        return cls(flat.reshape(shape), from_parts(inner_meta, inner))

    def twin(self) -> Twin:
        from smidgen.formats.twins import SparseTwin

        return SparseTwin(self)

    def map_dense(self, change: Callable[[npt.NDArray[np.float32]], Format]) -> Format:
        masked = self.inner.map_dense(lambda dense: change(np.where(self.mask, dense, np.float32(0.0))))
        return replace(self, inner=masked)


def gaps_from_mask(flat: npt.NDArray[np.bool_], bits: int) -> npt.NDArray[np.uint8]:
    """Relative indices of a flat mask; a symbol 2^bits - 1 skips that many zeros and has no value."""
    escape = (1 << bits) - 1
    nonzero = np.flatnonzero(flat)
    gaps = np.diff(nonzero, prepend=-1) - 1
    escapes = gaps // escape
    ends = np.cumsum(escapes + 1) - 1
    symbols = np.full(int(ends[-1]) + 1 if nonzero.size else 0, escape, dtype=np.uint8)
    symbols[ends] = (gaps % escape).astype(np.uint8)
    return symbols


def mask_from_gaps(symbols: Array, bits: int, size: int) -> npt.NDArray[np.bool_]:
    """Inverse of `gaps_from_mask`. Raises BadFile when a position lies outside the tensor."""
    escape = (1 << bits) - 1
    codes = symbols.astype(np.int64)
    if codes.size and (codes.min() < 0 or codes.max() > escape):
        raise BadFile("sparse", f"a gap outside {bits} bits")
    is_value = codes < escape
    ends = np.cumsum(codes + is_value)[is_value] - 1
    if ends.size and ends[-1] >= size:
        raise BadFile("sparse", f"a nonzero at position {int(ends[-1])}", f"the tensor has {size} weights")
    mask = np.zeros(size, dtype=bool)
    mask[ends] = True
    return mask
