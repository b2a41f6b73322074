"""The kernels that can run a layer on real numbers; weights stay packed where a kernel reads them so."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from smidgen.formats import Format
from smidgen.graph import Node
from smidgen.kernels.call import Kernel
from smidgen.kernels.convolution import clamped, convolution, depthwise
from smidgen.kernels.product import float_products
from smidgen.kernels.winograd import tiles, winograd
from smidgen.lower.widths import CLAMPS

Kernels = list[tuple[str, Kernel]]
Shape = tuple[int, ...]
Pairs = tuple[tuple[int, int], ...]


def products(node: Node, shape: Shape, weight: Format) -> Kernels:
    """Of a linear layer, on one row."""
    return [(kernel.name, kernel) for kernel in float_products(weight)]


def convolutions(node: Node, shape: Shape, weight: Format) -> Kernels:
    """Of a convolution over one or two axes, on an image [height, width, in] or, where windows are pixels, on
    a pixel. None for groups of several channels and for gaps between taps.
    """
    a = node.attrs
    if len(shape) > 3 or any(step != 1 for step in a["dilation"]):
        return []
    missing = 3 - len(shape)  # a sequence is an image of one row
    size = (1,) * missing + shape[:-1]
    padding: Pairs = ((0, 0),) * missing + tuple((before, after) for before, after in a["padding"])
    stride = (1,) * missing + tuple(a["stride"])
    dense = weight.decode()
    filters = dense.reshape(dense.shape[0], *(1,) * missing, *dense.shape[1:])
    if a["groups"] == shape[-1] == len(filters) > 1:
        return [("depthwise", depthwise(filters[..., 0], size, padding, stride))]
    if a["groups"] != 1:
        return []
    filters = filters.transpose(0, 3, 1, 2)
    kernels = [("convolution", convolution(filters, size, padding, stride))]
    if stride == (1, 1):
        kernels += _fast(filters, (size[0], size[1]), padding)
        kernels += [] if filters.shape[2:] != (1, 1) or np.any(padding) else products(node, shape, weight)
    return kernels


def _fast(filters: npt.NDArray[np.float32], size: tuple[int, int], padding: Pairs) -> Kernels:
    """Those with fewer multiplications, which take the same padding on both sides."""
    if any(before != after for before, after in padding):
        return []
    around = (padding[0][0], padding[1][0])
    forms = tiles(*filters.shape[2:])
    return [(f"winograd {tile}", winograd(filters, size, around, tile)) for tile in forms]


def finish(bias: npt.NDArray[np.float32] | None, channels: int, clamp: Node | None) -> Kernel | None:
    """What adds a layer's bias and clamps its outputs; None where there is nothing to do."""
    if bias is None and clamp is None:
        return None
    lo, hi = CLAMPS[clamp.op] if clamp else (-np.inf, np.inf)
    added = np.zeros(channels, np.float32) if bias is None else np.broadcast_to(bias, (channels,))
    return clamped(added, lo, hi)


LAYERS: Mapping[str, Callable[[Node, Shape, Format], Kernels]] = {"linear": products, "conv": convolutions}
