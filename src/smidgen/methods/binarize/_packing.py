"""Orders of columns in which whole packs of a row are nearly empty or nearly full.

Ref: Romaszkan, Li, Gupta 2020 (3PXNet, ACM TECS 19(1)), the greedy permutation.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from smidgen.numerics import Array

Mask = npt.NDArray[np.bool_]


def largest_weights(rows: Array, sparsity: float) -> Mask:
    """The largest |w| of each row [R, C], of equals the first: 1 - `sparsity` of them, one at least."""
    count = max(1, math.floor((1 - sparsity) * rows.shape[1] + 0.5 + 1e-9))
    kept = np.zeros(rows.shape, dtype=bool)
    first = np.argsort(-np.abs(rows), axis=1, kind="stable")[:, :count]
    np.put_along_axis(kept, first, True, axis=1)
    return kept


def misplaced(kept: Mask, order: npt.NDArray[np.intp], width: int) -> int:
    """Weights that are in the minority of their row in a pack: sum of min(#zeros, #nonzeros)."""
    return sum(
        int(_minority(kept[:, order[at : at + width]].sum(axis=1), len(order[at : at + width])).sum())
        for at in range(0, len(order), width)
    )


def greedy_order(kept: Mask, width: int) -> npt.NDArray[np.intp]:
    """Columns of `kept` [R, C] so that packs of `width` have few misplaced weights; as they are if no worse.

    Each pack starts with the column of most weights left, and grows by the column after which fewest are
    misplaced, of equals the first.
    """
    columns = kept.T.astype(np.int32)
    left = np.ones(len(columns), dtype=bool)
    order: list[int] = []
    while left.any():
        inside = np.zeros(columns.shape[1], dtype=np.int32)
        for size in range(1, width + 1):
            free = np.flatnonzero(left)
            if not free.size:
                break
            if size == 1:
                best = int(free[columns[free].sum(axis=1).argmax()])
            else:
                best = int(free[_minority(inside + columns[free], size).sum(axis=1).argmin()])
            order.append(best)
            left[best] = False
            inside += columns[best]
    found, same = np.array(order, dtype=np.intp), np.arange(len(columns))
    return found if misplaced(kept, found, width) < misplaced(kept, same, width) else same


def _minority(nonzeros: npt.NDArray[np.int32], size: int) -> npt.NDArray[np.int32]:
    return np.minimum(nonzeros, size - nonzeros)
