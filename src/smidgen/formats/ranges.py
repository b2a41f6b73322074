"""Choosing the range that a quantizer covers: min-max, percentile, or least squared error.

Rows are independent ([channels, n] -> a range per channel); the same rules serve activations, which
come as one row of samples.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

RangeRule = Literal["minmax", "percentile", "mse"]
PERCENTILE = 99.9
MSE_CANDIDATES = np.linspace(0.3, 1.0, 29)


def row_ranges(
    values: npt.NDArray[np.float32], bits: int, symmetric: bool, rule: RangeRule = "minmax"
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """(lo [channels], hi [channels]) with lo <= 0 <= hi; symmetric ranges have lo = -hi."""
    rows = np.asarray(values, dtype=np.float64)
    lo = hi = np.zeros(rows.shape[0])
    if rows.shape[1] == 0:
        return lo, hi
    if rule == "percentile":
        lo = np.percentile(rows, 100 - PERCENTILE, axis=1)
        hi = np.percentile(rows, PERCENTILE, axis=1)
    else:
        lo, hi = rows.min(axis=1), rows.max(axis=1)
    lo, hi = np.minimum(lo, 0.0), np.maximum(hi, 0.0)
    if symmetric:
        hi = np.maximum(-lo, hi)
        lo = -hi
    return _least_squares(rows, lo, hi, bits, symmetric) if rule == "mse" else (lo, hi)


def _least_squares(
    rows: npt.NDArray[np.float64],
    lo: npt.NDArray[np.float64],
    hi: npt.NDArray[np.float64],
    bits: int,
    symmetric: bool,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Shrink each row's range by the candidate factor with the least squared quantization error."""
    levels = (1 << bits) - (2 if symmetric else 1)
    best_error = np.full(rows.shape[0], np.inf)
    best = np.ones(rows.shape[0])
    for shrink in MSE_CANDIDATES:
        low, high = (lo * shrink)[:, None], (hi * shrink)[:, None]
        step = np.maximum((high - low) / levels, 1e-12)
        rounded = np.clip(np.floor(rows / step + 0.5), np.round(low / step), np.round(high / step)) * step
        error = np.square(rounded - rows).sum(axis=1)
        better = error < best_error
        best_error[better], best[better] = error[better], shrink
    return lo * best, hi * best
