"""Recurrent states at rest: what a network starts from where nobody gives it a state."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from smidgen.graph.core import Graph, Value
from smidgen.graph.scan import SCANS
from smidgen.numerics import Array


def with_rest(graph: Graph, inputs: Sequence[Array]) -> tuple[Array, ...]:
    """The inputs, and zeros for those that are left out where they only start a recurrence."""
    absent = graph.inputs[len(inputs) :]
    starts = all(
        reader.op in SCANS and name not in reader.inputs[:1]
        for name in absent
        for reader in graph.consumers(name)
    )
    if not inputs or not starts:
        return tuple(inputs)
    samples = inputs[0].shape[0] if inputs[0].ndim else 1
    return (*inputs, *(at_rest(graph.values[name], samples) for name in absent))


def at_rest(value: Value, samples: int) -> Array:
    """Real zeros [samples, ..], as the integer that stands for them where the value has a grid."""
    zero = 0 if value.grid is None or value.dtype == "float32" else value.grid.zero
    return np.full((samples, *value.shape), zero, dtype=value.dtype)
