"""Moves of elements that exporters write in many ways, in terms of gather, slice, reshape and transpose.

Axes and shapes are per sample, channels first.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.load.source import NotCaptured, Source

# Names of padding modes: numpy's, those of torch and of ONNX.
MIRRORS = {"reflect": "reflect", "replicate": "edge", "edge": "edge", "circular": "wrap", "wrap": "wrap"}


def pad_with_copies(source: Source, x: str, pads: Sequence[tuple[int, int]], mode: str, name: str) -> str:
    """Padding by elements of the input itself; `mode` is one of `MIRRORS`."""
    if mode not in MIRRORS:
        raise NotCaptured(f"padding by {mode}", "Pad with zeros")
    for axis, (before, after) in enumerate(pads):
        size = source.shape(x)[axis]
        if before or after:
            inside = np.arange(size)[max(-before, 0) : size - max(-after, 0)]
            around = (max(before, 0), max(after, 0))
            positions = np.pad(inside, around, mode=MIRRORS[mode])  # type: ignore[call-overload]
            x = source.gather(x, axis, positions, f"{name}.{axis}")
    return x


def flip(source: Source, x: str, axes: Sequence[int], name: str) -> str:
    for axis in axes:
        x = source.slice(x, axis, -1, -source.shape(x)[axis] - 1, -1, f"{name}.{axis}")
    return x


def roll(source: Source, x: str, shifts: Sequence[int], axes: Sequence[int], name: str) -> str:
    """Elements move on by a shift; those beyond the end come first."""
    for shift, axis in zip(shifts, axes, strict=True):
        x = source.gather(x, axis, np.roll(np.arange(source.shape(x)[axis]), shift), f"{name}.{axis}")
    return x


def tile(source: Source, x: str, times: Sequence[int], name: str) -> str:
    """The whole of each axis, so many times; `times` may be longer than x has axes."""
    shape = source.shape(x)
    x = source.reshape(x, (1,) * (len(times) - len(shape)) + shape, f"{name}.axes")
    for axis, count in enumerate(times):
        size = source.shape(x)[axis]
        if count != 1:
            x = source.gather(x, axis, np.tile(np.arange(size), count), f"{name}.{axis}")
    return x


def expand(source: Source, x: str, shape: Sequence[int], name: str) -> str:
    """Axes of length one repeated to `shape`; new ones come in front."""
    own = (1,) * (len(shape) - source.rank(x)) + source.shape(x)
    return tile(source, x, [n // m for n, m in zip(shape, own, strict=True)], name)


def depth_to_space(source: Source, x: str, block: int, name: str, blocks_first: bool = False) -> str:
    """[C * block^2, H, W] -> [C, H * block, W * block]; `blocks_first`: the block leads in the channels."""
    channels, height, width = source.shape(x)
    outer = channels // block**2
    split = (block, block, outer) if blocks_first else (outer, block, block)
    order = (2, 3, 0, 4, 1) if blocks_first else (0, 3, 1, 4, 2)
    x = source.reshape(x, (*split, height, width), f"{name}.split")
    x = source.transpose(x, order, f"{name}.moved")
    return source.reshape(x, (outer, height * block, width * block), name)


def space_to_depth(source: Source, x: str, block: int, name: str, blocks_first: bool = False) -> str:
    """The inverse of `depth_to_space`."""
    channels, height, width = source.shape(x)
    x = source.reshape(x, (channels, height // block, block, width // block, block), f"{name}.split")
    x = source.transpose(x, (2, 4, 0, 1, 3) if blocks_first else (0, 2, 4, 1, 3), f"{name}.moved")
    return source.reshape(x, (channels * block**2, height // block, width // block), name)
