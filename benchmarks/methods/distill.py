"""Distillation from unlabeled inputs, when one image in five has a label.

    python benchmarks/methods/distill.py [seed ...]

Every run is stored at once: a second start goes on with the first seed that is not done.
"""

from __future__ import annotations

import io
import json
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch

from benchmarks.common import RESULTS, write_results
from benchmarks.methods.rows import SEEDS, spread
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.source import find
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.methods.distill.unlabeled import Unlabeled
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.models import lenet
from smidgen.tasks.task import load_task

NAME = "methods/distill"
ROWS, LABELED, VALIDATION = 5_000, 1_000, 500
UPDATES, BATCH = 1_500, 64
LR = 3e-3
WIDTH = 0.25
SHAPE = (28, 28, 1)
HOW = f"""\
MNIST, {ROWS:,} training images, of which {LABELED:,} have labels, {VALIDATION} validation images. The
teacher, LeNet-5, is trained on the labels. The student is LeNet-5 at width {WIDTH}: trained on the same
labels (`labels`), or without any by `distill.unlabeled` on all {ROWS:,} images (`unlabeled`), on the
labeled ones alone (`few`), or, as a stress, on inputs that are no digits: grey crops of CIFAR-10 (JPEG),
uniform noise. All students get {UPDATES:,} updates. The epoch that is best on validation inputs is kept:
by their labels for `labels` and the teacher, else by agreement with the teacher, on inputs of the same
kind as those trained on. Float networks. Test accuracy in percent, mean ± standard deviation over
{len(SEEDS)} seeds (which images, initial weights, order of samples); agreement: share of test images for
which the student says what the teacher says.

"""
CLAIM = "the student from unlabeled inputs is at least one point better than the same student on the labels"
NO_LABEL = 0  # stands where no label is known; nothing reads it
Runs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Scene:
    """One seed's data: labeled splits, and the unlabeled ones by name."""

    labeled: Splits
    unlabeled: dict[str, Splits]


def blind(x: np.ndarray, held_out: np.ndarray, like: Splits) -> Splits:
    """Inputs without their labels; the test split of `like`."""
    parts = (Dataset(part, np.full(len(part), NO_LABEL)) for part in (x, held_out))
    return Splits(*parts, like.test, like.classes)


def scene(data: Splits, grey: np.ndarray, seed: int) -> Scene:
    rng = np.random.default_rng(seed)
    train = data.train.take(rng.permutation(len(data.train))[:ROWS])
    validation = data.validation.take(rng.permutation(len(data.validation))[:VALIDATION])
    labeled = Splits(train.head(LABELED), validation, data.test, data.classes)
    noise = rng.random((ROWS + VALIDATION, *SHAPE), dtype=np.float32)
    crops = grey[rng.permutation(len(grey))[: ROWS + VALIDATION]]
    unlabeled = {
        "unlabeled": blind(train.x, validation.x, data),
        "few": blind(labeled.train.x, validation.x, data),
        "cifar10": blind(crops[:ROWS], crops[ROWS:], data),
        "noise": blind(noise[:ROWS], noise[ROWS:], data),
    }
    return Scene(labeled, unlabeled)


def grey_crops(rows: int) -> np.ndarray:
    """Centres [rows, 28, 28, 1] of CIFAR-10 training images, 0..1."""
    import pyarrow.parquet
    from PIL import Image

    file = find("cifar10_train.parquet")
    if file is None:
        raise SystemExit("cifar10_train.parquet is not in $SMIDGEN_DATA")
    images = pyarrow.parquet.read_table(file, columns=["image"]).column("image").slice(0, rows).to_pylist()
    found = [Image.open(io.BytesIO(_bytes(item))).convert("L").crop((2, 2, 30, 30)) for item in images]
    return np.stack([np.asarray(image, np.float32) for image in found])[..., None] / np.float32(255)


def _bytes(item: Any) -> bytes:
    return bytes(item["bytes"] if isinstance(item, dict) else item)


def settings(rows: int) -> FitSettings:
    """As many updates for any number of rows; a patience that never ends, so that the best state is kept."""
    epochs = round(UPDATES / max(rows // BATCH, 1))
    return FitSettings(epochs, LR, BATCH, patience=epochs)


def score(graph: Graph, teacher: Graph, test: Dataset) -> dict[str, float]:
    found, taught = (float_logits(g, test.x).argmax(axis=1) for g in (graph, teacher))
    return {"test": 100 * float((found == test.y).mean()), "agreement": 100 * float((found == taught).mean())}


def student(seed: int) -> Graph:
    return lenet.build(SHAPE, 10, WIDTH, seed + 100)


def distilled(data: Splits, teacher: Graph, seed: int) -> Graph:
    chosen = settings(len(data.train))
    recipe = Recipe((Unlabeled(), Fit(chosen.epochs, chosen.lr, chosen.batch_size, chosen.patience)))
    return recipe.apply(student(seed), Context(data, teacher, seed))


def runs_of(where: Scene, seed: int) -> Iterator[tuple[str, dict[str, float]]]:
    chosen, test = settings(LABELED), where.labeled.test
    teacher = fit(lenet.build(SHAPE, 10, 1.0, seed), where.labeled, chosen, seed=seed)
    yield f"{seed}/teacher", score(teacher, teacher, test)
    yield f"{seed}/labels", score(fit(student(seed), where.labeled, chosen, seed=seed), teacher, test)
    for name, data in where.unlabeled.items():
        yield f"{seed}/{name}", score(distilled(data, teacher, seed), teacher, test)


def over(runs: Runs, what: str, field: str) -> list[float]:
    return [float(runs[key][field]) for seed in SEEDS if (key := f"{seed}/{what}") in runs]


def verdicts(runs: Runs) -> Iterator[str]:
    """Every kind of unlabeled inputs against the labels, paired by seed."""
    labels = over(runs, "labels", "test")
    for what in ("unlabeled", "few", "cifar10", "noise"):
        gains = [a - b for a, b in zip(over(runs, what, "test"), labels, strict=True)]
        yield f"- `{what}` against `labels`: {spread(gains)} points."
        if what == "unlabeled":
            error = stdev(gains) / math.sqrt(len(gains))
            word = "holds" if mean(gains) >= 1 else "does not hold"
            yield f"- Claim: {CLAIM}: {word} (standard error {error:.2f})."


def report(runs: Runs) -> None:
    kinds = ("teacher", "labels", "unlabeled", "few", "cifar10", "noise")
    done = [what for what in kinds if over(runs, what, "test")]
    rows = [
        {
            "network": what,
            "test accuracy": spread(over(runs, what, "test")),
            "agreement": spread(over(runs, what, "agreement")),
        }
        for what in done
    ]
    complete = all(len(over(runs, what, "test")) == len(SEEDS) for what in kinds)
    how = HOW + "\n".join(verdicts(runs) if complete else ())
    write_results(NAME, "Distillation without labels", rows, how.strip(), runs=runs)


def main(seeds: tuple[int, ...]) -> None:
    torch.set_num_threads(1)
    file = RESULTS / f"{NAME}.json"
    runs: Runs = json.loads(file.read_text())["runs"] if file.exists() else {}
    todo = [seed for seed in seeds if f"{seed}/noise" not in runs]
    if todo:
        data, grey = load_task("mnist").load(), grey_crops(ROWS + VALIDATION)
        for seed in todo:
            for key, found in runs_of(scene(data, grey, seed), seed):
                runs[key] = found
                print(key, found, flush=True)
                report(runs)
    report(runs)


if __name__ == "__main__":
    main(tuple(map(int, sys.argv[1:])) or SEEDS)
