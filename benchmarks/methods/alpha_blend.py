"""Alpha-blending against the straight-through estimate, weights of 1 and 2 bits, on MNIST.

    python benchmarks/methods/alpha_blend.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean, stdev

import torch

from benchmarks.common import write_results
from benchmarks.methods.few_bits import HOW, Recipes, compare, table
from benchmarks.methods.rows import Runs, holds, over
from smidgen.learn.hooks import Hook
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.alpha_blend import AlphaBlend
from smidgen.methods.step import Context

NAME = "methods/alpha_blend"
BITS = (1, 2)
ALLOWED = 0.5


class StraightThrough(AlphaBlend):
    """The same grids on the same layers, trained as the formats themselves train."""

    def hooks(self, ctx: Context) -> tuple[Hook, ...]:
        return ()


RECIPES: Recipes = {
    "STE, 1 bit": lambda fit: (StraightThrough(1), fit, AffineQuantization()),
    "AB, 1 bit": lambda fit: (AlphaBlend(1), fit, AffineQuantization()),
    "STE, 2 bits": lambda fit: (StraightThrough(2), fit, AffineQuantization()),
    "AB, 2 bits": lambda fit: (AlphaBlend(2), fit, AffineQuantization()),
}
ABOUT = f"""\
First and last layer have 8 bits. AB: `quantize.alpha_blend`, blending from {AlphaBlend.start:g} to
{AlphaBlend.until:g} of the training, weights frozen behind that. STE: the same grids with gradients through
rounding as smidgen trains them elsewhere: at 1 bit that of `binarize.bwn`, at 2 bits with learned steps
(LSQ). 2 bits on a symmetric grid are three values.

"""


def verdicts(runs: Runs) -> Iterator[str]:
    """The claim, from means over seeds; a win is one of more than the larger standard deviation."""
    for bits in BITS:
        unit = "bit" if bits == 1 else "bits"
        ste, blend = (over(runs, f"{kind}, {bits} {unit}") for kind in ("STE", "AB"))
        gain, noise = mean(blend) - mean(ste), max(stdev(ste), stdev(blend))
        found = "better" if gain > noise else "worse" if gain < -noise else "no difference"
        yield (
            f"- AB ≥ STE - {ALLOWED:g} point at {bits} {unit}: {holds(gain >= -ALLOWED)} ({gain:+.2f} "
            f"points; beyond one standard deviation, {noise:.2f}: {found})."
        )


def main() -> None:
    torch.set_num_threads(1)
    runs = compare(NAME, RECIPES)
    how = HOW + ABOUT + "\n".join(verdicts(runs))
    write_results(NAME, "Alpha-blending", table(runs, RECIPES), how, runs=runs)


if __name__ == "__main__":
    main()
