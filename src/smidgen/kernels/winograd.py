"""Convolutions with fewer multiplications: F(2x2, 3x3), F(4x4, 3x3); on one axis F(2, 3), F(4, 3), F(2, 7).

float32, channels last, stride 1. Transforms round: results differ from
the direct sum by about 1e-6 of the largest output for tiles of 2, 1e-5 for tiles of 4.
Ref: Maji et al. 2019 (EMC^2), "Efficient Winograd or Cook-Toom Convolution Kernel Implementation".
"""

from __future__ import annotations

import numpy as np

from smidgen.errors import BadInput
from smidgen.kernels.call import Array, Kernel, floats, quickest
from smidgen.kernels.convolution import convolution
from smidgen.kernels.cook_toom import Matrix, cook_toom

FORMS = ((2, 3), (4, 3), (2, 7))  # outputs and taps along an axis


def winograd(weight: Array, size: tuple[int, int], padding: tuple[int, int], tile: int) -> Kernel:
    """A convolution by F(tile, kernel) along each axis whose kernel is longer than 1.

    Args:
        weight: [out, in, kernel_h, kernel_w]: 3x3, 3x1, 1x3, 7x1 or 1x7.
        size: height and width of the input.
        padding: zeros above and below, left and right.
        tile: 2 or 4 outputs; 2 where a kernel has 7 taps.

    Returns:
        float32 [height, width, in] -> float32 [height + 2 padding - kernel_h + 1, ..., out].

    Raises:
        BadInput: another kernel, or an image smaller than it.
    """
    if weight.ndim != 4 or not tiles(weight.shape[2], weight.shape[3]):
        raise BadInput(
            "winograd", f"a weight {list(weight.shape)}", "[out, in, ...] 3x3, 3x1, 1x3, 7x1, 1x7 is needed"
        )
    out, channels, kernel_h, kernel_w = weight.shape
    if tile not in tiles(kernel_h, kernel_w):
        raise BadInput(
            "winograd", f"tiles of {tile}", f"{kernel_h}x{kernel_w}: {tiles(kernel_h, kernel_w)} exist"
        )
    results = _results("winograd", weight, size, padding)
    made = cook_toom(tile, max(kernel_h, kernel_w))
    transforms = [np.ones((1, 1)) if n == 1 else _array(made.filter) for n in (kernel_h, kernel_w)]
    points = np.einsum("ah,oihw,bw->abio", transforms[0], weight.astype(np.float64), transforms[1])
    constants = floats("winograd", points, _array(made.input), _array(made.output))
    sizes = (*size, channels, out, kernel_h, kernel_w, *padding, tile)
    return Kernel("winograd", ((*size, channels), "f4"), ((*results, out), "f4"), *sizes, *constants)


def direct(weight: Array, size: tuple[int, int], padding: tuple[int, int]) -> Kernel:
    """The same convolution without transforms, of any kernel [out, in, kernel_h, kernel_w].

    Raises:
        BadInput: an image smaller than the kernel.
    """
    return convolution(weight, size, [(pad, pad) for pad in padding], (1, 1))


def fastest(weight: Array, size: tuple[int, int], padding: tuple[int, int]) -> Kernel:
    """`direct`, or `winograd` with the tile that is faster on this machine: each is timed on one sample.

    Raises:
        BadInput: as for `direct`.
    """
    kernels = [direct(weight, size, padding)]
    kernels += [winograd(weight, size, padding, tile) for tile in tiles(*weight.shape[2:])]
    return quickest(kernels)


def tiles(kernel_h: int, kernel_w: int) -> tuple[int, ...]:
    """The tiles that exist for a kernel; none for most kernels."""
    long = max(kernel_h, kernel_w)
    line = min(kernel_h, kernel_w) == 1
    if not line and (kernel_h, kernel_w) != (3, 3):
        return ()
    return tuple(outputs for outputs, taps in FORMS if taps == long)


def _results(where: str, weight: Array, size: tuple[int, int], padding: tuple[int, int]) -> tuple[int, ...]:
    """Height and width of the output."""
    results = tuple(n + 2 * p - k + 1 for n, p, k in zip(size, padding, weight.shape[2:], strict=True))
    if min(size) < 1 or min(results) < 1 or min(padding) < 0:
        raise BadInput(where, f"an input of {size[0]}x{size[1]}", "the kernel must fit into it")
    return results


def _array(matrix: Matrix) -> Array:
    return np.array([[float(entry) for entry in row] for row in matrix])
