"""MobileNet: depthwise separable convolutions all the way down.

Ref: Howard et al. 2017, arXiv 1704.04861, table 1.
"""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph import Graph
from smidgen.models.dscnn import separable
from smidgen.models.layers import Blocks, need_shape, scaled

# (channels, stride) of the separable blocks.
_BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), *[(512, 1)] * 5, (1024, 2), (1024, 1))


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """On [H, W, C]: 4,231,976 parameters for 224 x 224 x 3 and 1,000 classes."""
    need_shape("mobilenet", input_shape, "H W C", classes)
    blocks = Blocks("mobilenet", input_shape, seed)
    blocks.conv(scaled(32, width), 3, stride=2)
    for channels, stride in _BLOCKS:
        separable(blocks, scaled(channels, width), stride)
    return blocks.global_mean().classify(classes)
