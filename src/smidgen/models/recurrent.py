"""What recurrent architectures share: seeded weights, and a classifier on the last hidden state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.cells import gru_cell, lstm_cell
from smidgen.models.layers import Blocks, scaled

Weights = dict[str, npt.NDArray[np.float32]]
FORGET_BIAS = 1.0  # remember at first (Jozefowicz et al. 2015, section 2.2)


def classifier(
    name: Literal["gru", "lstm"],
    input_shape: Sequence[int],
    classes: int,
    hidden: int,
    width: float,
    seed: int,
) -> Graph:
    """One recurrent layer over the first axis, its last hidden state into a linear layer.

    `input_shape` is [T, ..]; what follows the first axis is flattened into the features of a step. Weights
    are uniform in +-1/sqrt(hidden), as PyTorch starts them; an LSTM's forget gate has a bias of 1.

    Raises BadInput for an input without steps and features, or fewer than two classes.
    """
    if len(input_shape) < 2 or min(input_shape) < 1:
        raise BadInput(name, f"input shape {list(input_shape)}", "it takes [steps, features]")
    if classes < 2:
        raise BadInput(name, f"{classes} classes", "a classifier needs at least two")
    blocks, units = Blocks(name, input_shape, seed), scaled(hidden, width)
    builder, features = blocks.builder, math.prod(input_shape[1:])
    if len(input_shape) > 2:
        blocks.x = builder.op("reshape", [blocks.x], name="steps", shape=(input_shape[0], features))
    make = _gru if name == "gru" else _lstm
    blocks.x = builder.scan(blocks.x, make(blocks.rng, features, units), kind=KINDS[name], name=name)[0]
    return blocks.classify(classes)


KINDS = {"gru": "gru_after", "lstm": "lstm"}


def _gru(rng: np.random.Generator, features: int, units: int) -> Graph:
    weights = _uniform(rng, ("reset", "update", "new"), features, units)
    weights["new.recurrent_bias"] = np.zeros(units, np.float32)
    return gru_cell("gru", features, units, weights, sequence=False)


def _lstm(rng: np.random.Generator, features: int, units: int) -> Graph:
    weights = _uniform(rng, ("input", "forget", "cell", "output"), features, units)
    weights["forget.bias"] += np.float32(FORGET_BIAS)
    return lstm_cell("lstm", features, units, weights, sequence=False)


def _uniform(rng: np.random.Generator, gates: Sequence[str], features: int, units: int) -> Weights:
    reach = 1 / math.sqrt(units)
    shapes = {"input": (units, features), "recurrent": (units, units)}
    made = {
        f"{gate}.{role}": rng.uniform(-reach, reach, shape).astype(np.float32)
        for gate in gates
        for role, shape in shapes.items()
    }
    return made | {f"{gate}.bias": np.zeros(units, np.float32) for gate in gates}
