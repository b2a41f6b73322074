"""A binary network as a whole, on MNIST: accuracy, bytes, latency, and the time between its layers.

    python benchmarks/binary_network.py           train what is missing, then time everything anew
    python benchmarks/binary_network.py --time    only time everything anew

Every training is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from benchmarks.common import RESULTS, progress, write_results
from benchmarks.methods.rows import subset
from smidgen.codec.container import pack_smg
from smidgen.data.dataset import Splits
from smidgen.formats import Binary
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.lower import lower
from smidgen.measure.agreement import random_inputs
from smidgen.measure.baselines import baselines
from smidgen.measure.contender import Contender
from smidgen.measure.timing import Timings, interleaved_for
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.reference import run_integer
from smidgen.tasks.task import load_task

NAME = "binary_network"
SEEDS = (0, 1, 2)
ROWS, VALIDATION, CALIBRATION = 5_000, 500, 200
TRAINING = Fit(epochs=4, lr=3e-3, batch_size=64)
KINDS: dict[str, tuple[Step, ...]] = {"binary": (Xnor(),), "int8": ()}
OURS, APART, INT8 = "binary, smidgen", "binary, nothing fused, smidgen", "int8, smidgen"
GOAL = 8.0
SECONDS, LAYER_REPEATS = 15.0, 500
LAYERS = (
    "q.linear",
    "q.conv",
    "q.binary_linear",
    "q.binary_conv",
    "q.binary_linear_bits",
    "q.binary_conv_bits",
)
HOW = """\
MNIST, {rows:,} training and {validation:,} validation images. Convolutions 3×3 of 64 (stride 2), 128, 128,
pool, 128, 128 channels, pool, a linear layer of 10; {macs:.1f} million multiply-accumulates. `binary`:
`binarize.xnor`, so that the first and the last layer are int8 and those between multiply bits with bits;
`int8`: the same network without it. Both {epochs} epochs at one learning rate ({lr}, that of
methods/binarize), then `quantize.affine`. Accuracy in percent of the integer artifact on the test images,
mean ± standard deviation over {seeds} seeds (images, weights, order); bytes of the whole `.smg` file.

Times: median ± interquartile range of single calls, batch 1, one thread, the alternatives in turns, each
timed call behind one that is not; for weights from a seed, as no kernel's time depends on them. ONNX Runtime
and LiteRT run the network with ReLUs that `int8` is. `times faster` is the median ± interquartile range of
the ratios to the binary network within a round. `nothing fused` is the binary network whose scales and
BatchNorms are operators of int8 values and whose signs are taken and packed by themselves. Glue is all but
layers and pools: shares of the time that single calls take (medians of {repeats}).

"""
Runs = dict[str, dict[str, float]]
Row = dict[str, Any]


def network(seed: int) -> Graph:
    blocks = Blocks("digits", (28, 28, 1), seed).conv(64, 3, 2).conv(128, 3).conv(128, 3).max_pool(2)
    return blocks.conv(128, 3).conv(128, 3).max_pool(2).flatten().classify(10)


# Accuracy


def score(steps: tuple[Step, ...], data: Splits, seed: int) -> dict[str, float]:
    """Train one network: test accuracy and bytes of what becomes of it."""
    graph = network(seed)
    whole = lower(Recipe((*steps, TRAINING, AffineQuantization())).apply(graph, Context(data, graph, seed)))
    grid = whole.values[whole.inputs[0]].grid
    assert whole.is_integer
    assert grid is not None
    found = native_plan(whole).run(grid.quantize(data.test.x).astype(np.int8)).argmax(axis=1)
    return {"test": 100 * float((found == data.test.y).mean()), "bytes": len(pack_smg([whole]))}


def trained(runs: Runs) -> Iterator[Runs]:
    """All runs so far, after each that was missing."""
    missing = [(seed, kind) for seed in SEEDS for kind in KINDS if f"{seed}/{kind}" not in runs]
    data = load_task("mnist").load() if missing else None
    for seed, kind in progress(missing, "training"):
        assert data is not None
        runs = {**runs, f"{seed}/{kind}": score(KINDS[kind], subset(data, seed, ROWS, VALIDATION), seed)}
        print(seed, kind, runs[f"{seed}/{kind}"], flush=True)
        yield runs


# Time


def prepared(steps: tuple[Step, ...], data: Splits) -> Graph:
    """The network from a seed, its ranges found, not yet lowered."""
    graph = network(0)
    return Recipe(steps).apply(graph, Context(data, graph, 0))


def with_nothing_fused(graph: Graph) -> Graph:
    """The graph in which every value between binary layers is an output, so that lowering has to make it."""
    kept = [
        n.output for n in graph.nodes if isinstance(graph.weights.get(n.params.get("weight", "")), Binary)
    ]
    for node in graph.nodes:
        source = node.inputs[0] if node.op == "binarize" else None
        while source and source not in (*kept, *graph.inputs):
            kept.append(source)
            maker = graph.producer(source)
            source = maker.inputs[0] if maker and maker.op not in ("conv", "linear") else None
    return replace(graph, outputs=(*graph.outputs, *dict.fromkeys(kept)))


def timed() -> dict[str, Any]:
    """Microseconds of the alternatives, and the shares of layers, pools and glue."""
    data = load_task("mnist").load()
    some = Splits(data.train.take(np.arange(CALIBRATION)), data.validation, data.test, data.classes)
    binary, real = prepared((Xnor(),), some), network(0)
    whole = lower(AffineQuantization().apply(binary, Context(some, binary, 0)))
    apart = with_nothing_fused(binary)
    made = lower(AffineQuantization().apply(apart, Context(some, apart, 0)))
    int8 = lower(AffineQuantization().apply(real, Context(some, real, 0)))
    graphs = {OURS: whole, APART: replace(made, outputs=whole.outputs), INT8: int8}
    plans = {name: checked_plan(graph) for name, graph in graphs.items()}
    x = {name: random_inputs(graph, 1) for name, graph in graphs.items()}
    calls = {name: lambda plan=plan, x=x[name]: plan.run(x) for name, plan in plans.items()}  # type: ignore[misc]
    with tempfile.TemporaryDirectory() as folder:
        for name, opened in baselines(real, int8, 1, Path(folder)):
            if isinstance(opened, Contender):
                calls[name] = opened.call
        times = interleaved_for(calls, SECONDS)
    parts = {name: parts_of(plans[name], x[name]) for name in (OURS, APART)}
    return {"rows": [row(name, times, parts.get(name, {})) for name in calls], "parts": parts}


def checked_plan(graph: Graph) -> NativePlan:
    """The plan, once it agrees with the reference."""
    plan, x = native_plan(graph), random_inputs(graph, 2)
    np.testing.assert_array_equal(plan.run(x), run_integer(graph, x))
    return plan


def parts_of(plan: NativePlan, x: np.ndarray) -> dict[str, float]:
    """Microseconds of layers, pools and glue."""
    found = dict.fromkeys(("layers", "pools", "glue"), 0.0)
    for name, seconds in plan.layer_seconds(x, LAYER_REPEATS).items():
        node = plan.graph.node(name)
        alone = node.op in LAYERS and node.attrs.get("groups", 1) == 1
        found["layers" if alone else "pools" if "pool" in node.op else "glue"] += seconds * 1e6
    return found


def row(name: str, times: Timings, parts: dict[str, float]) -> Row:
    median, _ = times.latency(name)
    found = times.speedup(name, OURS)
    total = sum(parts.values())
    return {
        "alternative": name,
        "µs": f"{median.value * 1e3:.1f} ± {median.spread * 1e3:.1f}",
        "times faster": "" if name == OURS else f"{found.value:.2f} ± {found.spread:.2f}",
        "speedup": found.value,
        **{
            f"{part}, % of time": f"{100 * parts[part] / total:.1f}"
            for part in ("layers", "pools", "glue")
            if parts
        },
    }


# The page


def over(runs: Runs, kind: str, field: str) -> str:
    values = [runs[key][field] for seed in SEEDS if (key := f"{seed}/{kind}") in runs]
    digits = 2 if field == "test" else 0
    deviation = f" ± {stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean(values):,.{digits}f}{deviation}" if values else ""


def verdicts(rows: list[Row]) -> Iterator[str]:
    by_name = {row["alternative"]: row for row in rows}
    speedup = by_name["ORT fp32"]["speedup"]
    verdict = "reached" if speedup >= GOAL else "missed"
    yield f"- At least {GOAL:g} times as fast as ONNX Runtime fp32: {verdict} ({speedup:.2f})."
    before, after = (by_name[name]["glue, % of time"] for name in (APART, OURS))
    yield f"- Time in glue: {before}% before fusion, {after}% after it."


def report(runs: Runs, timing: dict[str, Any]) -> None:
    accuracy = {OURS: "binary", INT8: "int8"}
    rows = [
        {"alternative": row["alternative"]}
        | {
            "test accuracy": over(runs, accuracy.get(row["alternative"], ""), "test"),
            "bytes": over(runs, accuracy.get(row["alternative"], ""), "bytes"),
        }
        | {key: value for key, value in row.items() if key not in ("alternative", "speedup")}
        for row in timing["rows"]
    ]
    settings = {"rows": ROWS, "validation": VALIDATION, "epochs": TRAINING.epochs, "lr": TRAINING.lr}
    size = sum(macs(network(0)).values()) / 1e6
    how = HOW.format(**settings, seeds=len(SEEDS), repeats=LAYER_REPEATS, macs=size)
    how += "\n".join(verdicts(timing["rows"]))
    write_results(NAME, "A binary network as a whole", rows, how, runs=runs, timing=timing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--time", action="store_true", help="train nothing")
    only_time = parser.parse_args().time
    file = RESULTS / f"{NAME}.json"
    stored = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    runs, timing = stored.get("runs", {}), stored.get("timing") or timed()
    report(runs, timing)
    if not only_time:
        for more in trained(runs):
            runs = more
            report(runs, timing)
    report(runs, timed())


if __name__ == "__main__":
    main()
