"""Everything that can be measured about one artifact without data."""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs as golden_inputs
from smidgen.graph import Graph
from smidgen.measure.agreement import random_inputs
from smidgen.measure.cost import cost_per_million
from smidgen.measure.device import measure_device
from smidgen.measure.energy import modelled_energy
from smidgen.measure.memory import host_ram, reference_ram
from smidgen.measure.size import file_size
from smidgen.measure.timing import latency, throughput
from smidgen.measurement import Measurement
from smidgen.run.native import NativePlan
from smidgen.run.plans import plan_of
from smidgen.targets.cores import can_emulate
from smidgen.targets.cross import measure_cross
from smidgen.targets.latency import modelled_latency
from smidgen.targets.target import Target

BATCHES = (1, 16, 64)


def measurements_of(graph: Graph, file: Path, target: Target) -> list[Measurement]:
    """Size and modelled energy always; on hosts RAM, latency and throughput; on microcontrollers the linked
    firmware's flash and RAM, its emulated instructions and what follows from them; the cost where the target
    has a price.
    """
    found = [file_size(file), *_measured(graph, target), *modelled_energy(graph, target)]
    return [*found, *cost_per_million(found, target)]


def _measured(graph: Graph, target: Target) -> list[Measurement]:
    if target.kind != "host":
        return _on_device(graph, target)
    plan = plan_of(graph)
    x = random_inputs(graph, max(BATCHES))
    times = latency(partial(plan.run, x[:1]))
    ram = host_ram(plan.program) if isinstance(plan, NativePlan) else reference_ram(graph)
    return [ram, *times, throughput(lambda n: plan.run(x[:n]), BATCHES)]


def _on_device(graph: Graph, target: Target) -> list[Measurement]:
    if can_emulate(target):
        report = measure_device(graph, target, golden_inputs(graph))
        report.require_exact()
        return list(report.measurements)
    emitter = CEmitter()
    with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
        emitter.emit(graph, target, Path(scratch) / "c")
        found = measure_cross(Path(scratch) / "c", target)
    return [*found, modelled_latency(emitter.scheduled(graph, target).graph, target)]
