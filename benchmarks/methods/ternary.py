"""Ternary weights against float ones: accuracy and bytes, on MNIST.

    python benchmarks/methods/ternary.py

Every run is stored at once: a second start goes on with the first that is not done.
"""

from __future__ import annotations

from collections.abc import Iterator
from statistics import mean

import torch

from benchmarks.common import write_results
from benchmarks.methods.few_bits import HOW, Recipes, compare, table
from benchmarks.methods.rows import Runs, holds, over
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.ternary import TernaryWeights

NAME = "methods/ternary"
RECIPES: Recipes = {
    "fp32": lambda fit: (fit,),
    "ternary": lambda fit: (TernaryWeights(), fit, AffineQuantization()),
    "ternary, learned scale": lambda fit: (TernaryWeights(scale="learned"), fit, AffineQuantization()),
    "ternary, first and last too": lambda fit: (
        TernaryWeights(first=True, last=True),
        fit,
        AffineQuantization(),
    ),
}
LOSS, SMALLER = 1.0, 14
ABOUT = """\
`fp32` is the float network as torch runs it, 4 bytes a parameter. First and last layer have 8 bits unless
said otherwise. Scales are one a channel, the mean size of the weights that are not 0, unless learned.

"""


def verdicts(runs: Runs) -> Iterator[str]:
    """The claim for each ternary row, from means over seeds; and what a learned scale is worth."""
    whole, size = mean(over(runs, "fp32")), mean(over(runs, "fp32", "bytes"))
    for row in list(RECIPES)[1:]:
        lost, ratio = whole - mean(over(runs, row)), size / mean(over(runs, row, "bytes"))
        yield (
            f"- {row}: within {LOSS:g} point of fp32 at 1/{SMALLER} of the bytes or less: "
            f"{holds(lost <= LOSS and ratio >= SMALLER)} ({-lost:+.2f} points, 1/{ratio:.1f})."
        )
    gain = mean(over(runs, "ternary, learned scale")) - mean(over(runs, "ternary"))
    yield f"- A learned scale is no worse than the mean size: {holds(gain >= 0)} ({gain:+.2f} points)."


def main() -> None:
    torch.set_num_threads(1)
    runs = compare(NAME, RECIPES)
    how = HOW + ABOUT + "\n".join(verdicts(runs))
    write_results(NAME, "Ternary weights", table(runs, RECIPES), how, runs=runs)


if __name__ == "__main__":
    main()
