"""Low-rank weights: two factors that mean their factored execution, not the dense weight they multiply to.

A layer y = W x with W = left right computes left (right x): a layer to `rank` values, then one to the
outputs, with an activation between that has a grid of its own once the network is quantized. A convolution's
weight [O, kH, kW, I] folds to [O, kH kW I]: a kH x kW convolution to `rank` channels, then a 1 x 1
convolution. `graph/structured.py` spells this out in primitive nodes.
Ref: Zhang et al. 2016 (arXiv 1505.06798), section 3.1.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, Leaf, from_parts, to_parts
from smidgen.formats.dense import shape_of
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

FACTORS = ("left", "right")


@dataclass(frozen=True, eq=False)
class LowRank(Format):
    """`left` [O, 1, …, rank] times `right` [rank, …, I]: two formats with the weight's number of axes.

    Raises:
        ValueError: the shapes do not multiply, or a factor is low-rank itself.
    """

    left: Format
    right: Format

    def __post_init__(self) -> None:
        left, right = self.left.shape, self.right.shape
        if len(left) < 2 or left[1:] != (*(1,) * (len(right) - 2), *right[:1]):
            raise ValueError(f"factors of shape {list(left)} and {list(right)} do not multiply")
        if isinstance(self.left, LowRank) or isinstance(self.right, LowRank):
            raise ValueError("a factor is low-rank itself")

    @property
    def rank(self) -> int:
        return self.right.shape[0]

    @property
    def shape(self) -> tuple[int, ...]:
        return (self.left.shape[0], *self.right.shape[1:])

    @property
    def latent(self) -> npt.NDArray[np.float32]:
        return self._product(self.left.latent, self.right.latent)

    @property
    def label(self) -> str:
        parts = dict.fromkeys((self.left.label, self.right.label))
        return f"low_rank{self.rank}({', '.join(parts)})"

    def decode(self) -> npt.NDArray[np.float32]:
        """The product, multiplied in float64: what layers mean up to float rounding, for looking at."""
        return self._product(self.left.decode(), self.right.decode())

    def _product(
        self, left: npt.NDArray[np.float32], right: npt.NDArray[np.float32]
    ) -> npt.NDArray[np.float32]:
        rows, columns = left.reshape(-1, self.rank), right.reshape(self.rank, -1)
        product = rows.astype(np.float64) @ columns.astype(np.float64)
        return product.astype(np.float32).reshape(self.shape)

    def leaves(self) -> tuple[Leaf, ...]:
        return tuple(
            replace(leaf, name=f"{factor}/{leaf.name}")
            for factor in FACTORS
            for leaf in getattr(self, factor).leaves()
        )

    def meta(self) -> dict[str, Any]:
        factors = {factor: to_parts(getattr(self, factor))[0] for factor in FACTORS}
        return {"shape": list(self.shape), **factors}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> LowRank:
        left, right = (_factor(meta.get(name), name, leaves) for name in FACTORS)
        try:
            found = cls(left, right)
        except ValueError as problem:
            raise BadFile("low_rank", str(problem)) from problem
        # The declared shape is what a reader's memory was reserved for.
        if found.shape != shape_of(meta):
            raise BadFile("low_rank", f"shape {meta['shape']}", f"the factors make {list(found.shape)}")
        return found

    def twin(self) -> Twin:
        from smidgen.formats.twins import LowRankTwin

        return LowRankTwin(self)

    def map_dense(self, change: Callable[[npt.NDArray[np.float32]], Format]) -> Format:
        """A copy in which each factor's float tensor is replaced."""
        return replace(self, left=self.left.map_dense(change), right=self.right.map_dense(change))


def break_even_rank(shape: tuple[int, ...]) -> int:
    """The largest rank whose two factors hold fewer weights than the whole [O, …, I]; 0 if none does."""
    inputs = math.prod(shape[1:])
    return max((shape[0] * inputs - 1) // max(shape[0] + inputs, 1), 0)


def _factor(meta: Any, name: str, leaves: Mapping[str, Array]) -> Format:
    if not isinstance(meta, dict) or meta.get("format") == LowRank.__name__:
        raise BadFile("low_rank", f"the {name} factor is missing, or low-rank itself")
    prefix = f"{name}/"
    own = {leaf[len(prefix) :]: array for leaf, array in leaves.items() if leaf.startswith(prefix)}
    return from_parts(meta, own)
