"""Bitwise speech denoising: signs that grow in against signs put in at once, on spoken digits in real noise.

    python benchmarks/methods/incremental.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean

import numpy as np
import torch

from benchmarks.common import write_results
from benchmarks.methods.rows import SEEDS, Run, Runs, data_of, holds, spread, stored
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Dataset
from smidgen.data.metrics import metric_for
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.binarize.incremental import Incremental
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models import denoiser
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.tasks.task import Build

NAME = "methods/incremental"
RATES = (1e-3, 2e-3, 6e-3)
EPOCHS, BATCH = 12, 10
MARGIN_DB = 0.3


@dataclass(frozen=True)
class Arm:
    """`width` of the architecture; `steps` before the training."""

    build: Build
    width: float
    steps: tuple[Step, ...] = ()


REAL, GROWN, AT_ONCE = "real GRU", "incremental GRU", "one-shot GRU"
DENSE, LARGER_DENSE = "incremental 2-layer FC", "incremental 2-layer FC, as many weights"
ARMS = {
    REAL: Arm(denoiser.gru, 1.0),
    GROWN: Arm(denoiser.gru, 1.0, (Incremental(layers="all"),)),
    AT_ONCE: Arm(denoiser.gru, 1.0, (Incremental(layers="all", levels=1),)),
    DENSE: Arm(denoiser.dense, 1.0, (Incremental(layers="all"),)),
    LARGER_DENSE: Arm(denoiser.dense, 2.3, (Incremental(layers="all"),)),
}
HOW = f"""\
Task `denoise`: 800 training signals of four speakers, 200 of a fifth (validation) and 200 of a sixth (test),
0.46 s each, real background noise at 0 dB. The bits of the input are made outside of the network. One GRU of
128 units, or two layers of 128 (294 for as many weights as the GRU has), and the mask's layer. All arms:
{EPOCHS} epochs of {BATCH} signals (equal updates), the learning rate of {", ".join(map(str, RATES))} that
is best on validation at seed {SEEDS[0]}, then `quantize.affine` at 8 bits. Binary arms: round 1 takes the
first 30% of the updates; signs then grow in until 70%, or with `one-shot` are put in at once. SDR improvement
in dB by the masks of the integer artifact, mean ± standard deviation over {len(SEEDS)} seeds (weights, order,
draws); bytes of the whole `.smg` file; equal bits: outputs of the packed integer network that are those of
the float network with signs, on the test signals. Ideal masks reach 12.6 dB on validation; to let half of
everything through gives 3.0.

"""


def key_of(seed: int, arm: str, rate: float) -> str:
    return f"{seed}/{arm}/{rate:g}"


def score(key: str) -> Run:
    """One training, `SEED/ARM/RATE`."""
    number, name, rate = key.split("/")
    seed, arm, data = int(number), ARMS[name], data_of("denoise")
    graph = arm.build(data.train.x.shape[1:], 0, arm.width, seed)
    ctx = Context(data, graph, seed)
    made = Recipe((*arm.steps, Fit(EPOCHS, float(rate), BATCH))).apply(graph, ctx)
    packed = pack_smg([lower(AffineQuantization().apply(made, ctx))])
    whole = unpack_smg(packed).graph
    assert whole.is_integer
    metric, found = metric_for(data), {"bytes": float(len(packed))}
    for name, part in (("validation", data.validation), ("test", data.test)):
        outputs = run(whole, part)
        found[name] = metric.score(metric.predictions(outputs), part.y)
        if arm.steps:
            found[f"equal bits, {name}"] = 100 * float((outputs == run_float(made, part.x)).mean())
    return found


def run(whole: Graph, part: Dataset) -> np.ndarray:
    """Real outputs [n, k] of native code."""
    given, made = (whole.values[name].grid for name in (whole.inputs[0], whole.outputs[0]))
    assert given is not None
    assert made is not None
    integers = native_plan(whole).run(given.quantize(part.x).astype(np.int8))
    return (integers.astype(np.float32) - made.zero) * np.float32(made.scale)


def chosen_rate(runs: Runs, arm: str) -> float:
    """The best on validation at the first seed."""
    return max(RATES, key=lambda rate: runs[key_of(SEEDS[0], arm, rate)]["validation"])


def over(runs: Runs, arm: str, field: str) -> list[float]:
    """A field of the runs at the best rate, of all seeds that have it."""
    found = [runs[key_of(seed, arm, chosen_rate(runs, arm))] for seed in SEEDS]
    return [run[field] for run in found if field in run]


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, from means over seeds."""
    grown, at_once = (mean(over(runs, arm, "test")) for arm in (GROWN, AT_ONCE))
    yield (
        f"- Incremental at least {MARGIN_DB} dB above one-shot: {holds(grown >= at_once + MARGIN_DB)} "
        f"({grown - at_once:+.2f} dB)."
    )
    for arm, what in ((DENSE, "of as many units"), (LARGER_DENSE, "of as many weights")):
        dense = mean(over(runs, arm, "test"))
        gap = f"({grown - dense:+.2f} dB)"
        yield f"- The bitwise GRU above binary layers {what}: {holds(grown > dense)} {gap}."
    equal = [share for arm in ARMS for share in over(runs, arm, "equal bits, test")]
    yield f"- Packed bits equal the float network's: {holds(min(equal) == 100)} (least {min(equal):.4f}%)."


def report(runs: Runs) -> None:
    rows = [
        {
            "network": arm,
            "learning rate": f"{chosen_rate(runs, arm):g}",
            "validation, dB": spread(over(runs, arm, "validation")),
            "test, dB": spread(over(runs, arm, "test")),
            "bytes": spread(over(runs, arm, "bytes"), 0),
            "equal bits": spread(over(runs, arm, "equal bits, test")) if ARMS[arm].steps else "–",
        }
        for arm in ARMS
    ]
    write_results(NAME, "Bitwise speech denoising", rows, HOW + "\n".join(verdicts(runs)), runs=runs)


def main() -> None:
    torch.set_num_threads(1)
    tuned = stored(NAME, (key_of(SEEDS[0], arm, rate) for arm in ARMS for rate in RATES), score)
    report(stored(NAME, (key_of(s, arm, chosen_rate(tuned, arm)) for s in SEEDS for arm in ARMS), score))


if __name__ == "__main__":
    main()
