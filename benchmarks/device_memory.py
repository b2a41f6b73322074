"""Planned against measured memory of whole networks on devices.

Firmware is run on a few random inputs with arena and stack painted before; `benchmarks/mcu.py` compares
outputs on many inputs. Writes results/device_memory.{json,md}, in a few minutes.
"""

from __future__ import annotations

import argparse
import json
from typing import Any

from benchmarks.common import progress, write_results
from benchmarks.device_networks import CASES, integers
from benchmarks.firmware import ROOMY, on_device
from smidgen.emit.c_golden import random_inputs
from smidgen.measure.memory_map import memory_map
from smidgen.run.reference import run_integer
from smidgen.targets import load_target

TARGETS = ("cortex-m0", "cortex-m3", "cortex-m4", "cortex-m7", "cortex-m33", "cortex-m55", "rv32imc")
INPUTS = 3


def row(name: str, target: str, inputs: int) -> dict[str, Any]:
    """One network on one device."""
    graph, device = integers(name), load_target(target).model_copy(update=ROOMY)
    (x,) = random_inputs(graph, inputs)
    expected = run_integer(graph, x)
    planned = memory_map(graph, device)
    made = on_device(graph, x, device)
    found, sizes = made.ran, made.sizes
    return {
        "network": name,
        "target": target,
        "inputs": inputs,
        "inputs that differ": int((found.outputs[0] != expected).reshape(inputs, -1).any(axis=1).sum()),
        "planned arena": planned.arena_bytes,
        "measured arena": found.arena_bytes,
        "lower bound": planned.live_peak_bytes,
        "alignment": planned.alignment_bytes_lost,
        "planned RAM": planned.ram_bytes,
        "measured RAM": sizes["ram_bytes"],
        "stack reserved": device.stack_bytes,
        "stack used": found.stack_bytes,
        "code": sizes["code_bytes"],
        "flash": sizes["flash_bytes"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--inputs", type=int, default=INPUTS)
    parser.add_argument("--target", choices=TARGETS, action="append", help="only this; printed, not written")
    asked = parser.parse_args()
    pairs = [(name, target) for target in asked.target or TARGETS for name in CASES]
    rows = [row(name, target, asked.inputs) for name, target in progress(pairs, "networks x devices")]
    if asked.target:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    write_results(
        "device_memory",
        "Planned and measured memory on devices",
        rows,
        "Bytes. Measured on emulated firmware: the arena by paint that was overwritten, RAM and flash "
        "from the linked ELF file (arena, inputs, outputs and the reserved stack; code and constants, "
        "with startup code), the stack by paint. Lower bound: the most bytes alive at any node. Random "
        "weights; inputs uniform over their grid; all bytes of all outputs are compared.",
    )


if __name__ == "__main__":
    main()
