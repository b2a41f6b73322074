"""The oracle: an exact interpreter of lowered graphs, in NumPy, needing nothing else.

Every other back end is compared with this one, bit for bit.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from smidgen.formats import Format, Integer
from smidgen.graph import Graph, Node
from smidgen.numerics import Array
from smidgen.run.float_ops import FLOAT_FUNCTIONS
from smidgen.run.integer_ops import INTEGER_FUNCTIONS
from smidgen.run.interpreter import Watch, interpret_chunks

FUNCTIONS = {**FLOAT_FUNCTIONS, **INTEGER_FUNCTIONS}


def executable(fmt: Format) -> Array:
    """What a kernel multiplies with: exact integers where the format has them, real numbers otherwise."""
    if isinstance(fmt, Integer):
        return fmt.array
    whole = fmt.integers()
    return fmt.decode() if whole is None else whole.values


def executable_weights(graph: Graph) -> dict[str, Array]:
    """What a weight's node multiplies with: integers for integer operators, real numbers for float ones."""
    real = {name for node in graph.nodes if not node.op.startswith("q.") for name in node.params.values()}
    return {name: fmt.decode() if name in real else executable(fmt) for name, fmt in graph.weights.items()}


def run_integer(graph: Graph, x: Array | Sequence[Array], watch: Watch | None = None) -> Array:
    """The first output of a lowered graph for inputs [n, ...] of its input types (int8 where quantized)."""
    return run_integer_all(graph, x, watch)[0]


def run_integer_all(
    graph: Graph, x: Array | Sequence[Array], watch: Watch | None = None
) -> tuple[Array, ...]:
    """All outputs of a lowered graph, in their order; otherwise like `run_integer`."""
    weights = executable_weights(graph)
    inputs = [x] if isinstance(x, np.ndarray) else list(x)
    typed = [
        np.asarray(a).astype(graph.values[name].dtype, casting="same_kind")
        for name, a in zip(graph.inputs, inputs)
    ]
    return interpret_chunks(graph, typed, FUNCTIONS, weights.__getitem__, watch)


def layer_checksums(graph: Graph, x: Array | Sequence[Array]) -> dict[str, int]:
    """CRC-32 of every layer's output bytes over the whole batch, by node name."""
    sums: dict[str, int] = {}
    layers = {node.name for node in graph.nodes}

    def record(node: Node, outputs: Sequence[Array]) -> None:
        if node.name in layers:
            sums[node.name] = zlib.crc32(np.ascontiguousarray(outputs[0]).tobytes())

    run_integer(graph, x, record)
    return sums
