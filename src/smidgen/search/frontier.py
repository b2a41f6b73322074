"""Pareto frontiers of one gain (accuracy, maximised) against one or more costs (minimised)."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]


def dominates(gain_a: float, costs_a: Sequence[float], gain_b: float, costs_b: Sequence[float]) -> bool:
    """True if a is at least as good as b in everything and better in something."""
    no_worse = gain_a >= gain_b and all(a <= b for a, b in zip(costs_a, costs_b, strict=True))
    return no_worse and (gain_a > gain_b or any(a < b for a, b in zip(costs_a, costs_b, strict=True)))


def non_dominated(gains: npt.ArrayLike, costs: npt.ArrayLike) -> list[int]:
    """Indices, ascending, of the points no other point dominates. Equal points all stay.

    `gains` [n], `costs` [n, k] or [n].
    """
    table = _as_losses(gains, costs)
    keep = []
    for index, losses in enumerate(table):
        no_worse = (table <= losses).all(axis=1)
        if not (no_worse & (table < losses).any(axis=1)).any():
            keep.append(index)
    return keep


def gain_at(gains: npt.ArrayLike, costs: npt.ArrayLike, limit: float) -> float:
    """The best gain to be had for a single cost <= `limit`: the frontier as a step function; -inf if none."""
    table_gains, table_costs = np.asarray(gains, np.float64), np.asarray(costs, np.float64)
    affordable = table_gains[table_costs <= limit]
    return float(affordable.max()) if affordable.size else -math.inf


def hypervolume(gains: npt.ArrayLike, costs: npt.ArrayLike, worst_gain: float, worst_cost: float) -> float:
    """Area between the frontier and the corner (`worst_gain`, `worst_cost`), exactly, for one cost.

    The cost axis is natural-logarithmic, so halving a cost counts the same everywhere:
    HV = integral over log c up to log worst_cost of max(gain_at(c) - worst_gain, 0). Costs are > 0.
    Ref: Zitzler and Thiele 1998.
    """
    table_gains = np.asarray(gains, np.float64).ravel()
    table_costs = np.asarray(costs, np.float64).ravel()
    if (table_costs <= 0).any() or worst_cost <= 0:
        raise ValueError("costs must be positive, their axis is logarithmic")
    inside = (table_gains > worst_gain) & (table_costs < worst_cost)
    order = np.argsort(table_costs[inside], kind="stable")
    heights = np.maximum.accumulate(table_gains[inside][order] - worst_gain) if order.size else np.empty(0)
    edges = np.append(np.log(table_costs[inside][order]), math.log(worst_cost))
    return float((heights * np.diff(edges)).sum())


def _as_losses(gains: npt.ArrayLike, costs: npt.ArrayLike) -> FloatArray:
    """[n, 1 + k], everything to be minimised."""
    losses = -np.asarray(gains, np.float64)
    table = np.asarray(costs, np.float64)
    return np.column_stack([losses, table]) if losses.size else np.empty((0, 1))
