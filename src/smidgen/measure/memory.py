"""RAM of an integer network: what its plan allocates, and what an instrumented run really keeps alive."""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.graph import Graph, Node
from smidgen.graph.planner import plan_memory
from smidgen.lower.program import Program
from smidgen.measurement import Measurement
from smidgen.numerics import Array
from smidgen.run.reference import executable_weights, run_integer


def activation_bytes(program: Program) -> int:
    """Arena, inputs and outputs of one sample: what the network's RAM buffers take on a device."""
    return program.arena_bytes + sum(port.nbytes for port in (*program.inputs, *program.outputs))


def host_ram(program: Program) -> Measurement:
    """`ram_bytes` on a host, where weights are in RAM too: buffers and constants, as they are allocated.

    Portable kernels need no more. Those for vector units keep a packed copy of the weights besides, and room
    for several samples once a batch has come: a choice of this processor's speed over memory, not counted.
    """
    constants = sum(int(constant.array.nbytes) for constant in program.constants)
    return Measurement("ram_bytes", float(activation_bytes(program) + constants), "byte", "measured")


def reference_ram(graph: Graph) -> Measurement:
    """`ram_bytes`, modelled, where a part has no kernel: planned buffers, ports and weights."""
    ports = sum(graph.values[name].nbytes for name in (*graph.inputs, *graph.outputs))
    weights = sum(int(array.nbytes) for array in executable_weights(graph).values())
    total = plan_memory(graph).arena_bytes + ports + weights
    return Measurement("ram_bytes", float(total), "byte", "modelled")


def observed_live_bytes(graph: Graph, x: Array) -> int:
    """The most bytes of intermediate values alive while the reference runs one sample `x` [1, ...].

    Independent of the planner: values are seen as they are made and dropped after their last reader. It
    counts neither padding for alignment nor values that share their bytes.
    """
    outside = {*graph.inputs, *graph.outputs}
    left = {name: len(graph.consumers(name)) for name in graph.values}
    alive: dict[str, int] = {}
    peak = 0

    def record(node: Node, outputs: Sequence[Array]) -> None:
        nonlocal peak
        for name, array in zip(node.outputs, outputs, strict=True):
            if name not in outside:
                alive[name] = int(array.nbytes)
        peak = max(peak, sum(alive.values()))
        for name in node.inputs:
            left[name] -= 1
            if not left[name]:
                alive.pop(name, None)

    run_integer(graph, x, record)
    return peak
