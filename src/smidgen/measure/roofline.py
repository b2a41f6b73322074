"""Where a plan's time goes, layer by layer, and how near each layer is to what the processor can do.

A layer computes and moves operands at the same time, so it can't be faster than the slower of the two. Its
constants were last read one sample ago: they come from the level that holds all that a sample touches. Its
inputs and outputs pass through the level that holds them alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from smidgen.graph.cost import macs
from smidgen.kernels.call import in_blocks
from smidgen.lower.program import Call, Program
from smidgen.measure.agreement import random_inputs
from smidgen.measure.ceilings import Ceilings
from smidgen.run.native import NativePlan

COMPUTE = "compute"
ROWS_OF_TILES = 16


@dataclass(frozen=True)
class LayerTime:
    """One node.

    Attributes:
        seconds: median for one sample.
        operations: two for each multiply-accumulate that is computed (empty blocks are not); 0 for layers
            that only move and adapt values.
        constant_bytes: weights and tables that it reads, each loop turn anew; packed if they are fewer so.
        moved_bytes: inputs and outputs.
        bound: what limits it: `compute`, or the level of memory, `L1` to `DRAM`.
        fraction: the least time that the ceilings allow, as a share of `seconds`.
        kernels: what runs its calls, e.g. `avx512`.
    """

    node: str
    seconds: float
    operations: int
    constant_bytes: int
    moved_bytes: int
    bound: str
    fraction: float
    kernels: tuple[str, ...]


def layer_times(plan: NativePlan, ceilings: Ceilings, repeats: int = 200) -> list[LayerTime]:
    """Every node that runs kernels, in order, timed on one random sample."""
    inputs = [random_inputs(plan.graph, 1, name=name) for name in plan.graph.inputs]
    seconds = plan.layer_seconds(inputs, repeats)
    counts, reads = macs(plan.graph), constant_reads(plan)
    spared = sum(stored - read for stored, read in zip(_stored(plan.program), reads, strict=True))
    touched = touched_bytes(plan.program) - spared
    found = []
    for node, took in seconds.items():
        numbers = [i for i, call in enumerate(plan.program.calls) if call.node == node]
        calls = [plan.program.calls[i] for i in numbers]
        kernels = tuple(dict.fromkeys(plan.chosen[i] for i in numbers))
        constant = sum(calls[j].turns * reads[i] for j, i in enumerate(numbers))
        share = float(np.mean([_share_computed(plan, i) for i in numbers]))
        operations = round(2 * counts.get(node, 0) * share)
        found.append(_layer(node, took, operations, constant, calls, kernels, touched, ceilings))
    return found


def constant_reads(plan: NativePlan) -> list[int]:
    """Bytes of constants that each call reads in a turn: the stored ones, or what its kernel made of them."""
    return [
        min(stored, packed or stored)
        for stored, packed in zip(_stored(plan.program), plan.packed_bytes, strict=True)
    ]


def _stored(program: Program) -> list[int]:
    return [sum(p.nbytes for p in call.pointers if p and p.space == "constant") for call in program.calls]


def _share_computed(plan: NativePlan, number: int) -> float:
    """Of a call's products: a kernel for blocks skips those of 16 outputs with an input that are empty."""
    call = plan.program.calls[number]
    if not plan.chosen[number].endswith("blocks"):
        return 1.0
    weight = call.pointers[1]
    assert weight is not None, "linear layers have one"
    dense = plan.program.constants[weight.index].array.reshape(dict(call.args)["out"], -1)
    return float(in_blocks(dense).any(axis=2).mean())


def touched_bytes(program: Program) -> int:
    """All that one sample reads and writes: constants, arena, inputs and outputs."""
    ports = sum(port.nbytes for port in (*program.inputs, *program.outputs))
    return sum(constant.array.nbytes for constant in program.constants) + program.arena_bytes + ports


def _layer(
    node: str,
    seconds: float,
    operations: int,
    constant: int,
    calls: Sequence[Call],
    kernels: tuple[str, ...],
    touched: int,
    ceilings: Ceilings,
) -> LayerTime:
    moved = sum(call.turns * p.nbytes for call in calls for p in call.pointers if p and p.space != "constant")
    at_once = max(sum(p.nbytes for p in call.pointers if p and p.space != "constant") for call in calls)
    levels = (ceilings.level(touched), ceilings.level(at_once))
    loads = [n / ceilings.bandwidth[level] for n, level in zip((constant, moved), levels, strict=True)]
    compute = operations / ceilings.operations[_arithmetic(calls, kernels)]
    bound = COMPUTE if compute >= sum(loads) else levels[loads.index(max(loads))]
    least = max(compute, sum(loads))
    return LayerTime(node, seconds, operations, constant, moved, bound, least / seconds, kernels)


def _arithmetic(calls: Sequence[Call], kernels: Sequence[str]) -> str:
    """What the calls compute with. Linear layers leave few rows to AVX-512."""
    rows = max(dict(call.args).get("rows", 1) for call in calls)
    if "amx tiles" in kernels or ("amx" in kernels and rows >= ROWS_OF_TILES):
        return "tiles"
    return "popcount" if any("binary" in call.kernel for call in calls) else "dot"
