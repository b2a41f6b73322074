"""The two classic networks for handwritten digits.

Ref: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document recognition". With ReLU
and maximum pooling in the place of scaled tanh and trainable averages, as everyone trains them now.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from smidgen.graph import Graph
from smidgen.models import mlp
from smidgen.models.layers import Blocks, need_shape, scaled

# The 28 x 28 images are padded to the 32 x 32 of the paper.
_PADDING = 2
_SMALLEST = 12


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """LeNet-5 on [H, W, C], H and W at least 12: 61,706 parameters for 28 x 28 x 1 and 10 classes."""
    need_shape("lenet", input_shape, "H W C", classes, _SMALLEST)
    blocks = Blocks("lenet5", input_shape, seed)
    blocks.conv(scaled(6, width), 5, padding=_PADDING, batch_norm=False).max_pool(2)
    blocks.conv(scaled(16, width), 5, padding=0, batch_norm=False).max_pool(2)
    blocks.flatten().linear(scaled(120, width)).linear(scaled(84, width))
    return blocks.classify(classes)


def build_300_100(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """LeNet-300-100: 266,610 parameters for 784 inputs and 10 classes."""
    return replace(mlp.build(input_shape, classes, width, seed, sizes=(300, 100)), name="lenet300")
