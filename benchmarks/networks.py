"""Whole networks on one thread, one sample and 64: the native int8 plan against ONNX Runtime and LiteRT.

The built-in architectures with random weights (no kernel's time depends on their values). The alternatives
take turns in one process: our plan for every instruction set of this processor, ONNX Runtime with the
float32 network and with the integers as QDQ, LiteRT with the integers. Writes results/networks.{json,md}.
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
from smidgen.graph import Graph
from smidgen.graph.cost import macs
from smidgen.kernels import native
from smidgen.measure.agreement import random_inputs
from smidgen.measure.baselines import baselines
from smidgen.measure.contender import Contender
from smidgen.measure.timing import Timings, interleaved
from smidgen.models import dscnn, gru, lstm, mlp, resnet8
from smidgen.run.isa import VARIABLE
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer

NETWORKS: dict[str, tuple[Callable[..., Graph], tuple[int, ...], int]] = {
    "ResNet-8": (resnet8.build, (32, 32, 3), 10),
    "DS-CNN": (dscnn.build, (49, 10, 1), 12),
    "MLP 784-128-64-10": (mlp.build, (28, 28, 1), 10),
    "LSTM 28→192, 28 steps": (lstm.build, (28, 28), 10),
    "GRU 10→64, 49 steps": (gru.build, (49, 10), 12),
}
BATCHES = (1, 64)
CHECKED = 4  # samples compared with the reference
RUNTIMES = ("ORT fp32", "ORT int8", "LiteRT int8")
HOW = (
    "Measured: median ± interquartile range of single calls, one thread, {repeats} rounds (a tenth of "
    "them, but 100 at least, for 64 samples) in which the alternatives take turns, on a shared machine. A "
    "speedup is the median ± interquartile range of ratios within a round; below 1 we are slower. Ours "
    "and ONNX Runtime's calls come from Python with its copies, LiteRT's only invoke the network. Calls "
    "of milliseconds suffer from other programs' turns on the processor. Weights are random. Outputs of "
    "every instruction set were compared with the exact reference before. ONNX Runtime {ort}; LiteRT "
    "{litert} runs files of our own writer, which has no recurrence (–)."
)


def isas(batch: int) -> list[str]:
    """Instruction sets to time; the portable kernels take too long for many samples."""
    supported: list[str] = native().supported_isas()
    return supported if batch == 1 else supported[1:] or supported


def calls(name: str, batch: int, folder: Path) -> tuple[dict[str, Callable[[], object]], Graph]:
    """The alternatives for `batch` samples, and the integer graph; ours are checked to be exact."""
    build, shape, classes = NETWORKS[name]
    whole = network(build, shape, classes, "- quantize.affine: {}")
    x = random_inputs(whole, batch)
    found: dict[str, Callable[[], object]] = {}
    first = x[:CHECKED]
    for isa in isas(batch):
        os.environ[VARIABLE] = isa
        plan = native_plan(whole)
        np.testing.assert_array_equal(plan.run(x)[:CHECKED], run_integer(whole, first))
        found[isa] = lambda plan=plan: plan.run(x)  # type: ignore[misc]
    del os.environ[VARIABLE]
    for runtime, opened in baselines(build(shape, classes), whole, batch, folder):
        if isinstance(opened, Contender):
            found[runtime] = opened.call
    return found, whole


def measured(name: str, batch: int, repeats: int) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as scratch:
        alternatives, graph = calls(name, batch, Path(scratch))
        times = interleaved(alternatives, repeats)
    ours = native().supported_isas()
    others = [key for key in alternatives if key not in ours]
    strongest = min(others, key=lambda key: times.latency(key)[0].value)
    shown = {**{f"native {isa}": isa for isa in ours}, **{name: name for name in RUNTIMES}}
    return {
        "network": name,
        "batch": batch,
        "MACs a sample": sum(macs(graph).values()),
        **{
            f"{title}, µs": microseconds(times, key) if key in times.seconds else "–"
            for title, key in shown.items()
        },
        "strongest other": strongest,
        "speedup over it": ratio(times, strongest, ours[-1]),
        "over ORT fp32": ratio(times, "ORT fp32", ours[-1]),
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
    how = HOW.format(repeats=repeats, ort=version("onnxruntime"), litert=version("ai-edge-litert"))
    write_results("networks", "Whole networks against ONNX Runtime and LiteRT", rows, how, measurements=raw)


if __name__ == "__main__":
    main()
