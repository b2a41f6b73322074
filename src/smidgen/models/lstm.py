"""LSTM classifier: one layer of 192 units times the width, its last hidden state into a linear layer."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph import Graph
from smidgen.models.recurrent import classifier

UNITS = 192


def build(input_shape: Sequence[int], classes: int, width: float = 1.0, seed: int = 0) -> Graph:
    """The network for input [T, ..] and `classes` outputs; fresh weights from `seed`. Raises BadInput."""
    return classifier("lstm", input_shape, classes, UNITS, width, seed)
