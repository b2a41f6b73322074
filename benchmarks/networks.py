"""Whole networks on one thread, one sample and 64: the native int8 plan against ONNX Runtime.

The built-in architectures with random weights (no kernel's time depends on their values). The alternatives
take turns in one process: our plan for every instruction set of this processor, and ONNX Runtime with the
float32 network and with the integers as QDQ. Writes results/networks.{json,md}.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.agreement import network
from benchmarks.common import progress, write_results
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.kernels import native
from smidgen.measure.agreement import random_inputs
from smidgen.measure.compare import onnxruntime_call
from smidgen.measure.timing import Timings, interleaved
from smidgen.models import dscnn, gru, lstm, mlp, resnet8
from smidgen.run.isa import VARIABLE
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target

NETWORKS: dict[str, tuple[Callable[..., Graph], tuple[int, ...], int]] = {
    "ResNet-8": (resnet8.build, (32, 32, 3), 10),
    "DS-CNN": (dscnn.build, (49, 10, 1), 12),
    "MLP 784-128-64-10": (mlp.build, (28, 28, 1), 10),
    "LSTM 28→192, 28 steps": (lstm.build, (28, 28), 10),
    "GRU 10→64, 49 steps": (gru.build, (49, 10), 12),
}
BATCHES = (1, 64)
CHECKED = 4  # samples compared with the reference
HOW = (
    "Measured: median ± interquartile range of single calls from Python, one thread, {repeats} rounds "
    "(a tenth of them, but 100 at least, for 64 samples) in which the alternatives take turns, on a "
    "shared machine. A speedup is the median ± interquartile range of ratios within a round; below 1 we "
    "are slower. Calls of milliseconds suffer from other programs' turns on the processor. Weights are "
    "random. Outputs of every instruction set were compared with the exact reference before. ONNX "
    "Runtime {ort}. LiteRT: see `smidgen bench`."
)


def isas(batch: int) -> list[str]:
    """Instruction sets to time; the portable kernels take too long for many samples."""
    supported: list[str] = native().supported_isas()
    return supported if batch == 1 else supported[-2:]


def calls(name: str, batch: int, folder: Path) -> tuple[dict[str, Callable[[], object]], Graph]:
    """The alternatives for `batch` samples, and the integer graph; ours are checked to be exact."""
    build, shape, classes = NETWORKS[name]
    whole, host = network(build, shape, classes, "- quantize.affine: {}"), load_target("generic-c")
    x = random_inputs(whole, batch)
    grid = whole.values[whole.inputs[0]].grid
    assert grid is not None
    found: dict[str, Callable[[], object]] = {}
    first = x[:CHECKED]
    for isa in isas(batch):
        os.environ[VARIABLE] = isa
        plan = native_plan(whole)
        np.testing.assert_array_equal(plan.run(x)[:CHECKED], run_integer(whole, first))
        found[isa] = lambda plan=plan: plan.run(x)  # type: ignore[misc]
    del os.environ[VARIABLE]
    fp32 = FloatOnnxEmitter().emit(build(shape, classes), host, folder / "float").path
    qdq = QdqOnnxEmitter().emit(whole, host, folder / "qdq").path
    real: Any = grid.dequantize(x)
    return found | {"fp32": onnxruntime_call(fp32, real), "qdq": onnxruntime_call(qdq, x)}, whole


def measured(name: str, batch: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        alternatives, graph = calls(name, batch, Path(scratch))
        times = interleaved(alternatives, repeats)
    best = native().supported_isas()[-1]
    return {
        "network": name,
        "batch": batch,
        "MACs a sample": sum(macs(graph).values()),
        **{
            f"native {isa}, µs": microseconds(times, isa) if isa in times.seconds else "–"
            for isa in native().supported_isas()
        },
        "ORT fp32, µs": microseconds(times, "fp32"),
        "ORT int8 QDQ, µs": microseconds(times, "qdq"),
        "speedup over fp32": ratio(times, "fp32", best),
        "speedup over QDQ": ratio(times, "qdq", best),
        "raw": [{"of": key, **m.to_dict()} for key in alternatives for m in times.latency(key)],
    }


def microseconds(times: Timings, name: str) -> str:
    median, _ = times.latency(name)
    return f"{median.value * 1e3:.1f} ± {median.spread * 1e3:.1f}"


def ratio(times: Timings, slow: str, fast: str) -> str:
    found = times.speedup(slow, fast)
    return f"{found.value:.2f} ± {found.spread:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=1000)
    parser.add_argument("--only", default="", help="networks whose name contains this, printed, not written")
    repeats, only = (getattr(parser.parse_args(), name) for name in ("repeats", "only"))
    cases = [(name, batch) for name in NETWORKS for batch in BATCHES if only in name]
    rows = [
        measured(name, batch, max(100, repeats if batch == 1 else repeats // 10))
        for name, batch in progress(cases, "networks")
    ]
    raw = {f"{row['network']}, batch {row['batch']}": row.pop("raw") for row in rows}
    if only:
        print(json.dumps(rows, indent=1, ensure_ascii=False))
        return
    how = HOW.format(repeats=repeats, ort=version("onnxruntime"))
    write_results("networks", "Whole networks against ONNX Runtime", rows, how, measurements=raw)


if __name__ == "__main__":
    main()
