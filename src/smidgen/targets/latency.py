"""Latency and energy on a device. Models, not measurements: they are always labelled so.

    latency = instructions * cycles_per_instruction / clock
    energy  = instructions * cycles_per_instruction * cycle_pj

Instructions are counted in an emulator, exactly; cycles an instruction are an assumption that stands in each
target's file. Where nothing emulates a core,

    latency = (MACs + element operations + unpacked weights) * cycles_per_mac / clock

with instructions an operation that differ by up to a factor of two between networks. One element operation (a
pool's tap, an addition, a table look-up, a decoded weight) is charged like one multiply-accumulate, and so is
each weight that a kernel unpacks to multiply it (again for every few outputs); that sparse weights leave
products out and take more for each of the others is not modelled. Flash wait states and caches are not
modelled: compare candidates, promise no deadlines.
"""

from __future__ import annotations

from collections.abc import Sequence
from statistics import pstdev

from smidgen.errors import Unsupported
from smidgen.graph.core import Graph
from smidgen.graph.cost import element_operations, macs
from smidgen.lower.device import unpackings
from smidgen.measurement import Measurement
from smidgen.targets.target import Target


def modelled_latency(executed: Graph, target: Target) -> Measurement:
    """`latency_ms` of one sample in milliseconds, how="modelled", of a graph as it is executed (see
    `lower.device.OnDevice`). Raises Unsupported for hosts.
    """
    if target.cycles_per_mac is None or target.clock_mhz is None:
        remedy = "Measure the latency on this computer instead"
        raise Unsupported(f"target {target.name}", "it has no latency model", "", remedy)
    operations = sum(sum(count(executed).values()) for count in (macs, element_operations, unpackings))
    milliseconds = operations * target.cycles_per_mac / (target.clock_mhz * 1e3)
    return Measurement("latency_ms", milliseconds, "ms", "modelled")


def instruction_costs(counts: Sequence[int], target: Target) -> list[Measurement]:
    """`instructions` (emulated) of the slowest of several samples, and the latency and, where the target
    states `cycle_pj`, the energy that follow from it (modelled). `spread` is the standard deviation.
    """
    assert target.clock_mhz is not None, "checked by Target"
    most, spread, n = max(counts), pstdev(counts), len(counts)
    cycles = most * target.cycles_per_instruction
    found = [
        Measurement("instructions", float(most), "", "emulated", n, spread),
        Measurement("latency_ms", cycles / (target.clock_mhz * 1e3), "ms", "modelled"),
    ]
    if target.cycle_pj is not None:
        found.append(Measurement("core_energy_uj", cycles * target.cycle_pj / 1e6, "uJ", "modelled"))
    return found
