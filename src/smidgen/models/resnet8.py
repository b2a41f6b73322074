"""ResNet-8, the image classifier of MLPerf Tiny: three residual blocks of 16, 32 and 64 channels.

Ref: Banbury et al. 2021, arXiv 2106.07597; He et al. 2016, arXiv 1512.03385.
"""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph import Graph
from smidgen.models.layers import Blocks, need_shape, scaled

_SMALLEST = 4


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """On [H, W, C], H and W at least 4: 77,946 parameters for 32 x 32 x 3 and 10 classes."""
    need_shape("resnet8", input_shape, "H W C", classes, _SMALLEST)
    blocks = Blocks("resnet8", input_shape, seed)
    blocks.conv(scaled(16, width), 3)
    for channels, stride in ((16, 1), (32, 2), (64, 2)):
        _residual(blocks, scaled(channels, width), stride)
    return blocks.global_mean().classify(classes)


def _residual(blocks: Blocks, channels: int, stride: int) -> None:
    """relu(shortcut(x) + body(x)); a 1 x 1 convolution with bias is the shortcut of a stride."""
    entry = blocks.x
    blocks.conv(channels, 3, stride).conv(channels, 3, relu=False)
    body, blocks.x = blocks.x, entry
    if stride != 1:
        blocks.conv(channels, 1, stride, batch_norm=False, relu=False)
    blocks.x = blocks.builder.op("add", [blocks.x, body])
    blocks.activation()
