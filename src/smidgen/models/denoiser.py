"""Networks that tell speech from noise in every bin of a spectrum, from the bits of its sizes.

Input [T, bins * BITS] of +1 and -1, output [T * bins] in -1..1: the mask, +1 for speech.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.cells import GRU_GATES, gru_cell
from smidgen.models.layers import Blocks, scaled

BITS = 4  # of a size
UNITS = 128


def gru(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """One GRU of 128 units times the width (its reset before the product), a linear layer, tanh.

    The input's shape says how large the mask is; there are no `classes`. Raises BadInput for another shape.
    """
    blocks, units = _started("denoiser", input_shape, seed), scaled(UNITS, width)
    features = input_shape[1]
    reach = 1 / math.sqrt(features + units)  # many bits come in: 1 / sqrt(units) would saturate the gates
    shapes = {"input": (units, features), "recurrent": (units, units)}
    weights = {
        f"{gate}.{role}": blocks.rng.uniform(-reach, reach, shape).astype(np.float32)
        for gate in GRU_GATES
        for role, shape in shapes.items()
    } | {f"{gate}.bias": np.zeros(units, np.float32) for gate in GRU_GATES}
    cell = gru_cell("gru", features, units, weights, reset="before")
    blocks.x = blocks.builder.scan(blocks.x, cell, kind="gru_before", name="gru")[0]
    return _masked(blocks, features)


def dense(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """Two layers of 128 units times the width with tanh, each frame by itself; the rest as for `gru`."""
    blocks, units = _started("denoiser_dense", input_shape, seed), scaled(UNITS, width)
    for _ in range(2):
        blocks.linear(units, relu=False).activation(op="tanh")
    return _masked(blocks, input_shape[1])


def _started(name: str, input_shape: Sequence[int], seed: int) -> Blocks:
    """The input, and its sign: nothing changes, but integers then hold +1 and -1 exactly."""
    if len(input_shape) != 2 or input_shape[0] < 1 or input_shape[1] < BITS or input_shape[1] % BITS:
        raise BadInput(name, f"input shape {list(input_shape)}", f"it takes [frames, {BITS} bits a bin]")
    return Blocks(name, input_shape, seed).activation("bits", op="binarize")


def _masked(blocks: Blocks, features: int) -> Graph:
    blocks.linear(features // BITS, relu=False, name="sums").activation("mask", op="tanh")
    return blocks.builder.graph(blocks.builder.flatten(blocks.x))
