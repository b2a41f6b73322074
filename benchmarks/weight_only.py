"""Compressed weights under float32 activations (class weight_only) against ONNX Runtime fp32, one thread.

Built-in architectures with random weights (no kernel's time depends on their values), one sample and 64. Both
hold the same decoded weights and take turns in one process; each timed call follows one that is not.
Writes results/weight_only.{json,md}; takes about two minutes.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.common import progress, write_results
from smidgen.codec.container import write_smg
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.graph import Graph
from smidgen.graph.structured import expand_structured
from smidgen.lower import lower
from smidgen.measure.agreement import random_inputs
from smidgen.measure.contender import onnx_contender
from smidgen.measure.timing import Timings, interleaved_for
from smidgen.methods.quantize.half import HalfPrecision
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context, Step
from smidgen.models import dscnn, mlp, resnet8
from smidgen.run.float_ops import FLOAT_FUNCTIONS, run_float
from smidgen.run.interpreter import interpret
from smidgen.run.mixed import MixedPlan
from smidgen.targets import load_target

NETWORKS: dict[str, Callable[[], Graph]] = {
    "MLP 784-1024-1024-10": lambda: mlp.build((28, 28, 1), 10, sizes=(1024, 1024)),
    "ResNet-8": lambda: resnet8.build((32, 32, 3), 10),
    "DS-CNN": lambda: dscnn.build((49, 10, 1), 12),
}
STEPS: dict[str, Step] = {
    "4 bits": WeightQuantization(bits=4),
    "2 bits": WeightQuantization(bits=2),
    "half": HalfPrecision(),
}
BATCHES = (1, 64)
SECONDS = 4.0
CHECKED = 8  # samples whose outputs are compared with float64
HOW = """\
Measured: median ± interquartile range of single calls from Python, one thread, {seconds:g} s a row in which
the alternatives take turns, on a shared machine. A speedup is the median ± interquartile range of ratios
within a round; below 1 we are slower. `error`: the largest difference of {checked} samples from the network
in float64, relative to the largest output. Sizes are those of the files. Weights are random. ONNX Runtime
{ort} gets the decoded weights in float32; `NumPy` is the reference that ran such files before. In a
convolution with more than one tap weights are decoded when the plan is made: its time is that of float32."""


def measured(name: str, how: str, batch: int, folder: Path) -> dict[str, Any]:
    """One row of the table."""
    real = NETWORKS[name]()
    graph = lower(STEPS[how].apply(real, Context(None, real)))
    write_smg(folder / "model.smg", [graph])
    (onnx,) = FloatOnnxEmitter().emit(graph, load_target("generic-c"), folder).files
    plan, x = MixedPlan(graph), random_inputs(graph, batch)
    calls = {
        "ours": lambda: plan.run(x),
        "ORT fp32": onnx_contender("ORT fp32", onnx, batch).call,
        "NumPy": lambda: run_float(graph, x),
    }
    times = interleaved_for(calls, SECONDS)
    return {
        "network": name,
        "weights": how,
        "batch": batch,
        "ours, µs": microseconds(times, "ours"),
        "ORT fp32, µs": microseconds(times, "ORT fp32"),
        "over ORT fp32": ratio(times, "ORT fp32"),
        "over NumPy": ratio(times, "NumPy"),
        "file, bytes": (folder / "model.smg").stat().st_size,
        "fp32 ONNX file, bytes": onnx.stat().st_size,
        "error": f"{error(graph, plan):.1e}",
        "raw": [{"of": key, **m.to_dict()} for key in calls for m in times.latency(key)],
    }


def error(graph: Graph, plan: MixedPlan) -> float:
    """The largest difference from float64, relative to the largest output."""
    x = random_inputs(graph, CHECKED)
    spelled = expand_structured(graph)
    weights = {name: fmt.decode().astype(np.float64) for name, fmt in spelled.weights.items()}
    (exact,) = interpret(spelled, [x.astype(np.float64)], FLOAT_FUNCTIONS, weights.__getitem__)
    return float(np.abs(plan.run(x) - exact).max() / np.abs(exact).max())


def microseconds(times: Timings, name: str) -> str:
    median, _ = times.latency(name)
    return f"{median.value * 1e3:.1f} ± {median.spread * 1e3:.1f}"


def ratio(times: Timings, other: str) -> str:
    found = times.speedup(other, "ours")
    return f"{found.value:.2f} ± {found.spread:.2f}"


def main() -> None:
    cases = [(name, how, batch) for name in NETWORKS for how in STEPS for batch in BATCHES]
    rows = []
    for name, how, batch in progress(cases, "weight-only networks"):
        with tempfile.TemporaryDirectory() as scratch:
            rows.append(measured(name, how, batch, Path(scratch)))
    raw = {f"{r['network']}, {r['weights']}, batch {r['batch']}": r.pop("raw") for r in rows}
    how = HOW.format(seconds=SECONDS, checked=CHECKED, ort=version("onnxruntime"))
    write_results("weight_only", "Compressed weights, float32 activations", rows, how, measurements=raw)


if __name__ == "__main__":
    main()
