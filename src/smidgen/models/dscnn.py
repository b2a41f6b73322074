"""DS-CNN, the keyword spotter of MLPerf Tiny: a convolution and four depthwise separable blocks.

Ref: Zhang et al. 2017, arXiv 1711.07128; Banbury et al. 2021, arXiv 2106.07597.
"""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph import Graph
from smidgen.models.layers import Blocks, need_shape, scaled

SEPARABLE_BLOCKS = 4
_FIRST_KERNEL = (10, 4)  # time x frequency


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """On spectrograms [T, F, C]: 23,180 parameters for 49 x 10 x 1 and 12 classes."""
    need_shape("dscnn", input_shape, "T F C", classes)
    channels = scaled(64, width)
    blocks = Blocks("dscnn", input_shape, seed)
    blocks.conv(channels, _FIRST_KERNEL, stride=2)
    for _ in range(SEPARABLE_BLOCKS):
        separable(blocks, channels)
    return blocks.global_mean().classify(classes)


def separable(blocks: Blocks, channels: int, stride: int = 1) -> None:
    """Depthwise 3 x 3, then pointwise to `channels`; batch norm and ReLU after each."""
    blocks.conv(channels, 3, stride, depthwise=True).conv(channels, 1)
