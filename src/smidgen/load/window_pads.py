"""Padding arithmetic of sliding windows: 'same' padding and ceil mode."""

from __future__ import annotations

Pair = tuple[int, int]


def same_pads(size: int, kernel: int, stride: int, dilation: int, extra_first: bool = False) -> Pair:
    """'Same' padding of one axis: ceil(size / stride) outputs, the odd one after (or before) the data."""
    outputs = -(-size // stride)
    total = max((outputs - 1) * stride + dilation * (kernel - 1) + 1 - size, 0)
    small = total // 2
    return (total - small, small) if extra_first else (small, total - small)


def ceil_pads(size: int, kernel: int, stride: int, pad: Pair) -> Pair:
    """Padding that makes a floor-mode window count what ceil mode does.

    A last window that would start in the padding behind the data is left out.
    """
    span = size + pad[0] + pad[1] - kernel
    outputs = -(-span // stride) + 1
    if (outputs - 1) * stride >= size + pad[0]:
        outputs -= 1
    return pad[0], pad[1] + max((outputs - 1) * stride - span, 0)
