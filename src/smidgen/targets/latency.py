"""Modelled latency on a microcontroller. A model, not a measurement: it is always labelled so.

    latency = (MACs + element operations) * cycles_per_mac / clock

`cycles_per_mac` stands in each target's file: instructions per operation of the reference kernels at -Os,
counted in the emulator over ResNet-8, DS-CNN, a small CNN and an MLP (they differ by up to a factor of two),
times an assumed number of cycles per instruction. One element operation (a pool's tap, an addition, a table
look-up, a decoded weight) is charged like one multiply-accumulate. Flash wait states, caches and the overhead
of calls are not modelled, nor that weights multiplied as they are stored take more instructions (21 each at 4
bits) or, sparse ones, fewer: compare candidates by it, promise no deadlines.
"""

from __future__ import annotations

from smidgen.errors import Unsupported
from smidgen.graph.core import Graph
from smidgen.graph.cost import element_operations, macs
from smidgen.measurement import Measurement
from smidgen.targets.target import Target


def modelled_latency(graph: Graph, target: Target) -> Measurement:
    """`latency_ms` of one sample in milliseconds, how="modelled". Raises Unsupported for hosts."""
    if target.cycles_per_mac is None or target.clock_mhz is None:
        remedy = "Measure the latency on this computer instead"
        raise Unsupported(f"target {target.name}", "it has no latency model", "", remedy)
    operations = sum(macs(graph).values()) + sum(element_operations(graph).values())
    milliseconds = operations * target.cycles_per_mac / (target.clock_mhz * 1e3)
    return Measurement("latency_ms", milliseconds, "ms", "modelled")
