"""Binary weights of which whole packs of neighbouring inputs are gone: real = -scale, 0 or scale.

A row of outputs keeps as many packs as any other. Stored are a bit for each pack, a bit for each weight of
those that are kept, and the scales. Packs of 32 are the words that kernels of bits multiply with.
Ref: Romaszkan, Li, Gupta 2020 (3PXNet, ACM TECS 19(1)).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, Leaf
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.formats.packing import WORD_BITS, pack_words
from smidgen.formats.scaled import ScaledValues
from smidgen.formats.scales import floored, is_bfloat16, scale_leaf, scales_of
from smidgen.numerics import Array, FloatArray

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

FloatArray32 = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class BinaryPacks(ScaledValues, Format):
    """Signs times a scale in the packs that are kept, 0 elsewhere.

    Attributes:
        kept: bool [O, ..., packs], equally many true ones in each row [...] of an output; a pack holds
            `width` neighbours along the last axis, the last one what is left.
        bits: bool, the weight's shape [O, ..., I]; true stands for +1; false outside kept packs.
        scale: float32 [1] or [O], positive; bfloat16 values until a BatchNorm is folded into them.
        width: inputs of a pack.
        float_latent: float weights in -1..1 that training continues from; never stored.
        open_share: the share of the next training, 0..1, in which packs are chosen anew; never stored.
    """

    kept: Mask
    bits: Mask
    scale: FloatArray32
    width: int = WORD_BITS
    float_latent: FloatArray32 | None = None
    open_share: float = 0.0

    @staticmethod
    def fit(
        weight: FloatArray32,
        sparsity: float,
        width: int = WORD_BITS,
        granularity: Literal["tensor", "channel"] = "channel",
        open_share: float = 0.0,
    ) -> BinaryPacks:
        """The signs of `weight` ([O, ..., I]) in the packs of largest sum |w|, one of a row at least.

        Of each row 1 - `sparsity` (0..1) of its packs are kept, rounded half up.
        """
        latent = np.clip(np.asarray(weight, dtype=np.float32), -1, 1)
        count = packs_of(latent.shape, width) // max(latent.shape[0], 1)
        rows = 1 if granularity == "tensor" else latent.shape[0]
        return signs_in(
            latent,
            largest_packs(latent, kept_count(count, sparsity), width),
            width,
            rows,
            open_share=open_share,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape

    @property
    def mask(self) -> Mask:
        """Which weights are not 0: bool, the weight's shape."""
        return spread_over(self.kept, self.width, self.shape[-1])

    @property
    def packs_a_row(self) -> int:
        """How many packs each output keeps."""
        return int(np.count_nonzero(self.kept[:1]))

    def words(self) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """What kernels read where a pack is a word: its signs and its place among the words of a row, both
        [O, packs_a_row], in the order of places.
        """
        rows = self.kept.reshape(self.shape[0], -1)
        places = np.nonzero(rows)[1].reshape(len(rows), -1)
        return np.take_along_axis(pack_words(self.bits).reshape(rows.shape), places, axis=1), places

    def scaled(self, factor: FloatArray32) -> BinaryPacks:
        """The weights times `factor` [O], none of it 0: signs change with it."""
        down = (factor < 0).reshape(-1, *(1,) * (len(self.shape) - 1))
        return BinaryPacks(self.kept, (self.bits ^ down) & self.mask, self._scaled_sizes(factor), self.width)

    def leaves(self) -> tuple[Leaf, ...]:
        packs = Leaf("packs", self.kept.ravel().astype(np.uint8), 1, signed=False, shape=self.kept.shape)
        symbols = Leaf("symbols", self.bits[self.mask].astype(np.uint8), 1, signed=False)
        return packs, symbols, scale_leaf(self.scale)

    def meta(self) -> dict[str, Any]:
        found = {"shape": list(self.shape), "width": self.width, "scales": int(self.scale.size)}
        return found if is_bfloat16(self.scale) else {**found, "float32_scales": True}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> BinaryPacks:
        shape, scales, width = shape_of(meta), meta.get("scales"), meta.get("width")
        if type(scales) is not int or len(shape) < 2 or scales not in (1, shape[0]):
            raise BadFile("packs", f"{scales!r} scales for shape {list(shape)}", "1 or one a channel")
        if type(width) is not int or not 1 <= width <= WORD_BITS:
            raise BadFile("packs", f"packs of {width!r} weights", f"1 to {WORD_BITS}")
        kept = _bits(leaves, "packs", packs_of(shape, width)).reshape(*shape[:-1], -1)
        if len(set(kept.reshape(shape[0], -1).sum(axis=1).tolist())) != 1:
            raise BadFile("packs", "outputs with different numbers of packs", "all keep equally many")
        mask = spread_over(kept, width, shape[-1])
        bits = np.zeros(shape, dtype=bool)
        bits[mask] = _bits(leaves, "symbols", int(mask.sum()))
        scale = scales_of(leaves, scales, "packs", meta.get("float32_scales") is True)
        return cls(kept, bits, scale, width)

    def twin(self) -> Twin:
        from smidgen.formats.bit_twins import PacksTwin

        return PacksTwin(self)

    def _values(self) -> npt.NDArray[np.int8]:
        return np.where(self.mask, np.where(self.bits, np.int8(1), np.int8(-1)), np.int8(0))


def kept_count(count: int, sparsity: float) -> int:
    """How many of `count` stay: the share 1 - `sparsity`, rounded half up, one at least."""
    return max(1, math.floor((1 - sparsity) * count + 0.5 + 1e-9))


def packs_of(shape: tuple[int, ...], width: int) -> int:
    """Packs of `width` in a weight of that shape."""
    return math.prod(shape[:-1]) * -(-shape[-1] // width)


def spread_over(kept: Mask, width: int, inputs: int) -> Mask:
    """Which of the weights lie in kept packs: [..., packs] -> [..., inputs]."""
    return np.repeat(kept, width, axis=-1)[..., :inputs]


def largest_packs(latent: FloatArray32, count: int, width: int) -> Mask:
    """The `count` packs of largest sum |w| of each output, of equals the first: bool [O, ..., packs]."""
    *outer, inputs = latent.shape
    sizes = np.abs(latent.astype(np.float64))
    whole = np.pad(sizes, [(0, 0)] * len(outer) + [(0, -inputs % width)])
    sums = whole.reshape(*outer, -1, width).sum(axis=-1)
    return largest(sums.reshape(outer[0], -1), count).reshape(sums.shape)


def largest(rows: FloatArray, count: int) -> Mask:
    """The `count` largest numbers of each row, of equals the first: bool [R, C]."""
    least = np.partition(rows, rows.shape[1] - count, axis=1)[:, rows.shape[1] - count, None]
    above, equal = rows > least, rows == least
    missing = count - above.sum(axis=1, keepdims=True)
    kept: Mask = above | (equal & (equal.cumsum(axis=1) <= missing))
    return kept


def signs_in(
    latent: FloatArray32,
    kept: Mask,
    width: int,
    rows: int,
    given: FloatArray32 | None = None,
    open_share: float = 0.0,
) -> BinaryPacks:
    """The signs of `latent` in the packs that are kept, and their mean size in each of `rows` rows.

    The scales `given` stand in for the mean sizes.
    """
    mask = spread_over(kept, width, latent.shape[-1])
    sizes: FloatArray = np.where(mask, np.abs(latent.astype(np.float64)), 0.0).reshape(rows, -1).sum(axis=1)
    means = sizes / np.maximum(mask.reshape(rows, -1).sum(axis=1), 1)
    scale = floored(means) if given is None else given
    return BinaryPacks(kept, (latent >= 0) & mask, scale, width, latent, open_share)


def _bits(leaves: Mapping[str, Array], name: str, size: int) -> Mask:
    symbols = leaf_of(leaves, name, size)
    if symbols.size and (symbols.min() < 0 or symbols.max() > 1):
        raise BadFile("packs", f"symbol {symbols.max()} in {name}", "a bit is 0 or 1")
    return symbols.astype(bool)
