"""ResNet-8 with its first layers in strips: RAM against multiplications, on a Cortex-M0 with 32 KB of RAM.

The first residual block needs three whole maps at once, 48 KB. In strips they need what the rows of one strip
do, and the rows that neighbouring strips share are computed twice. Writes results/patches.{json,md}, in about
a minute.

    python -m benchmarks.patches
"""

from __future__ import annotations

from typing import Any

import numpy as np

from benchmarks.common import progress, write_results
from benchmarks.device_networks import integers
from benchmarks.firmware import ROOMY, on_device
from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs
from smidgen.emit.c_schedule import PATCHES, ram_bytes
from smidgen.graph.cost import macs
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.target import Target

NETWORK, INPUTS = "ResNet-8", 2
DEVICE = load_target("cortex-m0")
HOW = """\
{network} for 32 x 32 x 3 inputs, int8, random weights (RAM depends on shapes alone), emulated {device}.
Strips as in `smidgen export c --patches N`; 1: whole. RAM is measured on the linked firmware: arena, inputs,
outputs and {stack:,} bytes of stack; the arena by paint that was overwritten. Instructions are emulated, of
the sample that takes most. Every byte of all outputs on {inputs} inputs equals the reference's of the whole
network. Without `--patches`, export takes the fewest strips that fit: {fewest} of the {ram:,} bytes."""


def row(strips: int) -> dict[str, Any]:
    """The firmware with `strips` strips, on a device that has room for any."""
    graph, emitter = integers(NETWORK), CEmitter(patches=strips if strips > 1 else 0)
    roomy = DEVICE.model_copy(update=ROOMY)
    executed = emitter.scheduled(graph, roomy)
    (x,) = random_inputs(graph, INPUTS)
    made = on_device(graph, x, roomy, emitter)
    if not np.array_equal(made.ran.outputs[0], run_integer(graph, x)):
        raise SystemExit(f"{strips} strips: the firmware's outputs differ from the reference")
    extra = sum(macs(executed.graph).values()) / sum(macs(graph).values()) - 1
    return {
        "strips": strips,
        "planned arena": executed.plan.arena_bytes,
        "measured arena": made.ran.arena_bytes,
        "planned RAM": ram_bytes(executed, roomy),
        "measured RAM": made.sizes["ram_bytes"],
        "fits": "yes" if made.sizes["ram_bytes"] <= (DEVICE.ram_bytes or 0) else "no",
        "more multiplications %": round(100 * extra, 1),
        "instructions": made.ran.total_instructions,
        "flash": made.sizes["flash_bytes"],
    }


def fewest(device: Target) -> str:
    """What export does by itself: how many strips, and what they take."""
    executed = CEmitter().scheduled(integers(NETWORK), device)
    strips = sum(node.name.endswith(".rows") and len(node.inputs) for node in executed.graph.nodes)
    return f"{strips}, with {ram_bytes(executed, device):,}"


def main() -> None:
    rows = [row(strips) for strips in progress((1, *PATCHES), "strips")]
    how = HOW.format(
        network=NETWORK,
        device=DEVICE.name,
        stack=DEVICE.stack_bytes,
        inputs=INPUTS,
        fewest=fewest(DEVICE),
        ram=DEVICE.ram_bytes,
    )
    write_results("patches", "A residual network in strips", rows, how)


if __name__ == "__main__":
    main()
