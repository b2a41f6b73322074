"""Outlier channel splitting against clipping, weights with one scale a tensor, CIFAR-10 (JPEG).

    python benchmarks/methods/ocs.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import numpy as np
import torch

from benchmarks.common import write_results
from benchmarks.methods.rows import SEEDS, Run, Runs, holds, score, spread, stored
from benchmarks.methods.trained import ABOUT, trained
from smidgen.learn.fit import float_logits
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.layer import LayerQuantization
from smidgen.methods.quantize.ocs import OutlierChannelSplitting
from smidgen.methods.step import Step

NAME = "methods/ocs"
BITS = (3, 4, 5, 6)
RATIOS = (0.02, 0.05, 0.1)
CLAIMED_RATIO = 0.05
LOSS, GAIN, SLACK = (
    3.0,
    2.0,
    0.2,
)  # points: where splitting is asked for, what it must win, what clipping may keep
HOW = f"""\
CIFAR-10 (JPEG), {ABOUT}. No training after quantization. Weights of b bits, one scale a tensor except
in the last rows, activations of 8 bits; the first layer has 8 bits everywhere. `linear` covers all weights,
`mse` clips where the squared error is least, `splitting r` adds the share r of the input channels of every
layer but the first, `splitting r + mse` clips what is left, `random r` splits channels drawn at random. Test
accuracy in percent of the integers in the file, mean ± standard deviation over {len(SEEDS)} seeds (images,
weights, order); nothing was chosen on validation, the ratio of the claims, {CLAIMED_RATIO:g}, was set before.

"""


def recipes(bits: int) -> dict[str, tuple[Step, ...]]:
    """Row -> the steps."""
    first = LayerQuantization("conv1", bits=8)

    def plain(granularity: str = "tensor", rule: str = "minmax") -> tuple[Step, ...]:
        return AffineQuantization(bits=bits, granularity=granularity, rule=rule), first  # type: ignore[arg-type]

    found = {"linear": plain(), "mse": plain(rule="mse")}
    for ratio in RATIOS:
        split = OutlierChannelSplitting(ratio, bits)
        found[f"splitting {ratio:g}"] = (split, *plain())
        clipped = OutlierChannelSplitting(ratio, bits, rule="mse")
        found[f"splitting {ratio:g} + mse"] = (clipped, *plain(rule="mse"))
        found[f"random {ratio:g}"] = (OutlierChannelSplitting(ratio, bits, order="random"), *plain())
    found["scale a channel"] = plain("channel")
    by_channel = OutlierChannelSplitting(CLAIMED_RATIO, bits, "channel")
    found[f"scale a channel, splitting {CLAIMED_RATIO:g}"] = (by_channel, *plain("channel"))
    return found


def run(key: str) -> Run:
    seed, bits, row = key.split("/")
    graph, data = trained("cifar10", int(seed))
    if row == "float":
        parts = {"validation": data.validation, "test": data.test}
        return {
            name: 100 * float(np.mean(float_logits(graph, part.x).argmax(axis=1) == part.y))
            for name, part in parts.items()
        }
    return score(recipes(int(bits))[row], graph, data, int(seed))


def keys() -> Iterator[str]:
    for seed in SEEDS:
        yield f"{seed}/32/float"
        yield from (f"{seed}/{bits}/{row}" for bits in BITS for row in recipes(bits))


def over(runs: Runs, bits: int, row: str, field: str = "test") -> list[float]:
    return [runs[f"{seed}/{bits}/{row}"][field] for seed in SEEDS]


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, from means over seeds."""
    whole, row = mean(over(runs, 32, "float")), f"splitting {CLAIMED_RATIO:g}"
    lossy = [bits for bits in BITS if mean(over(runs, bits, "linear")) <= whole - LOSS]
    yield f"Float: {spread(over(runs, 32, 'float'))}."
    yield ""
    if lossy:
        bits = max(lossy)
        gain = {
            kind: mean(over(runs, bits, kind)) - mean(over(runs, bits, "linear")) for kind in recipes(bits)
        }
        at = f"at {bits} bits, the most where linear loses {LOSS:g} points"
        yield f"- {row} ≥ linear + {GAIN:g} points {at}: {holds(gain[row] >= GAIN)} ({gain[row]:+.2f})."
        other = gain[f"random {CLAIMED_RATIO:g}"]
        yield f"- Channels drawn at random are worse there: {holds(other < gain[row])} ({other:+.2f})."
    else:
        yield f"- Linear loses {LOSS:g} points at none of these bits: the first claim is untried."
    for bits in lossy:
        ahead = mean(over(runs, bits, "mse")) - mean(over(runs, bits, row))
        yield f"- Clipping alone (mse) against {row} alone at {bits} bits: {ahead:+.2f} points."
    for bits in BITS:
        left = mean(over(runs, bits, f"{row} + mse")) - mean(over(runs, bits, "mse"))
        yield f"- {row} + mse ≥ mse − {SLACK:g} at {bits} bits: {holds(left >= -SLACK)} ({left:+.2f})."
    for bits in BITS:
        channel = mean(over(runs, bits, "scale a channel"))
        rest = mean(over(runs, bits, f"scale a channel, {row}")) - channel
        best = mean(over(runs, bits, f"{row} + mse")) - channel
        yield (
            f"- A scale a channel at {bits} bits leaves {rest:+.2f} points to splitting; splitting, "
            f"clipping and one scale a tensor is {best:+.2f} points from a scale a channel without splitting."
        )
    for field, unit in (("macs", "multiplications"), ("bytes", "bytes of the file")):
        more = mean(over(runs, 4, row, field)) / mean(over(runs, 4, "linear", field)) - 1
        yield f"- {row} at 4 bits takes {100 * more:.1f}% more {unit}."


def report(runs: Runs) -> None:
    rows = [
        {"row": row, **{f"{bits} bits": spread(over(runs, bits, row)) for bits in BITS}}
        | {"bytes at 4 bits": spread(over(runs, 4, row, "bytes"), 0)}
        for row in recipes(4)
    ]
    write_results(NAME, "Outlier channel splitting", rows, HOW + "\n".join(verdicts(runs)), runs=runs)


def main() -> None:
    torch.set_num_threads(1)
    report(stored(NAME, keys(), run))


if __name__ == "__main__":
    main()
