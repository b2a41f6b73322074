"""Float32 convolutions of any stride and padding, of all channels or each alone, and what follows them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.errors import BadInput
from smidgen.kernels.call import Array, Kernel, floats

Sizes = Sequence[int]  # height and width
Padding = Sequence[Sequence[int]]  # zeros (above, below), (left, right)


def convolution(weight: Array, size: Sizes, padding: Padding, stride: Sizes) -> Kernel:
    """A convolution of all channels, channels last.

    Args:
        weight: [out, in, kernel_h, kernel_w].
        size: height and width of the input.
        padding: zeros (above, below), (left, right).
        stride: from one window to the next, down and right.

    Returns:
        float32 [height, width, in] -> float32 [(height + padding - kernel_h) // stride + 1, ..., out].

    Raises:
        BadInput: another weight, or an image smaller than the kernel.
    """
    if weight.ndim != 4 or not weight.size:
        raise BadInput("direct", f"a weight {list(weight.shape)}", "[out, in, kernel_h, kernel_w] is needed")
    out, channels, *kernel = weight.shape
    windows, results = _windows("direct", kernel, size, padding, stride)
    (taps,) = floats("direct", weight.transpose(2, 3, 1, 0))
    shapes = ((*size, channels), "f4"), ((*results, out), "f4")
    if windows[:4] == (1, 1, 0, 0) and results == tuple(size):  # a product: pixels need no rows
        size = (1, size[0] * size[1])
        windows, _ = _windows("direct", kernel, size, padding, stride)
    return Kernel("convolution", *shapes, *size, channels, out, *windows, taps)


def depthwise(weight: Array, size: Sizes, padding: Padding, stride: Sizes) -> Kernel:
    """A convolution of each channel with its own filter: weight [channels, kernel_h, kernel_w].

    The other arguments and the result are those of `convolution`, with as many outputs as channels.

    Raises:
        BadInput: another weight, or an image smaller than the kernel.
    """
    if weight.ndim != 3 or not weight.size:
        found = f"a weight {list(weight.shape)}"
        raise BadInput("depthwise", found, "[channels, kernel_h, kernel_w] is needed")
    channels, *kernel = weight.shape
    windows, results = _windows("depthwise", kernel, size, padding, stride)
    (taps,) = floats("depthwise", weight.transpose(1, 2, 0))
    shapes = ((*size, channels), "f4"), ((*results, channels), "f4")
    return Kernel("depthwise", *shapes, *size, channels, *windows, taps)


def clamped(bias: Array, lo: float, hi: float) -> Kernel:
    """min(max(x + bias, lo), hi), float32 [channels] -> float32 [channels]; NaN stays NaN."""
    (bias,) = floats("clamp", bias)
    return Kernel("clamp", (bias.shape, "f4"), (bias.shape, "f4"), bias.size, lo, hi, bias)


def _windows(
    where: str, kernel: Sizes, size: Sizes, padding: Padding, stride: Sizes
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Arguments of the native functions from the kernel's height on, and height and width of the result."""
    room = [n + sum(around) - k for n, around, k in zip(size, padding, kernel, strict=True)]
    if min(size) < 1 or min(room) < 0 or np.min(padding) < 0 or min(stride) < 1:
        found = f"an input of {size[0]}x{size[1]}, strides {list(stride)}"
        raise BadInput(where, found, "the kernel must fit into it, in steps of at least 1")
    results = tuple(n // step + 1 for n, step in zip(room, stride, strict=True))
    return (*kernel, *(before for before, _ in padding), *results, *stride), results
