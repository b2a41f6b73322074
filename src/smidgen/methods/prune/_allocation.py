"""How many weights each layer loses, and which: pure functions of the weights' magnitudes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.numerics import FloatArray, IntArray, round_half_up

Scope = Literal["global", "uniform"]
Magnitudes = Mapping[str, npt.NDArray[np.float32]]
Mask = npt.NDArray[np.bool_]
GONE = np.float32(-1.0)  # magnitude of a weight that was pruned before: it leaves first


def keep_masks(
    magnitudes: Magnitudes, sparsity: float, scope: Scope, minimum_percent: float, where: str
) -> dict[str, Mask]:
    """Masks (True = keep) that prune exactly round(sparsity * N) of the N weights of all layers together.

    `magnitudes` holds |w| by layer (GONE where pruned already: never fewer leave). Layers smaller than
    m = round(minimum_percent / 100 * N) stay whole, the others keep at least m weights. Equal magnitudes
    leave in the order of layers and positions.

    Raises:
        BadInput: the layers must keep more than the sparsity leaves; named `where`.
    """
    layers = [m.ravel() for m in magnitudes.values()]
    sizes = np.array([layer.size for layer in layers], dtype=np.int64)
    gone = np.array([(layer < 0).sum() for layer in layers], dtype=np.int64)
    target = max(int(round_half_up(sparsity * sizes.sum())), int(gone.sum()))
    minimum = int(round_half_up(minimum_percent / 100 * sizes.sum()))
    caps = np.maximum(sizes - minimum, gone)
    if caps.sum() < target:
        raise BadInput(
            where,
            f"{target} of {sizes.sum()} weights should be pruned",
            f"layers that keep {minimum} weights each allow {caps.sum()}",
            "Lower sparsity or minimum_percent",
        )
    wanted = _by_one_threshold(layers, target) if scope == "global" else sparsity * sizes.astype(np.float64)
    counts = _allocate(wanted, gone, caps, target)
    return {
        name: ~_smallest(layer, int(count)).reshape(magnitudes[name].shape)
        for name, layer, count in zip(magnitudes, layers, counts)
    }


def _by_one_threshold(layers: list[npt.NDArray[np.float32]], target: int) -> FloatArray:
    """How many of the `target` smallest weights of all layers lie in each of them."""
    chosen = _smallest(np.concatenate(layers), target)
    ends = np.cumsum([layer.size for layer in layers])[:-1]
    return np.array([part.sum() for part in np.split(chosen, ends)], dtype=np.float64)


def _smallest(flat: npt.NDArray[np.float32], count: int) -> Mask:
    """True at the `count` smallest entries; among equals the first ones."""
    if count == 0:
        return np.zeros(flat.size, dtype=bool)
    threshold = np.partition(flat, count - 1)[count - 1]
    chosen: Mask = flat < threshold
    chosen[np.flatnonzero(flat == threshold)[: count - int(chosen.sum())]] = True
    return chosen


def _allocate(wanted: FloatArray, least: IntArray, caps: IntArray, target: int) -> IntArray:
    """Integers in [least, caps] that sum to `target`, in proportion to `wanted` where the bounds allow it."""
    counts = np.clip(wanted, least, caps)
    if (excess := counts.sum() - target) > 0:
        spare = counts - least
        counts -= spare * (excess / max(spare.sum(), 1e-9))
    while (missing := target - counts.sum()) > 1e-6:
        free = counts < caps
        share = counts * free if (counts * free).any() else caps * free
        counts = np.minimum(counts + share * (missing / share.sum()), caps)
    whole = np.floor(counts + 1e-6).astype(np.int64)
    by_remainder = np.argsort(whole - counts, kind="stable")
    whole[by_remainder[: target - int(whole.sum())]] += 1
    return whole
