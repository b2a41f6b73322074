"""Signal against noise: how far a tensor is from the one that it should be, channel by channel, streaming."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.numerics import Array

Vector = npt.NDArray[np.float64]
RESCALED_GAIN_DB = 10.0  # one factor a channel explains the error if it takes so much of it away
RESCALED_SPREAD = 1.05  # and if it is a factor that an equalization would choose, not a rounding


def decibels(signal: float, noise: float) -> float:
    """10 log10(signal / noise); infinite without noise, NaN where both are 0."""
    if noise == 0.0:
        return math.inf if signal > 0.0 else math.nan
    return 10 * math.log10(signal / noise) if signal > 0.0 else -math.inf


@dataclass
class Signal:
    """Running sums of each channel (last axis) over batches of a wanted `a` [n, ..., C] and a found `b`.

    Memory is four numbers a channel, whatever the number of samples.
    """

    power: Vector = field(default_factory=lambda: np.zeros(0))
    noise: Vector = field(default_factory=lambda: np.zeros(0))
    product: Vector = field(default_factory=lambda: np.zeros(0))
    found: Vector = field(default_factory=lambda: np.zeros(0))
    largest_error: float = 0.0

    def update(self, a: Array, b: Array) -> None:
        """Add a batch; both real, of one shape."""
        rows = (-1, a.shape[-1] if a.ndim > 1 else 1)
        wanted, made = a.reshape(rows).astype(np.float64), b.reshape(rows).astype(np.float64)
        error = made - wanted
        sums = ((wanted, wanted), (error, error), (wanted, made), (made, made))
        totals = [np.einsum("nc,nc->c", x, y) for x, y in sums]
        if self.power.size:
            old = (self.power, self.noise, self.product, self.found)
            totals = [total + before for total, before in zip(totals, old, strict=True)]
        self.power, self.noise, self.product, self.found = totals
        self.largest_error = max(self.largest_error, float(np.abs(error).max(initial=0.0)))

    @property
    def sqnr_db(self) -> float:
        """Signal to (quantization) noise ratio: 10 log10(sum a^2 / sum (b - a)^2)."""
        return decibels(float(self.power.sum()), float(self.noise.sum()))

    @property
    def worst_channel(self) -> int:
        """The channel that adds most noise."""
        return int(self.noise.argmax()) if self.noise.size else 0

    @property
    def gains(self) -> Vector:
        """The factor a channel with the least error of b - gain * a; 1 where nothing is known."""
        live = (self.power > 0) & (self.product > 0)
        return np.divide(self.product, self.power, out=np.ones_like(self.power), where=live)

    @property
    def rescaled(self) -> bool:
        """Whether `b` is `a` with its channels scaled, as an equalization does, plus noise."""
        gains = self.gains
        if not gains.size or max(float(gains.max()), 1 / float(gains.min())) < RESCALED_SPREAD:
            return False
        return self.unscaled_db > self.sqnr_db + RESCALED_GAIN_DB

    @property
    def unscaled_db(self) -> float:
        """The ratio for `gain * a` in the place of `a`."""
        rest = float((self.found - self.gains * self.product).clip(0.0).sum())
        return decibels(float(self.found.sum()), rest)
