"""Multi-layer perceptron: flatten, hidden linear layers with ReLU, linear."""

from __future__ import annotations

import math
from collections.abc import Sequence

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.models.layers import Blocks, scaled


def build(
    input_shape: Sequence[int],
    classes: int,
    width: float = 1.0,
    seed: int = 0,
    sizes: Sequence[int] = (128, 64),
) -> Graph:
    """Hidden layers of `sizes` times `width`; any input shape. Raises BadInput for sizes below 1."""
    if any(size < 1 for size in sizes) or math.prod(input_shape) < 1 or classes < 2:
        found = f"sizes {list(sizes)}, input {list(input_shape)}, {classes} classes"
        raise BadInput("mlp", found, "sizes are positive and there are at least two classes")
    blocks = Blocks("mlp", input_shape, seed).flatten()
    for size in sizes:
        blocks.linear(scaled(size, width))
    return blocks.classify(classes)
