"""The smartwatch recogniser on a Cortex-M0 with 32 KB of flash and 4 KB of RAM.

A window of 200 x 6 bytes and the reserved stack take 2,232 bytes of the 4 KB: what is left holds the maps of
the network of half the width, computed in strips. The width is the largest that fits, found before any
training. The test split is opened once, at the end; the firmware is emulated on its first windows, and every
byte of its outputs must be the reference's. Each seed is stored at once: a second start goes on from there.

    python -m benchmarks.tiny_watch
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np

from benchmarks.common import RESULTS, progress, write_results
from benchmarks.firmware import on_device
from smidgen.data.dataset import Splits
from smidgen.graph import Graph
from smidgen.learn.fit import float_logits
from smidgen.lower import lower
from smidgen.measure.accuracy import predict, quantized_inputs
from smidgen.measure.memory_map import memory_map
from smidgen.methods import Context
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.tasks import load_task

FILE = RESULTS / "tiny_watch.json"
DEVICE = load_target("cortex-m0").model_copy(update={"flash_bytes": 32 << 10, "ram_bytes": 4 << 10})
TASK = load_task("watch")
SEEDS = (0, 1, 2)
WIDTHS = (1.0, 0.75, 0.5, 0.25)
EMULATED = 200  # windows of the test split
HOW = """\
`watch`, subjects 9 and 10 are the test set; its network at width {width}, the largest of {widths}
whose memory map fits, trained with the task's own settings ({epochs} epochs) and quantized to int8 after
training. Flash and RAM are measured on the linked firmware: the arena, {ports:,} bytes of input and output,
{stack:,} bytes of stack, of which the emulator saw the bytes under "stack used". Accuracy is of all {windows}
test windows; the firmware computed the first {emulated} of them in the emulator, all bytes of its outputs
equal to the reference's. Without strips the same network takes {whole:,} bytes of RAM. No features: the input
is the raw, standardised signal. Over {seeds} seeds: float {float}, on the device {integer} (mean ± standard
deviation)."""


@dataclass(frozen=True)
class Fitting:
    """The largest network that fits: its width, and what it takes in RAM with strips and without."""

    width: float
    ram_bytes: int
    whole_ram_bytes: int
    port_bytes: int


def fitting(data: Splits) -> Fitting:
    """The memory map follows from shapes: untrained weights do."""
    for width in WIDTHS:
        graph = TASK.model(width)
        integers = lower(AffineQuantization().apply(graph, Context(data, graph)))
        cut = memory_map(integers, DEVICE)
        whole = memory_map(integers, DEVICE.model_copy(update={"ram_bytes": None}))
        if cut.ram_bytes <= (DEVICE.ram_bytes or 0) and cut.model_bytes <= (DEVICE.flash_bytes or 0):
            return Fitting(width, cut.ram_bytes, whole.ram_bytes, cut.port_bytes)
    raise SystemExit(f"no width of {WIDTHS} fits {DEVICE.ram_bytes} bytes of RAM")


def row(data: Splits, seed: int, width: float) -> dict[str, Any]:
    """Train, quantize, build for the device, run there."""
    trained = TASK.baseline(data, width, seed)
    graph = lower(AffineQuantization().apply(trained, Context(data, trained, seed)))
    labels = predict(graph, native_plan(graph).run, data.test.x)
    return {
        "seed": seed,
        "width": width,
        "float test %": _percent(float_logits(trained, data.test.x).argmax(axis=1) == data.test.y),
        "test accuracy %": _percent(labels == data.test.y),
        "test windows": len(data.test),
        **measured(graph, quantized_inputs(graph, data.test.x[:EMULATED])),
    }


def measured(graph: Graph, x: np.ndarray) -> dict[str, Any]:
    """Sizes and instructions of the firmware of `graph`; it must agree with the reference on x [n, ...]."""
    made = on_device(graph, x, DEVICE)
    if not np.array_equal(made.ran.outputs[0], run_integer(graph, x)):
        raise SystemExit("the firmware's outputs differ from the reference")
    return {
        "flash bytes": made.sizes["flash_bytes"],
        "code bytes": made.sizes["code_bytes"],
        "RAM bytes": made.sizes["ram_bytes"],
        "arena": made.ran.arena_bytes,
        "planned arena": memory_map(graph, DEVICE).arena_bytes,
        "stack used": made.ran.stack_bytes,
        "instructions": made.ran.total_instructions,
        "windows on the device": len(x),
    }


def main() -> None:
    data = TASK.load()
    found = fitting(data)
    stored = json.loads(FILE.read_text(encoding="utf-8"))["rows"] if FILE.exists() else []
    rows = {run["seed"]: run for run in stored if run["width"] == found.width}
    for seed in progress(SEEDS, "seeds"):
        if seed not in rows:
            rows[seed] = row(data, seed, found.width)
            write(found, list(rows.values()))
    write(found, list(rows.values()))


def write(found: Fitting, rows: list[dict[str, Any]]) -> None:
    how = HOW.format(
        width=found.width,
        widths=", ".join(map(str, WIDTHS)),
        epochs=TASK.training.epochs,
        ports=found.port_bytes,
        stack=DEVICE.stack_bytes,
        windows=rows[0]["test windows"],
        emulated=EMULATED,
        whole=found.whole_ram_bytes,
        seeds=len(rows),
        float=_spread([run["float test %"] for run in rows]),
        integer=_spread([run["test accuracy %"] for run in rows]),
    )
    write_results("tiny_watch", "The watch network in 32 KB of flash and 4 KB of RAM", rows, how)


def _percent(right: np.ndarray) -> float:
    return round(float(right.mean() * 100), 2)


def _spread(values: list[float]) -> str:
    return f"{mean(values):.2f}%" + (f" ± {stdev(values):.2f}" if len(values) > 1 else "")


if __name__ == "__main__":
    main()
