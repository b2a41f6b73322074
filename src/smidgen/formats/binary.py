"""Binary weights: real = (2 bit - 1) * scale, 1 bit a weight, one scale a channel or tensor.

Ref: Rastegari et al. 2016 (arXiv 1603.05279), section 3.1: the signs, and the mean size as their scale, are
the best approximation of this kind in the least-squares sense.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, Leaf
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.formats.scaled import ScaledValues
from smidgen.formats.scales import are_powers, floored, floored_powers, is_bfloat16, scale_leaf, scales_of
from smidgen.numerics import Array, FloatArray

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

FloatArray32 = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Binary(ScaledValues, Format):
    """Weights that are `scale` or `-scale`.

    Attributes:
        bits: bool, the weight's shape; true stands for +1.
        scale: float32 [1] or [O], positive; bfloat16 values until a BatchNorm is folded into them.
        float_latent: float weights that training continues from; never stored.
        powers: scales are powers of two, and those that follow from a latent stay so in training.
    """

    bits: npt.NDArray[np.bool_]
    scale: FloatArray32
    float_latent: FloatArray32 | None = None
    powers: bool = False

    @staticmethod
    def fit(weight: FloatArray32, granularity: Literal["tensor", "channel"] = "channel") -> Binary:
        """The signs of `weight` ([O, ...]), with sign(0) = +1, and its mean size, a channel or as a whole."""
        return signs_of(weight, mean_sizes(_rows(weight, granularity)))

    @staticmethod
    def fit_powers(weight: FloatArray32, granularity: Literal["tensor", "channel"] = "channel") -> Binary:
        """The same with scales AP2(mean |w|), the nearest powers of two. Ref: Fromm et al. 2020 (Riptide)."""
        return powers_of(weight, power_sizes(_rows(weight, granularity)))

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape

    def scaled(self, factor: FloatArray32) -> Binary:
        """The weights times `factor` [O], none of it 0: signs change with it."""
        down = (factor < 0).reshape(-1, *(1,) * (len(self.shape) - 1))
        return Binary(self.bits ^ down, self._scaled_sizes(factor), powers=self.powers and are_powers(factor))

    def leaves(self) -> tuple[Leaf, ...]:
        symbols = self.bits.ravel().astype(np.uint8)
        return (Leaf("symbols", symbols, 1, signed=False, shape=self.shape), scale_leaf(self.scale))

    def meta(self) -> dict[str, Any]:
        found = {"shape": list(self.shape), "scales": int(self.scale.size)}
        found |= {"powers": True} if self.powers else {}
        return found if is_bfloat16(self.scale) else {**found, "float32_scales": True}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Binary:
        shape, scales = shape_of(meta), meta.get("scales")
        if type(scales) is not int or not shape or scales not in (1, shape[0]):
            raise BadFile("binary", f"{scales!r} scales for shape {list(shape)}", "1 or one a channel")
        symbols = leaf_of(leaves, "symbols", math.prod(shape))
        if symbols.size and (symbols.min() < 0 or symbols.max() > 1):
            raise BadFile("binary", f"symbol {symbols.max()}", "a bit is 0 or 1")
        scale = scales_of(leaves, scales, "binary", meta.get("float32_scales") is True)
        powers = meta.get("powers") is True
        if powers and not are_powers(scale):
            raise BadFile("binary", "a scale that is no power of two", "its description says that all are")
        return cls(symbols.astype(bool).reshape(shape), scale, powers=powers)

    def twin(self) -> Twin:
        from smidgen.formats.bit_twins import BinaryTwin, PowerTwin

        return PowerTwin(self) if self.powers else BinaryTwin(self)

    def _values(self) -> npt.NDArray[np.int8]:
        return np.where(self.bits, np.int8(1), np.int8(-1))


def _rows(weight: FloatArray32, granularity: Literal["tensor", "channel"]) -> FloatArray32:
    return weight.reshape(1 if granularity == "tensor" else weight.shape[0], -1)


def mean_sizes(rows: FloatArray32) -> FloatArray32:
    """The mean |w| of each row, as a stored scale: float32 [rows]."""
    return floored(_means(rows))


def power_sizes(rows: FloatArray32) -> FloatArray32:
    """The power of two nearest to the mean |w| of each row: float32 [rows]."""
    return floored_powers(_means(rows))


def _means(rows: FloatArray32) -> FloatArray:
    return np.abs(rows.astype(np.float64)).mean(axis=1) if rows.size else np.zeros(len(rows))


def powers_of(weight: FloatArray32, scale: FloatArray32) -> Binary:
    """`signs_of` with scales that are powers of two."""
    return replace(signs_of(weight, scale), powers=True)


def signs_of(weight: FloatArray32, scale: FloatArray32) -> Binary:
    """`weight` with the scales given; it becomes the latent."""
    weight = np.asarray(weight, dtype=np.float32)
    return Binary(weight >= 0, scale, weight)
