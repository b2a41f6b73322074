"""Overwriting: what few-bit lanes hold when large values may borrow the bits of zeros beside them.

A code v in 0..255 counts fine steps, 2^fraction of them a step of a lane. A lane of `bits` bits holds
q = (v + half a step) >> fraction, at most M = 2^bits - 1. Lanes are channels in their order, in tiles of
`tile`; they are read from the left, and a zero (q = 0) serves one neighbour:

- q > M, and a zero at most `reach` lanes to the right: that value keeps 2 * bits bits, the lanes between the
  two move one to the right and free the next one for the upper half (Zhao et al.: range overwrite, cascaded).
- q <= M, v between two steps, and a zero in the next lane: it holds the fraction (precision overwrite).
- else the lane holds min(q, M). So do lanes that moved, whose PE has no second weight to choose.

Bytes carry the result: a value beyond 255 >> fraction steps becomes that many.

Ref: Zhao, Dotzel et al. 2019 (arXiv 1910.06909), section 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smidgen.formats import Grid
from smidgen.numerics import IntArray

TOP_CODE = 255
CODE_BITS = 8


@dataclass(frozen=True)
class Overwrite:
    """Raises ValueError unless bits is 2..7, fraction 0..min(bits, 8 - bits), reach >= 0, tile >= 1."""

    bits: int
    fraction: int
    reach: int
    tile: int

    def __post_init__(self) -> None:
        if any(type(number) is not int for number in (self.bits, self.fraction, self.reach, self.tile)):
            raise ValueError("bits, fraction, reach and tile are whole numbers")
        if not 2 <= self.bits <= 7:
            raise ValueError(f"lanes of {self.bits} bits: 2 to 7 are possible")
        if not 0 <= self.fraction <= min(self.bits, CODE_BITS - self.bits):
            raise ValueError(f"{self.fraction} bits of fraction do not fit a lane and a byte")
        if self.reach < 0 or self.tile < 1:
            raise ValueError(f"reach {self.reach} and tile {self.tile}: at least 0 and 1")

    @staticmethod
    def of(attrs: Mapping[str, Any]) -> Overwrite:
        """The rule of an `overwrite` node."""
        return Overwrite(attrs["bits"], attrs["fraction"], attrs["reach"], attrs["tile"])

    @property
    def most(self) -> int:
        """The largest lane value."""
        return (1 << self.bits) - 1

    @property
    def half(self) -> int:
        """Half a step of a lane, in fine steps."""
        return (1 << self.fraction) >> 1

    @property
    def top(self) -> int:
        """The largest value that two lanes hold and a byte carries, in steps of a lane."""
        return min((1 << 2 * self.bits) - 1, TOP_CODE >> self.fraction)

    def steps(self, codes: IntArray) -> IntArray:
        """Codes rounded to steps of a lane."""
        return (codes + self.half) >> self.fraction

    def within(self, channels: int, distance: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Which of the lanes [C] have a lane `distance` to their right in their tile."""
        lanes = np.arange(channels)
        return (lanes % self.tile + distance < self.tile) & (lanes + distance < channels)


def code_grid(attrs: Mapping[str, Any]) -> Grid:
    """The grid of an `overwrite` node's input and output: codes 0..255 from real 0 on."""
    return Grid(attrs["scale"], -(1 << (CODE_BITS - 1)), CODE_BITS)


def overwritten(codes: IntArray, rule: Overwrite) -> IntArray:
    """What lanes [..., C] hold, in fine steps: codes 0..255 of the values that a dot product sees."""
    plain = np.minimum(rule.steps(codes), rule.most) << rule.fraction
    value, borrowed = borrowers(codes, rule)
    found, busy = plain.copy(), np.zeros(codes.shape[:-1], np.int64)
    for lane in range(codes.shape[-1]):
        takes = np.where(busy == 0, borrowed[..., lane], 0)
        found[..., lane] = np.where(takes > 0, value[..., lane], plain[..., lane])
        busy = np.maximum(busy - 1, takes)
    return found


def borrowers(codes: IntArray, rule: Overwrite) -> tuple[IntArray, IntArray]:
    """(value, how many lanes to the right its zero is; 0 if none) of lanes [..., C], if they are free."""
    q = rule.steps(codes)
    outlier = q > rule.most
    value = np.where(outlier, np.minimum(q, rule.top) << rule.fraction, codes)
    fraction = (codes != q << rule.fraction) & ~outlier
    return value, np.where(outlier, _zero_within(q, rule, rule.reach), fraction * _zero_within(q, rule, 1))


def _zero_within(q: IntArray, rule: Overwrite, reach: int) -> IntArray:
    """The distance of the nearest zero to the right in the same tile, at most `reach`; 0 if there is none."""
    channels, found = q.shape[-1], np.zeros(q.shape, np.int64)
    for distance in range(min(reach, rule.tile - 1, channels - 1), 0, -1):
        is_zero = (np.roll(q, -distance, axis=-1) == 0) & rule.within(channels, distance)
        found[is_zero] = distance
    return found
