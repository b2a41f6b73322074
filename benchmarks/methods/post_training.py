"""What equalization, bias correction and mixed precision are worth without any training.

Claims, written down before the first run: with one scale a tensor, equalization and bias correction each win
accuracy at 4 to 6 bits (Nagel et al. 2019, arXiv 1906.04721), and both together more than either; mixed bits
make a smaller file than the best uniform bits within the same tolerance on validation, and lose at most one
point on test. Every run is stored at once: a second start goes on from there.

    python benchmarks/methods/post_training.py [task ...]
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

import torch

from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.files import write_whole
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.lower import lower
from smidgen.measure.accuracy import predict
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.bias_correction import BiasCorrection
from smidgen.methods.quantize.equalize import Equalize
from smidgen.methods.quantize.mixed import MixedPrecision
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.run.native import NativePlan, native_plan
from smidgen.tasks.task import load_task

RESULTS = Path(__file__).parents[1] / "results/methods"
SEEDS = (0, 1, 2)
BITS = (4, 5, 6)
VALIDATION_ROWS = 1000  # at most; all of them decide on bits
TOLERANCES = ((0.5, 2.0), (1.0, 0.0))  # (points, standard errors)
Runs = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Setup:
    """How the float network is trained."""

    epochs: int
    lr: float
    batch_size: int
    train_rows: int


SETUPS = {"watch": Setup(15, 3e-3, 32, 10_000), "mnist": Setup(6, 2e-3, 64, 12_000)}
READING = """\
Test accuracy in percent of the integers in the written file, read again and run by the native plan; mean ±
standard deviation over {seeds} seeds (initial weights, order of samples). Differences are paired: same
network, same test samples. Three seeds show a direction, not significance. A claim "holds" if the mean is
on its side by more than the standard error over seeds, is "open" within it, and else "does not hold";
"smaller" means with every seed. This rule for verdicts was set while the first runs came in, the claims
before. Bits are chosen on validation, whose accuracy is optimistic afterwards: that is what a drop on test
beyond the tolerance shows."""


def rounding(bits: int) -> dict[str, tuple[Step, ...]]:
    """Recipes with one scale a tensor."""
    plain = AffineQuantization(bits=bits, granularity="tensor")
    return {
        "plain": (plain,),
        "equalize": (Equalize(), plain),
        "bias correction": (plain, BiasCorrection()),
        "both": (Equalize(), plain, BiasCorrection()),
        "a scale a channel": (AffineQuantization(bits=bits),),
        "a scale a channel, bias correction": (AffineQuantization(bits=bits), BiasCorrection()),
    }


@dataclass(frozen=True)
class Trial:
    """One task with one seed: its data and the trained float network."""

    data: Splits
    graph: Graph
    seed: int

    def built(self, steps: tuple[Step, ...]) -> tuple[NativePlan, int]:
        """The integers of the file that a recipe makes, and its length."""
        lowered = lower(Recipe(steps).apply(self.graph, Context(self.data, self.graph, self.seed)))
        with tempfile.TemporaryDirectory() as scratch:
            path = Path(scratch) / "model.smg"
            nbytes = write_smg(path, [lowered])
            return native_plan(read_smg(path).graph), nbytes

    def float_right(self, part: Dataset) -> int:
        return int((float_logits(self.graph, part.x).argmax(axis=1) == part.y).sum())

    def floor(self, points: float, errors: float) -> float:
        """The fewest right validation answers within a tolerance, by its definition."""
        n = len(self.data.validation)
        share = self.float_right(self.data.validation) / n
        return n * (share - max(points / 100, errors * math.sqrt(share * (1 - share) / n))) - 1e-9


def right(plan: NativePlan, part: Dataset) -> int:
    return int((predict(plan.graph, plan.run, part.x) == part.y).sum())


def percent(plan: NativePlan, part: Dataset) -> float:
    return 100 * right(plan, part) / len(part)


def uniform(trial: Trial, floor: float) -> tuple[NativePlan, int, AffineQuantization] | None:
    """The smallest file of 2 to 8 bits, ends like the others or at 8, that keeps the floor on validation."""
    found = []
    for bits in range(2, 9):
        for ends in (0, 8):
            step = AffineQuantization(bits=bits, first_last_bits=ends)
            plan, nbytes = trial.built((step,))
            if right(plan, trial.data.validation) >= floor:
                found.append((plan, nbytes, step))
    return min(found, key=lambda candidate: candidate[1], default=None)


def compared(trial: Trial, points: float, errors: float) -> dict[str, Any]:
    """Mixed bits and the best uniform ones within one tolerance."""
    start = time.perf_counter()
    step = MixedPrecision(points, errors, evaluation_samples=0)
    mixed, nbytes = trial.built((step,))
    seconds, test = time.perf_counter() - start, trial.data.test
    best = uniform(trial, trial.floor(points, errors))
    assert best, "8 bits break the tolerance"
    return {
        "mixed_bytes": nbytes,
        "mixed": percent(mixed, test),
        "bits": [
            w.bits for n in mixed.graph.nodes if (w := mixed.graph.weights.get(n.params.get("weight", "")))
        ],
        "seconds": seconds,
        "uniform_bytes": best[1],
        "uniform": percent(best[0], test),
        "uniform_bits": [best[2].bits, best[2].first_last_bits],
        "float": 100 * trial.float_right(test) / len(test),
    }


def prepared(task_name: str, seed: int) -> Trial:
    setup, task = SETUPS[task_name], load_task(task_name)
    whole = task.load()
    train, validation = whole.train.head(setup.train_rows), whole.validation.head(VALIDATION_ROWS)
    data = Splits(train, validation, whole.test, whole.classes)
    settings = FitSettings(setup.epochs, setup.lr, setup.batch_size)
    return Trial(data, fit(task.model(seed=seed), data, settings, seed=seed), seed)


def run(tasks: list[str], path: Path) -> Runs:
    """All runs of `tasks`, those in `path` read and the others done and added."""
    runs: Runs = json.loads(path.read_text()) if path.exists() else {}
    for key, job in ((k, j) for task in tasks for seed in SEEDS for k, j in jobs(task, seed, runs)):
        runs[key] = job
        write_whole(path, json.dumps(runs, indent=1) + "\n")
        print(key, job, flush=True)
    return runs


def jobs(task: str, seed: int, runs: Runs) -> Iterator[tuple[str, dict[str, Any]]]:
    """What `runs` lacks of one task and seed; the network is trained only if something is lacking."""
    recipes = {f"{bits}/{label}": steps for bits in BITS for label, steps in rounding(bits).items()}
    mixes = {f"mixed/{points}/{errors}": (points, errors) for points, errors in TOLERANCES}
    prefix = f"{task}/{seed}/"
    todo = [key for key in ("float", *recipes, *mixes) if prefix + key not in runs]
    if not todo:
        return
    trial = prepared(task, seed)
    test = trial.data.test
    for key in todo:
        if key == "float":
            yield (
                prefix + key,
                {"test": 100 * trial.float_right(test) / len(test), "rows": len(trial.data.train)},
            )
        elif key in recipes:
            yield prefix + key, {"test": percent(trial.built(recipes[key])[0], test)}
        else:
            yield prefix + key, compared(trial, *mixes[key])


def over_seeds(runs: Runs, task: str, what: str, field: str = "test") -> list[float]:
    return [float(runs[f"{task}/{seed}/{what}"][field]) for seed in SEEDS]


def spread(values: list[float], form: str = ".1f") -> str:
    return f"{mean(values):{form}} ± {stdev(values):.1f}"


def gains(runs: Runs, task: str, what: str, over: str) -> list[float]:
    pairs = zip(over_seeds(runs, task, what), over_seeds(runs, task, over), strict=True)
    return [a - b for a, b in pairs]


def verdict(holds: bool) -> str:
    return "holds" if holds else "does not hold"


def judged(gain: list[float]) -> str:
    if abs(mean(gain)) <= stdev(gain) / math.sqrt(len(gain)):
        return "open"
    return verdict(mean(gain) > 0)


def rounding_lines(runs: Runs, task: str) -> Iterator[str]:
    labels = list(rounding(8))
    yield f"| bits | {' | '.join(labels)} |"
    yield f"|{'---|' * (len(labels) + 1)}"
    for bits in BITS:
        cells = [spread(over_seeds(runs, task, f"{bits}/{label}")) for label in labels]
        yield f"| {bits} | {' | '.join(cells)} |"
    yield ""
    claims = (
        ("equalize", "plain"),
        ("bias correction", "plain"),
        ("both", "equalize"),
        ("both", "bias correction"),
    )
    for what, over in claims:
        for bits in BITS:
            gain = gains(runs, task, f"{bits}/{what}", f"{bits}/{over}")
            yield f"- {what} − {over} at {bits} bits: {spread(gain, '+.1f')} points: {judged(gain)}."


def mixed_lines(runs: Runs, task: str) -> Iterator[str]:
    yield "| tolerance | seed | mixed bits | bytes | test | seconds | uniform bits (ends) | bytes | test |"
    yield "|---|---|---|---|---|---|---|---|---|"
    for points, errors in TOLERANCES:
        for seed in SEEDS:
            r = runs[f"{task}/{seed}/mixed/{points}/{errors}"]
            bits, (inner, ends) = " ".join(map(str, r["bits"])), r["uniform_bits"]
            yield (
                f"| {named(points, errors)} | {seed} | {bits} | {r['mixed_bytes']:,} | {r['mixed']:.1f} "
                f"| {r['seconds']:.0f} | {inner} ({ends or inner}) | {r['uniform_bytes']:,} "
                f"| {r['uniform']:.1f} |"
            )
    yield ""
    for points, errors in TOLERANCES:
        r = [runs[f"{task}/{seed}/mixed/{points}/{errors}"] for seed in SEEDS]
        size = mean(100 * (x["mixed_bytes"] / x["uniform_bytes"] - 1) for x in r)
        wins = sum(x["mixed_bytes"] < x["uniform_bytes"] for x in r)
        drop, other = (mean(x["float"] - x[kind] for x in r) for kind in ("mixed", "uniform"))
        yield (
            f"- {named(points, errors)}: mixed files are {size:+.1f}% against uniform ones, smaller with "
            f"{wins} of {len(r)} seeds, so smaller {verdict(wins == len(r))}; test drop from float "
            f"{drop:.1f} points (uniform {other:.1f}), so at most 1 point {verdict(drop <= 1)}."
        )


def named(points: float, errors: float) -> str:
    return (
        f"{points:g} points or {errors:g} standard errors"
        if errors
        else f"{points:g} point{'s' * (points != 1)}"
    )


def page(runs: Runs, tasks: list[str]) -> str:
    """The report in Markdown."""
    claims = (__doc__ or "").split(" Every run")[0].splitlines()[2:]
    lines = ["# Post-training quantization", "", *claims, "", READING.format(seeds=len(SEEDS))]
    for task in tasks:
        setup, count = SETUPS[task], runs[f"{task}/0/float"]["rows"]
        lines += [
            "",
            f"## {task}: {count} training samples, {setup.epochs} epochs",
            "",
            f"Float: {spread(over_seeds(runs, task, 'float'))}. {load_task(task).caveats}",
            "",
            "Weights with one scale a tensor, activations at 8 bits:",
            "",
            *rounding_lines(runs, task),
            "",
            "Mixed bits against the smallest uniform file within the same tolerance (a scale a channel, bits "
            "of the layers in order):",
            "",
            *mixed_lines(runs, task),
        ]
    return "\n".join(lines) + "\n"


def main(tasks: list[str]) -> None:
    torch.set_num_threads(1)
    runs = run(tasks, RESULTS / "post_training.json")
    last = f"mixed/{TOLERANCES[-1][0]}/{TOLERANCES[-1][1]}"
    done = [task for task in SETUPS if all(f"{task}/{seed}/{last}" in runs for seed in SEEDS)]
    write_whole(RESULTS / "post_training.md", page(runs, done))


if __name__ == "__main__":
    main(sys.argv[1:] or list(SETUPS))
