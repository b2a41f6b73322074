"""Golden vectors: what the exact reference computes for a few samples, layer by layer."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.numerics import Array
from smidgen.run.reference import run_integer

GOLDEN_SAMPLES = 3


@dataclass(frozen=True)
class Golden:
    """What every build must reproduce: inputs, outputs [n, ...], and layers' CRC-32, uint32 [n, layers]."""

    inputs: tuple[Array, ...]
    outputs: tuple[Array, ...]
    layer_crc: Array

    @property
    def samples(self) -> int:
        return len(self.inputs[0])


def golden_vectors(graph: Graph, layers: Sequence[str], inputs: Sequence[Array] = ()) -> Golden:
    """Run the reference on `inputs` ([n, ...] each; by default random ones, always the same).

    `layers` names the nodes to take checksums of.
    """
    x = tuple(inputs) or random_inputs(graph)
    made: dict[str, Array] = {}

    def watch(node: Node, outputs: Sequence[Array]) -> None:
        made.update(zip(node.outputs, outputs, strict=True))

    run_integer(graph, x, watch)
    values = [graph.node(name).output for name in layers]
    crc = np.array([[_crc(graph, made, v, i) for v in values] for i in range(len(x[0]))], dtype=np.uint32)
    outputs = tuple(np.ascontiguousarray(made[name]) for name in graph.outputs)
    return Golden(x, outputs, crc.reshape(len(x[0]), len(values)))


def random_inputs(graph: Graph, samples: int = GOLDEN_SAMPLES) -> tuple[Array, ...]:
    """Random integers [samples, ...] over the whole grid of each input; the same for the same graph."""
    rng = np.random.default_rng(0)
    made = []
    for name in graph.inputs:
        value = graph.values[name]
        if value.grid is None:
            raise BadInput(name, "an input without a grid", "integer graphs quantize it", "Lower the graph")
        q = rng.integers(value.grid.qmin, value.grid.qmax, (samples, *value.shape), endpoint=True)
        made.append(q.astype(value.dtype))
    return tuple(made)


def _crc(graph: Graph, made: dict[str, Array], value: str, sample: int) -> int:
    found = made[value][sample] if graph.values[value].batched else made[value]
    return zlib.crc32(np.ascontiguousarray(found).tobytes())
