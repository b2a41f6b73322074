"""Shared weights: each is one of at most 2^bits int8 centroids times the tensor's scale.

    real = centroids[index] * scale

Integer kernels multiply with the centroids themselves, so sharing costs no precision that int8 has.

Ref: Han, Mao, Dally 2016 (arXiv 1510.00149), section 3: k-means from a linear start, trained centroids.
There the centroids are floats; here they lie on an int8 grid, so that a network of them runs in integers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Format, IntegerWeights, Leaf
from smidgen.formats.dense import leaf_of, shape_of
from smidgen.formats.scales import scale_leaf, scales_of
from smidgen.numerics import Array, FloatArray, IntArray, bfloat16_up, round_half_up

if TYPE_CHECKING:
    from smidgen.formats.twins import Twin

FloatArray32 = npt.NDArray[np.float32]
INT8_MAX = 127
SMALLEST_SCALE = 2.0**-20


@dataclass(frozen=True, eq=False)
class Codebook(Format):
    """Weights as indices into centroids.

    Attributes:
        indices: uint8, the weight's shape, each below the number of centroids.
        centroids: int8 [k] within -127..127, 1 <= k <= 256, strictly ascending.
        scale: float32 [1], a positive bfloat16 value.
        float_centroids: float32 [k], unrounded centroids that training continues from; never stored.
    """

    indices: npt.NDArray[np.uint8]
    centroids: npt.NDArray[np.int8]
    scale: FloatArray32
    float_centroids: FloatArray32 | None = None

    @staticmethod
    def fit(
        weight: FloatArray32, bits: int, iterations: int = 50, members: npt.NDArray[np.bool_] | None = None
    ) -> Codebook:
        """Cluster the weights where `members` is true (all by default) into at most 2^bits, 1 <= bits <= 8.

        Weights that are no members (pruned ones, which a `Sparse` around the result hides) have no say in
        the centroids. Clusters that end empty, or on the same int8 value, take no room in the codebook.

        Raises:
            ValueError: `bits` is out of range.
        """
        if not 1 <= bits <= 8:
            raise ValueError(f"a codebook takes 1 to 8 bits, not {bits}")
        weight = np.asarray(weight, dtype=np.float32)
        means = cluster(weight if members is None else weight[members], 1 << bits, iterations)
        scale = scale_for(means.astype(np.float32), np.array([SMALLEST_SCALE], np.float32))
        return snapped(nearest(weight, means), means.astype(np.float32), scale)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.indices.shape

    @property
    def bits(self) -> int:
        """Bits of one index, 1..8: as few as the number of centroids needs."""
        return max((self.centroids.size - 1).bit_length(), 1)

    @property
    def latent(self) -> FloatArray32:
        return self.latent_centroids[self.indices]

    @property
    def latent_centroids(self) -> FloatArray32:
        """float32 [k]: unrounded centroids where known, else the stored ones."""
        return self._real_centroids if self.float_centroids is None else self.float_centroids

    @property
    def label(self) -> str:
        return f"codebook{self.bits}"

    def decode(self) -> FloatArray32:
        return self._real_centroids[self.indices]

    def integers(self) -> IntegerWeights:
        return IntegerWeights(self.centroids[self.indices], self.scale)

    def leaves(self) -> tuple[Leaf, ...]:
        return (
            Leaf("symbols", self.indices.ravel(), self.bits, signed=False, shape=self.shape),
            Leaf("centroids", self.centroids, 8, signed=True),
            scale_leaf(self.scale),
        )

    def meta(self) -> dict[str, Any]:
        return {"shape": list(self.shape), "entries": int(self.centroids.size)}

    @classmethod
    def from_leaves(cls, meta: Mapping[str, Any], leaves: Mapping[str, Array]) -> Codebook:
        shape, entries = shape_of(meta), meta.get("entries")
        if type(entries) is not int or not 1 <= entries <= 256:
            raise BadFile("codebook", f"{entries!r} entries", "1 to 256 are possible")
        symbols = leaf_of(leaves, "symbols", math.prod(shape))
        if symbols.size and (symbols.min() < 0 or symbols.max() >= entries):
            raise BadFile("codebook", f"index {symbols.max()}", f"the codebook has {entries} entries")
        centroids = leaf_of(leaves, "centroids", entries).astype(np.int64)
        if np.any(np.diff(centroids) <= 0) or np.abs(centroids).max() > INT8_MAX:
            raise BadFile("codebook", "centroids that do not ascend within -127..127")
        scale = scales_of(leaves, 1, "codebook")
        return cls(symbols.astype(np.uint8).reshape(shape), centroids.astype(np.int8), scale)

    def twin(self) -> Twin:
        from smidgen.formats.twins import CodebookTwin

        return CodebookTwin(self)

    @property
    def _real_centroids(self) -> FloatArray32:
        return self.centroids.astype(np.float32) * self.scale


def snapped(indices: npt.NDArray[np.uint8], latent: FloatArray32, scale: FloatArray32) -> Codebook:
    """Centroids `latent` [k] on the int8 grid of `scale` [1]; those that meet there become one."""
    q = np.clip(round_half_up(latent.astype(np.float64) / scale), -INT8_MAX, INT8_MAX).astype(np.int8)
    centroids, first, place = np.unique(q, return_index=True, return_inverse=True)
    return Codebook(place.astype(np.uint8).ravel()[indices], centroids, scale, latent[first])


def scale_for(latent: FloatArray32, scale: FloatArray32) -> FloatArray32:
    """`scale` [1], or the next larger one whose int8 grid reaches all of `latent`."""
    largest = np.abs(latent).max(initial=np.float32(0)).astype(np.float32)
    reached = largest <= np.float32(INT8_MAX) * scale[0]
    return scale if reached else bfloat16_up(np.array([largest / np.float32(INT8_MAX)], np.float32))


def nearest(values: FloatArray32, centers: FloatArray) -> npt.NDArray[np.uint8]:
    """The index of the nearest of at most 256 ascending `centers`; the upper one in the middle."""
    found: IntArray = np.searchsorted(_middles(centers), values.astype(np.float64), side="right")
    return found.astype(np.uint8)


def cluster(values: FloatArray32, count: int, iterations: int) -> FloatArray:
    """One-dimensional k-means (Lloyd): ascending float64 centers, each with members, at most `count`.

    Starts with `count` centers evenly over [min, max], which keeps the few large weights represented, and
    stops when nothing moves. Values that are few enough are their own centers; no values give [0].
    No chance is involved. A round costs O(count log n): sorted values have their clusters as runs.
    """
    ordered = np.sort(np.asarray(values, dtype=np.float64).ravel())
    distinct = np.unique(ordered)
    if distinct.size <= count:
        return distinct if distinct.size else np.zeros(1)
    sums = np.concatenate([[0.0], np.cumsum(ordered)])
    centers = np.linspace(ordered[0], ordered[-1], count)
    for _ in range(iterations):
        bounds = _bounds(ordered, centers)
        sizes = np.diff(bounds)
        means = np.divide(np.diff(sums[bounds]), sizes, out=centers.copy(), where=sizes > 0)
        if np.array_equal(means, centers):
            break
        centers = means
    return centers[np.diff(_bounds(ordered, centers)) > 0]


def _bounds(ordered: FloatArray, centers: FloatArray) -> IntArray:
    """Where the run of each center begins and ends in the sorted values: [count + 1]."""
    inner = np.searchsorted(ordered, _middles(centers), side="left")
    return np.concatenate([[0], inner, [ordered.size]]).astype(np.int64)


def _middles(centers: FloatArray) -> FloatArray:
    middles: FloatArray = (centers[:-1] + centers[1:]) / 2
    return middles
