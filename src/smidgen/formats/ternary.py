"""Ternary weights: -scale, 0 or scale, one scale a channel or tensor; 2 bits packed, fewer when coded.

Ref: Li, Zhang, Liu 2016 (arXiv 1605.04711), section 2.2: weights below 0.7 of the mean size become 0, and the
mean size of the others is the scale.
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
from smidgen.formats.scaled import ScaledValues
from smidgen.formats.scales import floored, is_bfloat16, scale_leaf, scales_of
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

FloatArray32 = npt.NDArray[np.float32]
THRESHOLD = 0.7  # of the mean |w|


@dataclass(frozen=True, eq=False)
class Ternary(ScaledValues, Format):
    """Weights of three values.

    Attributes:
        symbols: int8 of -1, 0 and 1, the weight's shape.
        scale: float32 [1] or [O], positive; bfloat16 values until a BatchNorm is folded into them.
        float_latent: float weights that training continues from; never stored.
        learned: training moves the scales by their gradient instead of taking mean sizes; never stored.
    """

    symbols: npt.NDArray[np.int8]
    scale: FloatArray32
    float_latent: FloatArray32 | None = None
    learned: bool = False

    @staticmethod
    def fit(weight: FloatArray32, granularity: Literal["tensor", "channel"] = "channel") -> Ternary:
        """`weight` ([O, ...]) with a threshold and a scale for each channel, or for all of it."""
        return ternarized(weight, 1 if granularity == "tensor" else weight.shape[0])

    @property
    def shape(self) -> tuple[int, ...]:
        return self.symbols.shape

    def scaled(self, factor: FloatArray32) -> Ternary:
        """The weights times `factor` [O], none of it 0: signs change with it."""
        signs = np.sign(factor).astype(np.int8).reshape(-1, *(1,) * (len(self.shape) - 1))
        return Ternary(self.symbols * signs, self._scaled_sizes(factor), learned=self.learned)

    def leaves(self) -> tuple[Leaf, ...]:
        symbols = Leaf("symbols", self.symbols.ravel(), 2, signed=True, shape=self.shape)
        return (symbols, scale_leaf(self.scale))

    def meta(self) -> dict[str, Any]:
        found = {"shape": list(self.shape), "scales": int(self.scale.size)}
        return found if is_bfloat16(self.scale) else {**found, "float32_scales": True}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Ternary:
        shape, scales = shape_of(meta), meta.get("scales")
        if type(scales) is not int or not shape or scales not in (1, shape[0]):
            raise BadFile("ternary", f"{scales!r} scales for shape {list(shape)}", "1 or one a channel")
        symbols = leaf_of(leaves, "symbols", math.prod(shape))
        if symbols.size and (symbols.min() < -1 or symbols.max() > 1):
            raise BadFile("ternary", "a symbol beyond -1, 0 and 1")
        scale = scales_of(leaves, scales, "ternary", meta.get("float32_scales") is True)
        return cls(symbols.astype(np.int8).reshape(shape), scale)

    def twin(self) -> Twin:
        from smidgen.formats.bit_twins import LearnedTernaryTwin, TernaryTwin

        return LearnedTernaryTwin(self) if self.learned else TernaryTwin(self)

    def _values(self) -> npt.NDArray[np.int8]:
        return self.symbols


def ternarized(weight: FloatArray32, rows: int, given: FloatArray32 | None = None) -> Ternary:
    """`weight`, which becomes the latent, in `rows` rows of one threshold and scale each.

    The scales `given` stand in for the mean sizes.
    """
    latent = np.asarray(weight, dtype=np.float32)
    split = latent.reshape(rows, -1).astype(np.float64)
    sizes = np.abs(split)
    mean = sizes.mean(axis=1, keepdims=True) if split.size else np.zeros((rows, 1))
    kept = sizes > THRESHOLD * mean
    scale = (sizes * kept).sum(axis=1) / np.maximum(kept.sum(axis=1), 1)
    symbols = (np.sign(split) * kept).astype(np.int8).reshape(latent.shape)
    return Ternary(symbols, floored(scale) if given is None else given, latent)
