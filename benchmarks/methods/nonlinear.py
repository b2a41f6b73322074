"""Integer softmax, GELU and LayerNorm in a small transformer: accuracy, proof of no floats, time of kernels.

Claims of Kim et al. 2021 (I-BERT, arXiv 2101.01321), tried on MNIST read row by row: a network whose softmax,
GELU and LayerNorm are integers too loses at most half a point; nothing in it computes with real numbers; its
kernels are faster than float ones. Every run is stored at once: a second start goes on from there.

    python benchmarks/methods/nonlinear.py
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from statistics import mean

import torch

from benchmarks.common import table, write_results
from benchmarks.methods.nonlinear_times import SHAPES, WIDTHS, timed
from benchmarks.methods.rows import SEEDS, Run, Runs, accuracy, artifact, data_of, holds, over, spread, stored
from smidgen.codec.container import pack_smg
from smidgen.data.dataset import Splits
from smidgen.emit.c import CEmitter
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.lower.schedule import schedule
from smidgen.measure.type_trace import float_constants, float_operations
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.nonlinear import NonlinearQuantization
from smidgen.methods.step import Step
from smidgen.models import transformer
from smidgen.run.choose import VARIABLE as CHOOSE
from smidgen.targets.target import Target

NAME = "methods/nonlinear"
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
HOW = f"""\
Claims of Kim et al. 2021 (I-BERT, arXiv 2101.01321): a network whose softmax, GELU and LayerNorm are integers
too loses at most half a point; nothing in it computes with real numbers; its kernels beat float ones.

MNIST, each image a sequence of 28 rows; a transformer of two blocks, two heads and 32 features, trained
for {TRAINING.epochs} epochs on {ROWS:,} images in float; every other row is this network quantized after
training, by `quantize.nonlinear` (nothing in the row `8 bits`) and `quantize.affine` at 8 bits,
calibrated on 256 images. Accuracies in percent, of the integers in the file, read back: mean ± standard
deviation over {len(SEEDS)} seeds (weights, order). Lost: points of the test accuracy, paired by seed.
Real numbers: nodes and constants that hold any, and words `float` or `double` in the emitted C, kernels
too.

"""
TIMES = """\
Microseconds a call on one thread: medians of calls in turns. Python's share of a call is in all of them.

"""
OTHERS = ("NumPy", "PyTorch", "ONNX Runtime")


def real_numbers(graph: Graph) -> int:
    """How many places of the network, its schedule and its C sources have to do with real numbers."""
    with tempfile.TemporaryDirectory() as scratch:
        files = CEmitter().emit(graph, HOST, Path(scratch) / "c").files
        words = sum(len(REAL_WORDS.findall(_code(file))) for file in files if file.suffix in (".c", ".h"))
    return len(float_operations(graph)) + len(float_constants(schedule(graph))) + words


def _code(file: Path) -> str:
    """A C file without its comments."""
    return re.sub(r"/\*.*?\*/", "", file.read_text(encoding="utf-8"), flags=re.DOTALL)


@lru_cache(1)
def dense(seed: int) -> tuple[Graph, Splits]:
    """The float network, and the data that it was trained on."""
    data = replace(data_of("mnist"), train=data_of("mnist").train.head(ROWS))
    return fit(transformer.build((28, 28, 1), 10, seed=seed), data, TRAINING, seed=seed), data


def run(key: str) -> Run:
    """`SEED/KIND`: bytes, accuracies, real numbers."""
    seed, kind = key.split("/")
    graph, data = dense(int(seed))
    parts = {"validation": data.validation, "test": data.test}
    if kind == FP32:
        right = {split: float_logits(graph, part.x).argmax(axis=1) == part.y for split, part in parts.items()}
        return {
            "bytes": len(pack_smg([graph])),
            **{split: 100 * float(r.mean()) for split, r in right.items()},
        }
    made, nbytes = artifact((*KINDS[kind], AffineQuantization()), graph, data, int(seed))
    scores = {split: accuracy(made, part) for split, part in parts.items()}
    return {"bytes": nbytes, "real": real_numbers(made), **scores}


def losses(runs: Runs, kind: str) -> list[float]:
    return [a - b for a, b in zip(over(runs, FP32), over(runs, kind), strict=True)]


def accuracy_rows(runs: Runs) -> Iterator[dict[str, str]]:
    for kind in (FP32, *KINDS):
        yield {
            "what": kind,
            "bytes of the file": spread(over(runs, kind, "bytes"), 0),
            "validation": spread(over(runs, kind, "validation")),
            "test": spread(over(runs, kind)),
            "lost": "" if kind == FP32 else spread(losses(runs, kind)),
            "real numbers": "" if kind == FP32 else f"{sum(over(runs, kind, 'real')):.0f}",
        }


def time_rows(times: Runs) -> list[dict[str, str]]:
    return [
        {"function and shape": name}
        | {who: f"{times[f'time/{name}'][who]:.1f}" for who in (*WIDTHS, *OTHERS)}
        for name in SHAPES
    ]


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims; the row is the one that validation prefers."""
    best = max(KINDS, key=lambda kind: mean(over(runs, kind, "validation")))
    lost = mean(losses(runs, best))
    chosen = f"`{best}`, chosen on validation, loses {lost:+.2f}"
    yield f"- At most {DROP} points lost: {chosen}, {holds(lost <= DROP)}."
    real = sum(sum(over(runs, kind, "real")) for kind in KINDS)
    yield f"- No real numbers in any of the {len(KINDS) * len(SEEDS)} files: {real:.0f}, {holds(real == 0)}."
    for name in SHAPES:
        found = runs[f"time/{name}"]
        ours = found[WIDTHS[0]]
        fastest = min(OTHERS, key=found.__getitem__)
        what = f"{found[fastest] / ours:.1f} times as fast as {fastest}, the fastest of the others"
        yield f"- {name} of 8 bits faster than float: {what}, {holds(ours < found[fastest])}."
    for width in ("8 bits", "both read 16"):
        gain = mean(over(runs, f"{width}, polynomials")) - mean(over(runs, width))
        yield f"- Polynomials instead of exact functions, {width}: {gain:+.2f} points."


def main() -> None:
    torch.set_num_threads(1)
    os.environ[CHOOSE] = "off"  # the widest instruction set, whatever a busy moment has once chosen
    runs = stored(NAME, (f"{seed}/{kind}" for seed in SEEDS for kind in (FP32, *KINDS)), run)
    runs = stored(NAME, (f"time/{name}" for name in SHAPES), lambda key: timed(key.removeprefix("time/")))
    how = HOW + "\n".join((*verdicts(runs), "", TIMES, *table(time_rows(runs))))
    write_results(NAME, "Integer softmax, GELU and LayerNorm", list(accuracy_rows(runs)), how, runs=runs)


if __name__ == "__main__":
    main()
