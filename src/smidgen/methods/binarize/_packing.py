"""Orders of columns in which whole packs of a row are nearly empty or nearly full.

Ref: Romaszkan, Li, Gupta 2020 (3PXNet, ACM TECS 19(1)), the greedy permutation.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from smidgen.formats.binarypacks import kept_count, largest
from smidgen.numerics import Array

Mask = npt.NDArray[np.bool_]
Order = npt.NDArray[np.intp]


def largest_weights(rows: Array, sparsity: float) -> Mask:
    """The largest |w| of each row [R, C], of equals the first: 1 - `sparsity` of them, one at least."""
    count = kept_count(rows.shape[1], sparsity)
    return largest(np.abs(rows.astype(np.float64)), count)


def retained(kept: Mask, order: Order, width: int, sparsity: float) -> int:
    """How many weights of `kept` [O, n, C] lie in the packs that stay, if those of most weights do."""
    groups = kept[..., order].astype(np.int64)
    starts = np.arange(0, len(order), width)
    sums = np.add.reduceat(groups, starts, axis=2).reshape(len(kept), -1)
    return int(np.sort(sums, axis=1)[:, -kept_count(sums.shape[1], sparsity) :].sum())


def sorting_order(kept: Mask, width: int, sparsity: float) -> Order:
    """The greedy order of the last axis of `kept` [O, n, C], or the present one if that retains as much."""
    same = np.arange(kept.shape[2])
    order = greedy_order(kept.reshape(-1, len(same)), width)
    better = retained(kept, order, width, sparsity) > retained(kept, same, width, sparsity)
    return order if better else same


def greedy_order(kept: Mask, width: int) -> Order:
    """Columns of `kept` [R, C] so that packs of `width` have few weights in the minority of their row.

    Each pack starts with the column of most weights left, and grows by the column after which the sum of
    min(#zeros, #nonzeros) over rows is the least, of equals the first.
    """
    columns = kept.T.astype(np.int32)
    left = np.ones(len(columns), dtype=bool)
    order: list[int] = []
    while left.any():
        inside = np.zeros(columns.shape[1], dtype=np.int32)
        for size in range(1, min(width, int(left.sum())) + 1):
            free = np.flatnonzero(left)
            if size == 1:
                best = int(free[columns[free].sum(axis=1).argmax()])
            else:
                nonzeros = inside + columns[free]
                best = int(free[np.minimum(nonzeros, size - nonzeros).sum(axis=1).argmin()])
            order.append(best)
            left[best] = False
            inside += columns[best]
    return np.array(order, dtype=np.intp)
