"""Overwrite quantization against clipping, activations of few bits, CIFAR-10 (JPEG).

    python benchmarks/methods/overq.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from itertools import pairwise
from statistics import mean

import numpy as np
import torch

from benchmarks.common import write_results
from benchmarks.methods.rows import SEEDS, Run, Runs, accuracy, artifact, holds, spread, stored
from benchmarks.methods.trained import ABOUT, trained
from smidgen.data.dataset import Splits
from smidgen.graph import Graph
from smidgen.graph.overwrite import TOP_CODE, Overwrite, overwritten
from smidgen.methods.quantize._lanes import pe_area
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.overq import OverwriteQuantization, activations
from smidgen.methods.step import Context, Step
from smidgen.numerics import round_half_up

NAME = "methods/overq"
BITS = (4, 3, 2)
ROWS: dict[str, tuple[int, int]] = {  # reach, fraction
    "clip": (0, 0),
    "range": (1, 0),
    "range, cascade 1": (2, 0),
    "range, cascade 2": (3, 0),
    "range, cascade 3": (4, 0),
    "range, precision": (1, 2),
    "range, cascade 3, precision": (4, 2),
}
CASCADED = "range, cascade 3"
WIDEN = (0.7, 0.85, 1.0, 1.2)
GAIN = 1.0
WEIGHT_BITS = 8
TUNING_ROWS = 2_000
HOW = f"""\
CIFAR-10 (JPEG), {ABOUT}. No training after quantization. Weights of {WEIGHT_BITS} bits, one scale a channel;
inputs of layers behind a ReLU in lanes of b bits, tiles of 32 channels; the image and what the last layer
reads have 8. `clip` is the plain b-bit grid. `range` lets an outlier take the zero beside it, `cascade c` one
up to c lanes further, `precision` lets a zero hold 2 bits of a neighbour's fraction. For every row the step
of each layer is the one with the least squared error under that row's own rule, times a factor of {WIDEN},
chosen for each seed on {TUNING_ROWS:,} validation images. Test accuracy in percent of the integers in the
file, mean ± standard deviation over {len(SEEDS)} seeds (images, weights, order). Files and times are those of
8-bit activations: only the hardware that the lane simulator describes would store fewer bits.

"""


def steps(bits: int, row: str, widen: float) -> tuple[Step, ...]:
    reach, fraction = ROWS[row]
    return OverwriteQuantization(bits, reach, fraction, widen=widen), AffineQuantization()


def tuned(key: str) -> Run:
    """A row with one factor, on validation."""
    seed, bits, row, widen = key.split("/")
    graph, data = trained("cifar10", int(seed))
    made, _ = artifact(steps(int(bits), row, float(widen)), graph, data, int(seed))
    return {"validation": accuracy(made, data.validation.head(TUNING_ROWS))}


def chosen(runs: Runs, prefix: str) -> float:
    """The factor with the best validation accuracy; of equals the one nearest to 1."""
    ranked = sorted(WIDEN, key=lambda widen: abs(widen - 1))
    return max(ranked, key=lambda widen: runs[f"{prefix}/{widen}"]["validation"])


def final(runs: Runs, key: str) -> Run:
    """A row with its chosen factor, on test; 8 bits without lanes; or the share of outliers with a zero."""
    seed, bits, row = key.split("/")[:3]
    graph, data = trained("cifar10", int(seed))
    if row == "zeros":
        return zeros(graph, data, int(bits), int(seed))
    lanes = steps(int(bits), row, chosen(runs, key.removesuffix("/test"))) if row in ROWS else None
    made, nbytes = artifact(lanes or (AffineQuantization(),), graph, data, int(seed))
    return {"test": accuracy(made, data.test), "bytes": nbytes}


def zeros(graph: Graph, data: Splits, bits: int, seed: int) -> Run:
    """The share of zeros and of outliers among activations, and of outliers that find a zero by reach: all
    layers together, at the steps that suit clipping.
    """
    step, ctx = OverwriteQuantization(bits, 0), Context(data, graph, seed)
    made = step.apply(graph, ctx)
    nodes = {node.inputs[0]: node for node in made.nodes if node.op == "overwrite"}
    seen = activations(made, tuple(nodes), data.validation.head(step.samples), ctx)
    found = [
        np.clip(round_half_up(seen[name] / node.attrs["scale"]), 0, TOP_CODE).astype(np.int64)
        for name, node in nodes.items()
    ]
    count = sum(codes.size for codes in found)
    outliers = sum(int((codes > step.rule().most).sum()) for codes in found)
    shares = {"zeros": sum(int((codes == 0).sum()) for codes in found) / count, "outliers": outliers / count}
    for reach in range(1, 5):
        rule = Overwrite(bits, 0, reach, step.tile)
        handled = sum(int((overwritten(codes, rule) > rule.most).sum()) for codes in found)
        shares[f"reach {reach}"] = handled / outliers
    return shares


def over(runs: Runs, bits: int, row: str, field: str = "test") -> list[float]:
    return [runs[f"{seed}/{bits}/{row}/test"][field] for seed in SEEDS]


def verdicts(runs: Runs) -> Iterator[str]:
    """The claims, from means over seeds."""
    yield f"8 bits everywhere: {spread(over(runs, 8, 'plain'))}."
    yield ""
    for bits in BITS:
        clip, best = mean(over(runs, bits, "clip")), mean(over(runs, bits, CASCADED))
        lost = mean(over(runs, 8, "plain")) - clip
        yield (
            f"- {CASCADED} ≥ clip + {GAIN:g} point at {bits} bits: {holds(best - clip >= GAIN)} "
            f"({best - clip:+.2f}; clipping loses {lost:.2f} from 8 bits)."
        )
    for bits in BITS:
        shares = [mean(over(runs, bits, "zeros", f"reach {reach}")) for reach in range(1, 5)]
        shown = ", ".join(f"{100 * share:.1f}%" for share in shares)
        rises = all(a < b for a, b in pairwise(shares))
        outliers, empty = (100 * mean(over(runs, bits, "zeros", field)) for field in ("outliers", "zeros"))
        yield (
            f"- Outliers that find a zero at {bits} bits (cascade 0 to 3): {shown}; the share rises with the "
            f"cascade: {holds(rises)}. {outliers:.2f}% of the activations are outliers, {empty:.0f}% zeros."
        )
    for row, (reach, fraction) in ROWS.items():
        area = pe_area(Overwrite(4, fraction, reach, 32), WEIGHT_BITS)
        yield (
            f"- Modelled area of `{row}` a PE at 4 bits: {area.state_bits} bits of state, "
            f"{area.weight_mux_bits + area.shift_mux_bits} multiplexer bits ({area.weight_mux_bits} weight, "
            f"{area.shift_mux_bits} shift), beside a multiplier of {area.multiplier_cells} cells."
        )


def report(runs: Runs) -> None:
    rows = [
        {"row": row, **{f"{bits} bits": spread(over(runs, bits, row)) for bits in BITS}}
        | {"bytes at 4 bits": spread(over(runs, 4, row, "bytes"), 0)}
        for row in ROWS
    ]
    write_results(NAME, "Overwrite quantization", rows, HOW + "\n".join(verdicts(runs)), runs=runs)


def main() -> None:
    torch.set_num_threads(1)
    each = [(seed, bits) for seed in SEEDS for bits in BITS]
    runs = stored(NAME, (f"{s}/{b}/{row}/{widen}" for s, b in each for row in ROWS for widen in WIDEN), tuned)
    last = [f"{seed}/8/plain/test" for seed in SEEDS]
    last += [f"{seed}/{bits}/{row}/test" for seed, bits in each for row in (*ROWS, "zeros")]
    report(stored(NAME, last, partial(final, runs)))


if __name__ == "__main__":
    main()
