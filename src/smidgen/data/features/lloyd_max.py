"""Values of few bits: the quantizer of the least squared error, and its indices as signs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.formats.codebook import cluster, nearest

ROUNDS = 100
Floats = npt.NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class LloydMax:
    """`levels`: of each feature, ascending, at most 2^bits (fewer where values are few or levels stay empty).

    Ref: Max 1960 (IRE Trans. IT-6); Lloyd 1982 (IEEE Trans. IT-28), method I.
    """

    levels: tuple[npt.NDArray[np.float64], ...]
    bits: int

    @staticmethod
    def fit(values: Floats, bits: int) -> LloydMax:
        """For the columns of `values` [n, features], each by itself; `bits` 1..8."""
        return LloydMax(tuple(cluster(column, 1 << bits, ROUNDS) for column in values.T), bits)

    def __call__(self, values: Floats) -> npt.NDArray[np.uint8]:
        """Indices [..., features] of the nearest levels of values [..., features]."""
        found = [nearest(values[..., i], levels) for i, levels in enumerate(self.levels)]
        return np.stack(found, axis=-1)

    def signs(self, values: Floats) -> Floats:
        """The bits of the indices, most significant first, 1 as +1 and 0 as -1: [..., features * bits]."""
        bits = np.unpackbits(self(values)[..., None], axis=-1)[..., -self.bits :]
        return (bits.reshape(*values.shape[:-1], -1) * np.float32(2) - 1).astype(np.float32)
