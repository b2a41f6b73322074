"""Shared by benchmarks of weights of one or two bits: network, data, learning rates tuned on validation."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from statistics import mean

from benchmarks.methods.rows import SEEDS, Run, Runs, accuracy, data_of, over, spread, stored, subset
from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph
from smidgen.learn.fit import float_logits
from smidgen.lower import lower
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks

TUNING_SEED = 3
RATES = (1e-3, 3e-3, 1e-2)
EPOCHS = 6
ROWS, VALIDATION = 6_000, 1_000
HOW = f"""\
MNIST, {ROWS:,} training and {VALIDATION:,} validation images. Convolutions of 16 and 32 channels (3 x 3,
stride 2, BatchNorm), linear layers of 96 and 10: 156k weights, 99% of them in the two inner layers. All rows
start from random weights and train for {EPOCHS} epochs, to the end; the peak of the cosine schedule is the
best of {", ".join(f"{rate:g}" for rate in RATES)} on validation, chosen for each row with another seed. Then
`quantize.affine`: activations and what is still float in 8 bits. Test accuracy in percent of the integers in
the file, mean ± standard deviation over {len(SEEDS)} seeds (images, weights, order); bytes of the whole file.

"""
Recipes = Mapping[str, Callable[[Fit], tuple[Step, ...]]]  # by row: what surrounds its training


def network(seed: int) -> Graph:
    blocks = Blocks("digits", (28, 28, 1), seed).conv(16, 3, 2).conv(32, 3, 2)
    return blocks.flatten().linear(96).classify(10)


def scene(seed: int) -> Splits:
    return subset(data_of("mnist"), seed, ROWS, VALIDATION)


def compare(name: str, recipes: Recipes) -> Runs:
    """All runs: `<row>/<rate>` on validation, then `<seed>/<row>` with the best rate on test."""
    rates = [f"{row}/{rate}" for row in recipes for rate in RATES]
    tuned = stored(name, rates, partial(_tuned, recipes))
    return stored(
        name, [f"{seed}/{row}" for seed in SEEDS for row in recipes], partial(_final, recipes, tuned)
    )


def best_rate(runs: Runs, row: str) -> float:
    return max(RATES, key=lambda rate: runs[f"{row}/{rate}"]["validation"])


def table(runs: Runs, rows: Iterable[str]) -> list[dict[str, str]]:
    whole = mean(over(runs, next(iter(rows)), "float bytes"))
    return [
        {
            "row": row,
            "learning rate": f"{best_rate(runs, row):g}",
            "test accuracy": spread(over(runs, row)),
            "bytes": spread(over(runs, row, "bytes"), 0),
            "of fp32": f"1/{whole / mean(over(runs, row, 'bytes')):.1f}",
        }
        for row in rows
    ]


def _tuned(recipes: Recipes, key: str) -> Run:
    row, rate = key.rsplit("/", 1)
    data = scene(TUNING_SEED)
    return {"validation": _right(_made(recipes[row], float(rate), TUNING_SEED), data.validation)}


def _final(recipes: Recipes, runs: Runs, key: str) -> Run:
    seed, row = key.split("/", 1)
    made, test = _made(recipes[row], best_rate(runs, row), int(seed)), data_of("mnist").test
    size = {"float bytes": 4 * sum(fmt.decode().size for fmt in network(int(seed)).weights.values())}
    nbytes = len(pack_smg([made])) if made.is_integer else size["float bytes"]
    return {"test": _right(made, test), "bytes": nbytes, **size}


def _made(recipe: Callable[[Fit], tuple[Step, ...]], rate: float, seed: int) -> Graph:
    """The integers of the file, read back; a float graph where the recipe quantizes nothing."""
    graph, fit = network(seed), Fit(EPOCHS, rate)
    made = Recipe(recipe(fit)).apply(graph, Context(scene(seed), graph, seed))
    return unpack_smg(pack_smg([lower(made)])).graph if len(recipe(fit)) > 1 else made


def _right(made: Graph, part: Dataset) -> float:
    """In percent."""
    if made.is_integer:
        return accuracy(made, part)
    return 100 * float((float_logits(made, part.x).argmax(axis=1) == part.y).mean())
