"""Data-free quantization and pruning of networks with BatchNorm: CIFAR-10 (JPEG), EfficientNet-Lite0.

    python benchmarks/methods/data_free.py

Every run is stored at once: a second start goes on with the first that is not done. EfficientNet-Lite0 takes
the packages of benchmarks/pretrained_models.py; without them its rows stay empty.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import lru_cache
from statistics import mean
from typing import Any

import numpy as np
import torch

from benchmarks import pretrained_data as photographs
from benchmarks.common import write_results
from benchmarks.methods.rows import SEEDS, Run, Runs, accuracy, artifact, holds, spread, stored
from benchmarks.methods.trained import ABOUT, trained
from benchmarks.pretrained_models import efficientnet
from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph
from smidgen.learn.fit import float_logits
from smidgen.methods.prune.data_free import DataFreePruning
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.bias_correction import BiasCorrection
from smidgen.methods.quantize.data_free import DataFreeQuantization
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.step import Step
from smidgen.run.native import native_plan

NAME = "methods/data_free"
BITS = (5, 4, 3)
SPARSITIES = (0.2, 0.3, 0.4, 0.5)
CLAIMED_BITS, GAIN, RATIO, LOSS = 4, 5.0, 1.5, 2.0
CIFAR, CALIBRATION, PRETRAINED_STEPS = 50, 16, 50
WHOLE = DataFreeQuantization()
HOW = f"""\
CIFAR-10 (JPEG), {ABOUT}. No training on data. Weights of b bits with one scale a tensor in all layers,
activations of 8 bits. `naive`, `equalized` and what follows them calibrate activations on 256 training
images; `+ mse` clips weights where the squared error is least, `+ bias correction` uses those images, too.
`data-free` rows see no data at all: {WHOLE.steps} updates a layer, ranges of activations from BatchNorm.
`independent`: neighbouring positions share nothing (smoothness 0, {WHOLE.smoothness:g} elsewhere; the range
of the logits, which follow a mean over positions, gets too narrow, which is most of its loss);
`white`: every layer is fitted to white noise. Pruned networks:
the same sparsity in all layers, or by one threshold for the network (`global`),
then int8. Test accuracy in percent of the integers in the file, mean ± standard deviation over
{len(SEEDS)} seeds (images, weights, order). Smoothness and learning rates were chosen on validation images.

EfficientNet-Lite0, as `benchmarks/pretrained.py` has it: agreement with the float network's first class in
percent, on 20 photographs and {CIFAR} upscaled test images of CIFAR-10; `naive` calibrates on {CALIBRATION}
of its training images; data-free with {PRETRAINED_STEPS} updates a layer, other settings as on CIFAR-10. Its
ReLU6 ends almost every chain that equalization could follow.

"""


def quantized(bits: int) -> dict[str, tuple[Step, ...]]:
    """Row -> the steps."""

    def plain(rule: str = "minmax") -> AffineQuantization:
        return AffineQuantization(bits=bits, granularity="tensor", rule=rule)  # type: ignore[arg-type]

    def free(**settings: Any) -> DataFreeQuantization:
        return DataFreeQuantization(bits=bits, granularity="tensor", **settings)

    found: dict[str, tuple[Step, ...]] = {
        "naive": (plain(),),
        "naive + mse": (plain("mse"),),
        "equalized": (Equalize(), plain()),
        "equalized + mse": (Equalize(), plain("mse")),
        "equalized + mse + bias correction": (Equalize(), plain("mse"), BiasCorrection()),
        "data-free": (free(),),
    }
    controls = {
        "data-free, independent": (free(smoothness=0.0),),
        "data-free, white": (free(law="white"),),
    }
    return {**found, **controls} if bits == CLAIMED_BITS else found


def pruned(sparsity: float) -> dict[str, tuple[Step, ...]]:
    steps: Mapping[str, Step] = {
        "magnitude": GlobalMagnitude(sparsity, scope="uniform"),
        "magnitude, global": GlobalMagnitude(sparsity),
        "data-free pruning": DataFreePruning(sparsity=sparsity),
    }
    return {row: (step, AffineQuantization()) for row, step in steps.items()}


def pretrained(bits: int, granularity: str) -> dict[str, tuple[Step, ...]]:
    plain: Any = {"bits": bits, "granularity": granularity}
    free = DataFreeQuantization(**plain, steps=PRETRAINED_STEPS, input_low=0.0, input_high=1.0)
    return {"naive": (AffineQuantization(**plain, samples=CALIBRATION),), "data-free": (free,)}


PRETRAINED = ((8, "tensor"), (4, "tensor"), (4, "channel"))


def run(key: str) -> Run:
    seed, amount, row = key.split("/")
    graph, data = trained("cifar10", int(seed))
    if row == "float":
        right = float_logits(graph, data.test.x).argmax(axis=1) == data.test.y
        return {"test": 100 * float(right.mean())}
    steps = pruned(float(amount)) if "." in amount else quantized(int(amount))
    made, nbytes = artifact(steps[row], graph, data, int(seed))
    return {"test": accuracy(made, data.test), "bytes": nbytes}


@lru_cache(1)
def large() -> tuple[Graph, Splits, dict[str, Any], dict[str, Any]]:
    """The network, data to calibrate on, images to judge by and the float network's classes of them."""
    whole = efficientnet()
    seen = photographs.upscaled_cifar10("train", CALIBRATION)
    part = Dataset(seen, np.zeros(len(seen), np.int64))
    images = {
        "photographs": photographs.labelled_photographs()[0],
        "cifar": photographs.upscaled_cifar10("test", CIFAR),
    }
    classes = {name: whole.original((x,))[0].argmax(1) for name, x in images.items()}
    return whole.graph, Splits(part, part, part, 1), images, classes


def run_pretrained(key: str) -> Run:
    _, bits, granularity, row = key.split("/")
    graph, data, images, classes = large()
    made, nbytes = artifact(pretrained(int(bits), granularity)[row], graph, data, 0)
    grid, plan = made.values[made.inputs[0]].grid, native_plan(made)
    assert grid is not None
    found = {name: plan.run(grid.quantize(x).astype(np.int8)).argmax(1) for name, x in images.items()}
    return {name: 100 * float((y == classes[name]).mean()) for name, y in found.items()} | {"bytes": nbytes}


def keys() -> Iterator[str]:
    for seed in SEEDS:
        yield f"{seed}/32/float"
        yield from (f"{seed}/{bits}/{row}" for bits in BITS for row in quantized(bits))
        yield from (f"{seed}/{sparsity}/{row}" for sparsity in SPARSITIES for row in pruned(sparsity))


def pretrained_keys() -> Iterator[str]:
    for bits, granularity in PRETRAINED:
        yield from (f"efficientnet/{bits}/{granularity}/{row}" for row in pretrained(bits, granularity))


def over(runs: Runs, amount: float, row: str, field: str = "test") -> list[float]:
    return [runs[f"{seed}/{amount}/{row}"][field] for seed in SEEDS]


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, from means over seeds."""
    whole = mean(over(runs, 32, "float"))
    yield f"Float: {spread(over(runs, 32, 'float'))}."
    yield ""
    at = {row: mean(over(runs, CLAIMED_BITS, row)) for row in quantized(CLAIMED_BITS)}
    free, setting = at["data-free"], f"at W{CLAIMED_BITS}A8, a scale a tensor"
    gain = free - at["naive"]
    yield f"- Data-free ≥ naive + {GAIN:g} points {setting}: {holds(gain >= GAIN)} ({gain:+.2f})."
    for row in ("equalized", "equalized + mse", "equalized + mse + bias correction"):
        yield f"- Data-free ≥ {row}: {holds(free >= at[row])} ({free - at[row]:+.2f})."
    for row in ("white", "independent"):
        other = at[f"data-free, {row}"] - free
        yield f"- Inputs drawn {row} are worse: {holds(other < 0)} ({other:+.2f})."
    larger = mean(over(runs, CLAIMED_BITS, "data-free", "bytes")) / mean(
        over(runs, CLAIMED_BITS, "naive", "bytes")
    )
    yield f"- The file is {100 * (larger - 1):+.0f}% against naive: with finer steps fewer weights are zero."
    ours = densest(runs, "data-free pruning", whole)
    for row in ("magnitude", "magnitude, global"):
        theirs = densest(runs, row, whole)
        ratio = ours / theirs if theirs else float("inf")
        found = f"{ours:g} against {theirs:g}, {ratio:.2f} times"
        claim = f"{RATIO:g} times the sparsity of {row} at a loss of at most {LOSS:g} points"
        yield f"- {claim}: {holds(ratio >= RATIO)} ({found}; of {', '.join(map(str, SPARSITIES))})."


def pretrained_verdicts(runs: Runs) -> Iterator[str]:
    """Whether EfficientNet-Lite0 agrees with itself more often than by plain rounding."""
    for bits, granularity in PRETRAINED:
        pair = [runs.get(f"efficientnet/{bits}/{granularity}/{row}") for row in ("data-free", "naive")]
        if pair[0] and pair[1]:
            gains = {part: pair[0][part] - pair[1][part] for part in ("photographs", "cifar")}
            found = ", ".join(f"{gain:+.0f} on {part}" for part, gain in gains.items())
            claim = "data-free agrees more often than naive"
            verdict = holds(min(gains.values()) >= 0 < max(gains.values()))
            setting = f"EfficientNet-Lite0, W{bits}A8, a scale a {granularity}"
            yield f"- {setting}, {claim}: {verdict} ({found} points)."


def densest(runs: Runs, row: str, whole: float) -> float:
    """The largest sparsity tried that loses at most LOSS points, 0 if there is none."""
    fine = (s for s in SPARSITIES if mean(over(runs, s, row)) >= whole - LOSS)
    return max(fine, default=0.0)


def tables(runs: Runs) -> Iterator[str]:
    """Pruning and EfficientNet."""
    yield from ("", "| pruning | " + " | ".join(f"{s:.0%}" for s in SPARSITIES) + " |")
    yield "|---|" + "---|" * len(SPARSITIES)
    for row in pruned(0.5):
        yield f"| {row} | " + " | ".join(spread(over(runs, s, row)) for s in SPARSITIES) + " |"
    yield from (
        "",
        "| EfficientNet-Lite0 | row | photographs, % | CIFAR-10, % | bytes |",
        "|---|---|---|---|---|",
    )
    for key in pretrained_keys():
        if found := runs.get(key):
            _, bits, granularity, row = key.split("/")
            agreed = f"{found['photographs']:.0f} | {found['cifar']:.0f} | {found['bytes']:,.0f}"
            yield f"| W{bits}A8, a scale a {granularity} | {row} | {agreed} |"


def report(runs: Runs) -> None:
    rows = [
        {
            "row": row,
            **{f"{bits} bits": spread(over(runs, bits, row)) for bits in BITS if row in quantized(bits)},
        }
        | {"bytes at 4 bits": spread(over(runs, 4, row, "bytes"), 0)}
        for row in quantized(4)
    ]
    text = "\n".join([*verdicts(runs), *pretrained_verdicts(runs), *tables(runs)])
    write_results(NAME, "Data-free compression", rows, HOW + text, runs=runs)


def main() -> None:
    torch.set_num_threads(1)
    runs = stored(NAME, keys(), run)
    report(runs)
    report(stored(NAME, pretrained_keys(), run_pretrained))


if __name__ == "__main__":
    main()
