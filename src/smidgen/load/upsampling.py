"""Operators that make more positions than they read, in terms of the graph's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from smidgen.load.source import Constant, NotCaptured, Source


def conv_transpose(
    source: Source,
    x: str,
    weight: Constant,
    bias: Constant | None,
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    output_padding: Sequence[int],
    dilation: Sequence[int],
    groups: int,
    name: str,
) -> str:
    """Transposed convolution of [C, *space] with weight [C, O/groups, *k].

    It is the convolution, with the weight mirrored, of the input with stride - 1 zeros between its elements;
    `padding` is what it cuts off from the whole result, `output_padding` what it adds at the end.
    """
    kernel = weight.array.shape[2:]
    if len(kernel) not in (1, 2):
        raise NotCaptured(f"a transposed convolution over {len(kernel)} axes", "Use one or two spatial axes")
    if any(s > 1 for s in stride):
        x = source.op("spread", [x], f"{name}.spread", steps=(1, *stride))
    around = []
    sizes = zip(kernel, padding, output_padding, dilation, strict=True)
    for axis, (k, (before, after), extra, step) in enumerate(sizes, 1):
        first, last = step * (k - 1) - before, step * (k - 1) - after + extra
        size = source.shape(x)[axis]
        x = source.slice(x, axis, max(-first, 0), size + min(last, 0), 1, f"{name}.inside{axis}")
        around.append((max(first, 0), max(last, 0)))
    mirrored = replace(weight, array=mirrored_weight(weight.array, groups))
    return source.conv(x, mirrored, bias, 1, around, tuple(dilation), groups, name)


def mirrored_weight(weight: np.ndarray, groups: int) -> np.ndarray:
    """[C, O/groups, *k] of a transposed convolution as [O, C/groups, *k] of the convolution that it is."""
    inputs, per_group, *kernel = weight.shape
    by_group = weight.reshape(groups, inputs // groups, per_group, *kernel).swapaxes(1, 2)
    whole = by_group.reshape(groups * per_group, inputs // groups, *kernel)
    return np.flip(whole, axis=tuple(range(2, whole.ndim)))


def cut_to(
    size: int, kernel: int, stride: int, dilation: int, extra: int, out: int, less_first: bool
) -> tuple[int, int]:
    """What a transposed convolution cuts off one axis to make `out` positions; an odd one where told."""
    total = stride * (size - 1) + extra + dilation * (kernel - 1) + 1 - out
    small = total // 2
    return (small, total - small) if less_first else (total - small, small)
