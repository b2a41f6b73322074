"""Sliding windows over channels-last arrays, shared by the float and the integer interpreter."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.numerics import Array


def windows(
    x: Array,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[Sequence[int]],
    dilation: Sequence[int],
    fill: float,
) -> Array:
    """[n, *space, C] -> a view [n, *out, *kernel, C]; the padding holds `fill`."""
    rank = len(kernel)
    if any(n for pair in padding for n in pair):
        x = np.pad(x, [(0, 0), *map(tuple, padding), (0, 0)], constant_values=fill)
    axes = tuple(range(1, rank + 1))
    spans = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    view = np.lib.stride_tricks.sliding_window_view(x, spans, axis=axes)  # [n, *out, C, *span]
    step = (
        slice(None),
        *(slice(None, None, s) for s in stride),
        slice(None),
        *(slice(None, None, d) for d in dilation),
    )
    return np.moveaxis(view[step], rank + 1, -1)


def convolve(
    x: Array,
    weight: Array,
    stride: Sequence[int],
    padding: Sequence[Sequence[int]],
    dilation: Sequence[int],
    groups: int,
) -> Array:
    """[n, *space, C] with weight [O, *k, C/groups] -> [n, *out, O], by one matrix product a group."""
    kernel = weight.shape[1:-1]
    per_in, per_out = weight.shape[-1], weight.shape[0] // groups
    view = windows(x, kernel, stride, padding, dilation, 0)
    if per_in == 1 and per_out == 1:
        return _depthwise(view, weight[..., 0])
    parts = []
    for g in range(groups):
        filters = weight[g * per_out : (g + 1) * per_out].reshape(per_out, -1)
        columns = view[..., g * per_in : (g + 1) * per_in].reshape(-1, filters.shape[1])
        parts.append(columns @ filters.T)  # of two matrices: NumPy multiplies stacks of them one by one
    joined = parts[0] if groups == 1 else np.concatenate(parts, axis=-1)
    return joined.reshape(*view.shape[: 1 + len(kernel)], len(weight))


def _depthwise(view: Array, weight: Array) -> Array:
    """[n, *out, *kernel, C] with weight [C, *kernel] -> [n, *out, C]: tap by tap, a sample at a time.

    One sample's sums and products stay in the cache, where all windows side by side would not.
    """
    taps = np.ascontiguousarray(np.moveaxis(weight, 0, -1))
    total = np.zeros((*view.shape[: weight.ndim], view.shape[-1]), dtype=view.dtype)
    product = np.empty(total.shape[1:], dtype=view.dtype)
    for sample, y in zip(view, total, strict=True):
        for tap in np.ndindex(*taps.shape[:-1]):
            np.multiply(sample[(..., *tap, slice(None))], taps[tap], out=product)
            y += product
    return total


def window_counts(
    space: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[Sequence[int]]
) -> Array:
    """How many positions of each window lie inside the input: int64 [*out]."""
    ones = np.ones((1, *space, 1), dtype=np.int64)
    view = windows(ones, kernel, stride, padding, (1,) * len(kernel), 0)
    axes = tuple(range(len(kernel) + 1, 2 * len(kernel) + 1))
    counts: Array = view.sum(axis=axes)[0, ..., 0]
    return counts
