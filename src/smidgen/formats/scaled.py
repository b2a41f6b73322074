"""What weights of few values with a scale have in common, whatever holds their values."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
import numpy.typing as npt

from smidgen.formats.base import IntegerWeights

FloatArray32 = npt.NDArray[np.float32]


class ScaledValues(ABC):
    """Part of a format, real = value * scale: `scale` is float32 [1] or [O]; a latent is never stored."""

    scale: FloatArray32
    float_latent: FloatArray32 | None

    @property
    @abstractmethod
    def shape(self) -> tuple[int, ...]: ...

    @property
    def latent(self) -> FloatArray32:
        return self.decode() if self.float_latent is None else self.float_latent

    def decode(self) -> FloatArray32:
        rows = self._values().reshape(self.scale.size, -1) * self.scale[:, None]
        return rows.astype(np.float32).reshape(self.shape)

    def integers(self) -> IntegerWeights:
        return IntegerWeights(self._values(), self.scale)

    def _scaled_sizes(self, factor: FloatArray32) -> FloatArray32:
        """The scales times |`factor`| [O]."""
        sizes: FloatArray32 = (np.abs(factor.astype(np.float64)) * self.scale).astype(np.float32)
        return sizes

    @abstractmethod
    def _values(self) -> npt.NDArray[np.int8]:
        """-1, 0 or 1, of the weight's shape."""
