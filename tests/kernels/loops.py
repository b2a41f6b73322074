"""The rules of docs/NUMERICS.md as plain loops over Python integers: slow and obvious, no code of smidgen.

All take and return one sample. `ratio(i)` gives (M, s) for channel or count `i`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

Ratio = Callable[[int], tuple[int, int]]
Bounds = tuple[int, int, int]  # zero of the output, lo, hi


def finish(acc: int, ratio: tuple[int, int], bounds: Bounds) -> int:
    multiplier, shift = ratio
    zero, lo, hi = bounds
    return min(max((acc * multiplier + 2 ** (shift - 1)) // 2**shift + zero, lo), hi)


def linear(x, w, bias, zero: int, ratio: Ratio, bounds: Bounds) -> np.ndarray:
    y = np.zeros((*x.shape[:-1], len(w)), np.int64)
    for *row, o in np.ndindex(*y.shape):
        acc = int(bias[o])
        for i in range(x.shape[-1]):
            acc += int(w[o, i]) * (int(x[(*row, i)]) - zero)
        y[(*row, o)] = finish(acc, ratio(o), bounds)
    return y


def positions(at: Sequence[int], kernel, stride, padding, dilation, space):
    """(tap, position) of every tap of a window that lies inside the input."""
    for tap in np.ndindex(*kernel):
        where = tuple(
            o * s + t * d - p[0] for o, t, s, p, d in zip(at, tap, stride, padding, dilation, strict=True)
        )
        if all(0 <= w < n for w, n in zip(where, space, strict=True)):
            yield tap, where


def out_space(space, kernel, stride, padding, dilation) -> tuple[int, ...]:
    return tuple(
        (n + p[0] + p[1] - d * (k - 1) - 1) // s + 1
        for n, k, s, p, d in zip(space, kernel, stride, padding, dilation, strict=True)
    )


def conv(
    x, w, bias, stride, padding, dilation, groups: int, zero: int, ratio: Ratio, bounds: Bounds
) -> np.ndarray:
    outputs, *kernel, per_group = w.shape
    space = x.shape[:-1]
    y = np.zeros((*out_space(space, kernel, stride, padding, dilation), outputs), np.int64)
    for *at, o in np.ndindex(*y.shape):
        first = o // (outputs // groups) * per_group
        acc = int(bias[o])
        for tap, where in positions(at, kernel, stride, padding, dilation, space):
            for c in range(per_group):
                acc += int(w[(o, *tap, c)]) * (int(x[(*where, first + c)]) - zero)
        y[(*at, o)] = finish(acc, ratio(o), bounds)
    return y


def max_pool(x, kernel, stride, padding) -> np.ndarray:
    ones = (1,) * len(kernel)
    y = np.zeros((*out_space(x.shape[:-1], kernel, stride, padding, ones), x.shape[-1]), np.int64)
    for *at, c in np.ndindex(*y.shape):
        inside = positions(at, kernel, stride, padding, ones, x.shape[:-1])
        y[(*at, c)] = max((int(x[(*where, c)]) for _, where in inside), default=-128)
    return y


def avg_pool(
    x, kernel, stride, padding, by_count: bool, zero: int, ratio: Ratio, bounds: Bounds
) -> np.ndarray:
    ones = (1,) * len(kernel)
    y = np.zeros((*out_space(x.shape[:-1], kernel, stride, padding, ones), x.shape[-1]), np.int64)
    for *at, c in np.ndindex(*y.shape):
        inside = [where for _, where in positions(at, kernel, stride, padding, ones, x.shape[:-1])]
        acc = sum(int(x[(*where, c)]) - zero for where in inside)
        y[(*at, c)] = finish(acc, ratio(max(len(inside) - 1, 0) if by_count else 0), bounds)
    return y


def mean(x, axes, zero: int, ratio: tuple[int, int], bounds: Bounds) -> np.ndarray:
    """Keeps the reduced axes, with size 1."""
    acc = np.zeros([1 if i in axes else n for i, n in enumerate(x.shape)], np.int64)
    for at in np.ndindex(*x.shape):
        acc[tuple(0 if i in axes else n for i, n in enumerate(at))] += int(x[at]) - zero
    return each(acc, lambda v: finish(v, ratio, bounds))


def each(x, function: Callable[[int], int]) -> np.ndarray:
    return np.array([function(int(v)) for v in x.ravel()], np.int64).reshape(x.shape)


def pairs(a, b, function: Callable[[int, int], int]) -> np.ndarray:
    """Element-wise with broadcasting."""
    y = np.zeros(np.broadcast_shapes(a.shape, b.shape), np.int64)
    for at in np.ndindex(*y.shape):
        y[at] = function(int(element(a, at)), int(element(b, at)))
    return y


def element(x, at: tuple[int, ...]):
    own = at[len(at) - x.ndim :]
    return x[tuple(0 if size == 1 else i for i, size in zip(own, x.shape, strict=True))]


def add(a, b, zeros, multipliers, shift: int, bounds: Bounds) -> np.ndarray:
    return pairs(
        a,
        b,
        lambda p, q: finish(
            (p - zeros[0]) * multipliers[0] + (q - zeros[1]) * multipliers[1], (1, shift), bounds
        ),
    )


def softmax(x, table) -> np.ndarray:
    y = np.zeros(x.shape, np.int64)
    for at in np.ndindex(*x.shape[:-1]):
        row = [int(v) for v in x[at]]
        e = [int(table[max(row) - v]) for v in row]
        y[at] = [min((256 * v + sum(e) // 2) // sum(e) - 128, 127) for v in e]
    return y


def pad(x, pads, zero: int) -> np.ndarray:
    y = np.full([n + a + b for n, (a, b) in zip(x.shape, pads, strict=True)], zero, np.int64)
    for at in np.ndindex(*x.shape):
        y[tuple(i + a for i, (a, _) in zip(at, pads, strict=True))] = x[at]
    return y


def transpose(x, perm) -> np.ndarray:
    y = np.zeros([x.shape[axis] for axis in perm], np.int64)
    for at in np.ndindex(*y.shape):
        source = [0] * len(perm)
        for i, axis in enumerate(perm):
            source[axis] = at[i]
        y[at] = x[tuple(source)]
    return y
