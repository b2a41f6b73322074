"""A spoken-digit recogniser for a Cortex-M0 with 32 KB of flash and 4 KB of RAM, found by `smidgen compress`.

The chosen network's firmware is built for the M0 and run in the emulator on the whole test split: the
accuracy is that of the firmware's own bytes. Audio features are computed off the device. Searches are kept
in runs/benchmark-tiny-m0 and go on where they were stopped. Writes results/tiny_m0.{json,md}.
"""

from __future__ import annotations

import argparse
import statistics
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import progress, write_results
from benchmarks.firmware import on_device
from smidgen.api import compress
from smidgen.codec.container import read_smg
from smidgen.measure.accuracy import quantized_inputs
from smidgen.measure.memory_map import memory_map
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.tasks import load_task

TASKS = ("spoken_digits",)  # name others with --task
TARGET, BUDGET = "cortex-m0", "flash=32KB,ram=4KB"
MAX_DROP = 2.0  # points on validation
RUNS = Path("runs/benchmark-tiny-m0")


def row(name: str, time: str) -> dict[str, Any]:
    """Search, then prove the chosen network on the test split."""
    found = compress(name, target=TARGET, budget=BUDGET, max_drop=MAX_DROP, time=time, out=RUNS / name)
    chosen = found.result.require_chosen()
    graph = read_smg(found.folder / "chosen" / "model.smg").graph
    task, test = load_task(name), load_task(name).load().test
    x = quantized_inputs(graph, test.x)
    made = on_device(graph, x, load_target(TARGET))
    device, sizes = made.ran, made.sizes
    logits = device.outputs[0]
    if not np.array_equal(logits, run_integer(graph, x)):
        raise SystemExit(f"{name}: the firmware's outputs differ from the reference")
    planned = memory_map(graph, load_target(TARGET))
    return {
        "task": name,
        "recipe": chosen.label,
        "flash bytes": sizes["flash_bytes"],
        "code bytes": sizes["code_bytes"],
        "RAM bytes": sizes["ram_bytes"],
        "planned RAM": planned.ram_bytes,
        "arena": device.arena_bytes,
        "planned arena": planned.arena_bytes,
        "stack used": device.stack_bytes,
        "instructions": int(statistics.median(device.counts)),
        "test inputs": len(test),
        "test accuracy %": round(float((logits.argmax(axis=1) == test.y).mean() * 100), 2),
        "float32 test %": round(reference.accuracy, 2) if (reference := found.result.reference_test) else "–",
        "features": task.features or "none, raw samples",
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", default="5m", help="of each search")
    parser.add_argument("--task", action="append", help="only this; printed, not written")
    asked = parser.parse_args()
    rows = [row(name, asked.time) for name in progress(asked.task or TASKS, "tasks")]
    if asked.task:
        print(rows)
        return
    write_results(
        "tiny_m0",
        "A Cortex-M0 with 32 KB of flash and 4 KB of RAM",
        rows,
        f"`smidgen compress TASK --target {TARGET} --budget {BUDGET} --max-drop {MAX_DROP:g}`, "
        f"{asked.time} a search. Flash and RAM measured on the linked firmware, 1,024 bytes of stack "
        "reserved in RAM; accuracy is that of the emulated firmware on the whole test split, every output"
        " byte equal to the reference's; instructions emulated (median of the inputs). Features are "
        "computed off the device and cost it nothing here.",
    )


if __name__ == "__main__":
    main()
