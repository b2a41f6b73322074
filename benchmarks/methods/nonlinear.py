"""Integer softmax, GELU and LayerNorm in a small transformer: accuracy, proof of no floats, time of kernels.

Claims of Kim et al. 2021 (I-BERT, arXiv 2101.01321), tried on MNIST read row by row: a network whose softmax,
GELU and LayerNorm are integers too loses at most half a point; nothing in it computes with real numbers; its
kernels are faster than float ones. Every run is stored at once: a second start goes on from there.

    python benchmarks/methods/nonlinear.py [seed ...]
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS
from benchmarks.methods.nonlinear_times import SHAPES, WIDTHS, timed
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Splits
from smidgen.emit.c import CEmitter
from smidgen.files import write_whole
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.lower import lower
from smidgen.lower.schedule import schedule
from smidgen.measure.type_trace import float_constants, float_operations
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.nonlinear import NonlinearQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.models import transformer
from smidgen.models.layers import parameter_count
from smidgen.run.choose import VARIABLE as CHOOSE
from smidgen.run.cpu import cpu_name
from smidgen.run.native import native_plan
from smidgen.targets.target import Target
from smidgen.tasks.task import load_task

FILE = RESULTS / "methods/nonlinear.json"
SEEDS = (0, 1, 2)
ROWS = 20_000  # training images
TRAINING = FitSettings(epochs=10, lr=2e-3, batch_size=64)
HOST = Target(name="host", kind="host")
REAL_WORDS = re.compile(r"\b(float|double)\b")
DROP, FP32 = 0.5, "fp32"
KINDS: dict[str, tuple[Step, ...]] = {
    "8 bits": (),
    "normalize reads 16": (NonlinearQuantization(softmax_bits=8),),
    "softmax reads 16": (NonlinearQuantization(normalize_bits=8),),
    "both read 16": (NonlinearQuantization(),),
    "8 bits, polynomials": (NonlinearQuantization(8, 8, exponential="polynomial", activations="polynomial"),),
    "both read 16, polynomials": (NonlinearQuantization(exponential="polynomial", activations="polynomial"),),
}
HOW = """\
MNIST, each image a sequence of 28 rows; a transformer of two blocks, two heads, 32 features, {parameters:,}
parameters. It is trained for {epochs} epochs on {train:,} images in float; every other row is this network
quantized after training, by `quantize.nonlinear` (nothing in the row `8 bits`) and `quantize.affine` at 8
bits, calibrated on 256 images. Accuracies in percent, of the integers in the file, read back: mean ± standard
deviation over {seeds} seeds (weights, order). Lost: points of the test accuracy, paired by seed. Real
numbers: nodes and constants that hold any, and words `float` or `double` in the emitted C, kernels too."""
TIMES = """\
Microseconds a call on one thread: medians of calls in turns. Python's share of a call is in all of them."""
OTHERS = ("NumPy", "PyTorch", "ONNX Runtime")
Runs = dict[str, dict[str, Any]]


def percent(outputs: np.ndarray, labels: np.ndarray) -> float:
    return 100 * float((outputs.argmax(axis=1) == labels).mean())


def real_numbers(graph: Graph) -> int:
    """How many places of the network, its schedule and its C sources have to do with real numbers."""
    with tempfile.TemporaryDirectory() as scratch:
        files = CEmitter().emit(graph, HOST, Path(scratch) / "c").files
        words = sum(len(REAL_WORDS.findall(_code(file))) for file in files if file.suffix in (".c", ".h"))
    return len(float_operations(graph)) + len(float_constants(schedule(graph))) + words


def _code(file: Path) -> str:
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)


def artifact(graph: Graph, data: Splits) -> dict[str, Any]:
    packed = pack_smg([lower(graph)])
    read = unpack_smg(packed).graph
    grid, plan = read.values[read.inputs[0]].grid, native_plan(read)
    assert grid is not None
    scores = {
        split: percent(plan.run(grid.quantize(part.x).astype(np.int8)), part.y)
        for split, part in (("validation", data.validation), ("test", data.test))
    }
    return {"file": len(packed), "real": real_numbers(read), **scores}


def run(seeds: tuple[int, ...]) -> Runs:
    """All runs: those in the file are read, the others done and added."""
    runs: Runs = json.loads(FILE.read_text()) if FILE.exists() else {}

    def keep(key: str, found: dict[str, Any]) -> None:
        runs[key] = found
        write_whole(FILE, json.dumps(runs, indent=1) + "\n")
        print(key, found, flush=True)

    whole = load_task("mnist").load()
    data = replace(whole, train=whole.train.head(ROWS))
    for seed in seeds:
        if all(f"{seed}/{kind}" in runs for kind in (FP32, *KINDS)):
            continue
        dense = fit(transformer.build((28, 28, 1), 10, seed=seed), data, TRAINING, seed=seed)
        parts = {"validation": data.validation, "test": data.test}
        found = {split: percent(float_logits(dense, part.x), part.y) for split, part in parts.items()}
        keep(f"{seed}/{FP32}", {"file": len(pack_smg([dense])), "train": len(data.train), **found})
        for kind, steps in KINDS.items():
            recipe = Recipe((*steps, AffineQuantization()))
            keep(f"{seed}/{kind}", artifact(recipe.apply(dense, Context(data, dense, seed)), data))
    for name in SHAPES:
        if f"time/{name}" not in runs:
            keep(f"time/{name}", timed(name))
    return runs


def over(runs: Runs, kind: str, field: str) -> list[float]:
    return [float(runs[f"{seed}/{kind}"][field]) for seed in SEEDS if f"{seed}/{kind}" in runs]


def losses(runs: Runs, kind: str) -> list[float]:
    return [a - b for a, b in zip(over(runs, FP32, "test"), over(runs, kind, "test"), strict=True)]


def spread(values: list[float], digits: int = 2) -> str:
    return f"{mean(values):,.{digits}f}" + (f" ± {stdev(values):,.{digits}f}" if len(values) > 1 else "")


def accuracy_table(runs: Runs) -> Iterator[str]:
    yield "| what | bytes of the file | validation | test | lost | real numbers |"
    yield "|---|---|---|---|---|---|"
    for kind in (FP32, *KINDS):
        cells = [spread(over(runs, kind, "file"), 0)]
        cells += [spread(over(runs, kind, split)) for split in ("validation", "test")]
        if kind != FP32:
            cells += [spread(losses(runs, kind)), f"{sum(over(runs, kind, 'real')):.0f}"]
        cells += [""] * (5 - len(cells))
        yield f"| {kind} | {' | '.join(cells)} |"


def time_table(runs: Runs) -> Iterator[str]:
    yield f"| function and shape | {' | '.join((*WIDTHS, *OTHERS))} |"
    yield "|---|---|---|---|---|---|"
    for name in SHAPES:
        found = runs[f"time/{name}"]
        cells = [f"{found[who]:.1f}" for who in (*WIDTHS, *OTHERS)]
        yield f"| {name} | {' | '.join(cells)} |"


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims; the row is the one that validation prefers."""
    best = max(KINDS, key=lambda kind: mean(over(runs, kind, "validation")))
    lost = mean(losses(runs, best))
    chosen = f"`{best}`, chosen on validation, loses {lost:+.2f}"
    yield f"- At most {DROP} points lost: {chosen}, {_holds(lost <= DROP)}."
    real = sum(sum(over(runs, kind, "real")) for kind in KINDS)
    yield f"- No real numbers in any of the {len(KINDS) * len(SEEDS)} files: {real:.0f}, {_holds(real == 0)}."
    for name in SHAPES:
        found = runs[f"time/{name}"]
        ours = found[WIDTHS[0]]
        fastest = min(OTHERS, key=found.__getitem__)
        what = f"{found[fastest] / ours:.1f} times as fast as {fastest}, the fastest of the others"
        yield f"- {name} of 8 bits faster than float: {what}, {_holds(ours < found[fastest])}."
    for width in ("8 bits", "both read 16"):
        gain = mean(over(runs, f"{width}, polynomials", "test")) - mean(over(runs, width, "test"))
        yield f"- Polynomials instead of exact functions, {width}: {gain:+.2f} points."


def _holds(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def page(runs: Runs) -> str:
    """The report in Markdown."""
    claims = (__doc__ or "").split(" Every run")[0].splitlines()[2:]
    network = transformer.build((28, 28, 1), 10)
    sizes = {"parameters": parameter_count(network), "train": int(over(runs, FP32, "train")[0])}
    how = HOW.format(epochs=TRAINING.epochs, seeds=len(over(runs, FP32, "test")), **sizes)
    head = ["# Integer softmax, GELU and LayerNorm", "", *claims, "", how, "", *accuracy_table(runs), ""]
    tail = ["", f"Machine: {cpu_name()}. Script: `benchmarks/methods/nonlinear.py`.", ""]
    return "\n".join([*head, TIMES, "", *time_table(runs), "", *verdicts(runs), *tail])


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    os.environ[CHOOSE] = "off"  # the widest instruction set, whatever a busy moment has once chosen
    runs = run(seeds)
    if all(f"{seed}/{kind}" in runs for seed in SEEDS for kind in (FP32, *KINDS)):
        write_whole(RESULTS / "methods/nonlinear.md", page(runs))


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
