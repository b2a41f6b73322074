"""One sample on one thread: the native int8 plan against ONNX Runtime with the same network, float and int8.

The built-in architectures with random weights (no kernel's time depends on their values). Three alternatives
take turns in one process: our plan, and ONNX Runtime with the float32 network and with the integers as QDQ.
Writes results/latency.{json,md}.
"""

from __future__ import annotations

import argparse
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.agreement import network
from benchmarks.common import progress, write_results
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.graph.cost import macs
from smidgen.measure.agreement import mismatch_rate, random_inputs
from smidgen.measure.compare import onnxruntime_call
from smidgen.measure.timing import Timings, interleaved
from smidgen.measurement import Measurement
from smidgen.models import cnn1d, lenet, mlp, resnet8
from smidgen.run.native import native_plan
from smidgen.targets import load_target

NETWORKS: dict[str, tuple[Any, tuple[int, ...], int]] = {
    "MLP 784-128-64-10": (mlp.build, (28, 28, 1), 10),
    "LeNet-5": (lenet.build, (28, 28, 1), 10),
    "1-D CNN (watch)": (cnn1d.build, (200, 6), 7),
    "ResNet-8": (resnet8.build, (32, 32, 3), 10),
}
MISMATCH_INPUTS = 500
HOW = (
    "Measured: median ± interquartile range of single calls from Python, batch 1, one thread, {repeats} "
    "rounds in which the alternatives take turns, on a shared machine. A speedup is the median ± "
    "interquartile range of ratios within a round; below 1 we are slower. Weights are random. ONNX "
    "Runtime {ort} uses all vector units of this processor; our kernels are portable C for any x86-64, "
    "and exact. The last column: output bytes in which QDQ differs from the exact integers, over {inputs}"
    " random inputs."
)


def calls(build: Any, shape: tuple[int, ...], classes: int, folder: Path) -> tuple[dict[str, Any], Any]:
    """The alternatives for one sample, and the integer graph."""
    real, whole = build(shape, classes), network(build, shape, classes, "- quantize.affine: {}")
    host, x = load_target("generic-c"), random_inputs(whole, 1)
    grid = whole.values[whole.inputs[0]].grid
    assert grid is not None
    plan = native_plan(whole)
    fp32 = FloatOnnxEmitter().emit(real, host, folder / "float").path
    qdq = QdqOnnxEmitter().emit(whole, host, folder / "qdq").path
    return {
        "native": lambda: plan.run(x),
        "fp32": onnxruntime_call(fp32, grid.dequantize(x)),
        "qdq": onnxruntime_call(qdq, x),
    }, whole


def measured(name: str, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        alternatives, graph = calls(*NETWORKS[name], Path(scratch))
        times = interleaved(alternatives, repeats)
    return {
        "network": name,
        "MACs": sum(macs(graph).values()),
        "native int8, µs": microseconds(times, "native"),
        "ORT fp32, µs": microseconds(times, "fp32"),
        "ORT int8 QDQ, µs": microseconds(times, "qdq"),
        "speedup over fp32": ratio(times.speedup("fp32", "native")),
        "speedup over QDQ": ratio(times.speedup("qdq", "native")),
        "QDQ outputs not exact, %": round(
            100 * mismatch_rate(graph, random_inputs(graph, MISMATCH_INPUTS)), 2
        ),
        "raw": [
            *({"of": key, **m.to_dict()} for key in alternatives for m in times.latency(key)),
            *(
                {"of": f"native over {key}", **times.speedup(key, "native").to_dict()}
                for key in ("fp32", "qdq")
            ),
        ],
    }


def microseconds(times: Timings, name: str) -> str:
    median, _ = times.latency(name)
    return f"{median.value * 1e3:.1f} ± {median.spread * 1e3:.1f}"


def ratio(found: Measurement) -> str:
    return f"{found.value:.2f} ± {found.spread:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    repeats = parser.parse_args().repeats
    found = [measured(name, repeats) for name in progress(NETWORKS, "networks")]
    raw = {row["network"]: row.pop("raw") for row in found}
    speedups = [m["value"] for rows in raw.values() for m in rows if m["name"] == "speedup"]
    slower = sum(value < 1 for value in speedups)
    verdict = f"ONNX Runtime is faster in {slower} of {len(speedups)} comparisons"
    verdict += (
        f", {1 / max(speedups):.1f} to {1 / min(speedups):.0f} times." if slower == len(speedups) else "."
    )
    how = HOW.format(repeats=repeats, ort=version("onnxruntime"), inputs=MISMATCH_INPUTS)
    write_results(
        "latency",
        "Latency of one sample against ONNX Runtime",
        found,
        f"{how}\n\n**{verdict}**",
        measurements=raw,
    )


if __name__ == "__main__":
    main()
