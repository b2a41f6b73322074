"""A small convolutional network for sensor windows [T, C]: three convolutions, global mean, linear.

The stride and the pools come early, so that activations stay small: the largest is [T/2, 32] bytes at 8 bits.
"""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph import Graph
from smidgen.models.layers import Blocks, need_shape, scaled

_SMALLEST = 8


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """32,839 parameters and 1.2 million multiply-accumulates for windows [200, 6] and 7 classes; T >= 8."""
    need_shape("cnn1d", input_shape, "T C", classes, _SMALLEST)
    blocks = Blocks("cnn1d", input_shape, seed)
    blocks.conv(scaled(32, width), 7, stride=2).max_pool(2)
    blocks.conv(scaled(64, width), 5).max_pool(2)
    blocks.conv(scaled(64, width), 5).global_mean()
    return blocks.classify(classes)
