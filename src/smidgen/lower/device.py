"""Where a device has its weights while a layer runs: as stored, or expanded into the arena."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, cast, get_args

from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.graph.planner import MemoryPlan, plan_memory
from smidgen.graph.scan import SCANS, body_of, steps_of
from smidgen.lower.coded import CodedWeight
from smidgen.lower.decode import worth_expanding
from smidgen.lower.program import Program
from smidgen.lower.schedule import NOT_CODED, coded_scratch, expand_weights, schedule
from smidgen.lower.stored_calls import IN_PLACE

Weights = Literal["stored", "expanded", "coded"]
OUTPUTS_A_WEIGHT = 16  # that it is unpacked for at least: kernels/c/dsp/smg_q_conv_stored.h; 32 without SIMD


@dataclass(frozen=True)
class OnDevice:
    """`graph` as it is executed (with its `q.decode` nodes), and the program that does it."""

    graph: Graph
    program: Program
    plan: MemoryPlan


def weights_named(word: str) -> Weights | None:
    """One of `Weights`, None for an empty word. Raises BadInput."""
    for name in get_args(Weights):
        if word == name:
            return cast(Weights, name)
    if word:
        raise BadInput("weights", f"{word!r} is unknown", f"there are {', '.join(get_args(Weights))}")
    return None


def on_device(graph: Graph, weights: Weights, coded: Mapping[str, CodedWeight] = NOT_CODED) -> OnDevice:
    """`graph` scheduled for a device whose weights lie in read-only memory.

    `weights` that are smaller than int8 are

    - `stored`: multiplied where they lie, in their packed form: no memory for them, but each is unpacked
      again for every `OUTPUTS_A_WEIGHT` outputs of its channel;
    - `expanded`: unpacked once a run into the arena, for the faster kernels of int8 weights. Weights in the
      body of a recurrence, which would be expanded in every step, are multiplied where they lie.
    - `coded`: those of `coded` lie entropy-coded and are decoded once a run into the arena, which takes the
      least flash, and memory for the layer and its decoder; the others are multiplied where they lie.

    Raises:
        Unsupported: lists everything that has no kernel.
    """
    executed = graph
    if weights == "expanded":
        executed = expand_weights(graph)
    elif weights == "coded":
        chosen = {graph.weights[name] for name in coded}
        executed = expand_weights(graph, lambda fmt: fmt in chosen)
    plan = plan_memory(executed, scratch=coded_scratch(executed, coded))
    return OnDevice(executed, schedule(executed, worth_expanding, coded), plan)


def unpackings(executed: Graph) -> dict[str, int]:
    """How many weights each layer unpacks while it multiplies them where they lie, by name, for one sample.

    `executed` as in `OnDevice`. A scan has those of all its steps.
    """
    counted = ((node.name, _unpackings(executed, node)) for node in executed.nodes)
    return {name: count for name, count in counted if count}


def _unpackings(graph: Graph, node: Node) -> int:
    if node.op in SCANS:
        return steps_of(node, graph.values) * sum(unpackings(body_of(node, graph.weights)).values())
    fmt = graph.weights.get(node.params.get("weight", ""))
    if node.op not in IN_PLACE or fmt is None or not worth_expanding(fmt):
        return 0
    shape = graph.values[node.output].shape
    return math.prod(fmt.shape) * -(-math.prod(shape[:-1]) // OUTPUTS_A_WEIGHT)
