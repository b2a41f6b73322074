"""Sums of which only signs are taken: their integers keep every sign."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from smidgen.formats import Grid
from smidgen.numerics import FloatArray, IntArray, round_half_up

if TYPE_CHECKING:
    from smidgen.lower.rules import Lowering

LARGEST_RATIO = 2.0**14  # of steps: what requantization multiplies by is below 2^15
# sum + bias >= 0 for whole sums is sum + floor(bias) >= 0; sum + bias > 0 is sum + ceil(bias) > 0.
ROUNDING: Mapping[str, Callable[[FloatArray], FloatArray]] = {"binarize": np.floor, "step": np.ceil}


def whole_bias(low: Lowering, out: str, bias: FloatArray, step: FloatArray) -> FloatArray | IntArray:
    """The bias [O] of the layer that makes `out`, in whole steps [O] of its sums: rounded half up.

    If only signs of `out` are taken, by one kind of operator, `out` gets the grid of the smallest step, on
    which none but 0 becomes 0, and the bias is rounded to the side that changes no sign.
    """
    asked = {reader.op for reader in low.source.consumers(out)}
    signs = len(asked) == 1 and asked <= ROUNDING.keys() and out not in low.source.outputs
    if not signs or step.max() >= step.min() * LARGEST_RATIO:
        return round_half_up(bias / step)
    grid = Grid(float(step.min()), 0)
    low.source = low.source.with_values({out: replace(low.source.values[out], grid=grid)})
    low.values[out] = replace(low.values[out], grid=grid, dtype=grid.dtype)
    return ROUNDING[asked.pop()](bias / step)
