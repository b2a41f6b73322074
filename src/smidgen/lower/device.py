"""Where a device has its weights while a layer runs: as they are stored, or expanded into the arena."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.lower.decode import worth_expanding
from smidgen.lower.program import Program
from smidgen.lower.schedule import expand_weights, schedule

Weights = Literal["stored", "expanded"]


@dataclass(frozen=True)
class OnDevice:
    """`graph` as it is executed (with its `q.decode` nodes), and the program that does it."""

    graph: Graph
    program: Program


def on_device(graph: Graph, weights: Weights) -> OnDevice:
    """`graph` scheduled for a device whose weights lie in read-only memory.

    `weights` that are smaller than int8 are

    - `stored`: multiplied where they lie, in their packed form: no memory for them, but each is unpacked
      again for every 32 outputs of its channel;
    - `expanded`: unpacked once a run into the arena, for the faster kernels of int8 weights. Weights in the
      body of a recurrence, which would be expanded in every step, are multiplied where they lie.

    Raises:
        BadInput: another word.
        Unsupported: lists everything that has no kernel.
    """
    if weights not in get_args(Weights):
        raise BadInput("weights", f"{weights!r} is unknown", f"there are {', '.join(get_args(Weights))}")
    executed = graph if weights == "stored" else expand_weights(graph)
    return OnDevice(executed, schedule(executed, worth_expanding))
