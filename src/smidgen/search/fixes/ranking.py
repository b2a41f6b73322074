"""Simulate every candidate: apply the changed recipe, lower, run the integers, compare the outputs."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
import yaml

from smidgen.data.dataset import Dataset, Splits
from smidgen.data.metrics import Metric
from smidgen.errors import BadInput, IllegalGraph, Unsupported
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.measure.accuracy import quantized_inputs
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Stage, Step
from smidgen.numerics import Array
from smidgen.probe.signal import Signal
from smidgen.run.plans import plan_of
from smidgen.search.fixes.candidates import Candidate, candidates

Report = Callable[[float, str], None]
MOST_SIMULATED = 48
REBUILT_WITHIN_DB = 0.5
LEAST_GAIN_DB = 0.1  # below, other samples decide the sign


@dataclass(frozen=True)
class Fix:
    """A change of the recipe with what it was found to bring on the samples.

    `gain_db`: of the output's signal-to-noise ratio; `gain_points`: of the metric (None without targets);
    `more_bytes`: of packed weights; `recipe`: the whole recipe with `step` in its place, after step number
    `after` (counted from 1; 0: first).
    """

    what: str
    step: Step
    after: int
    gain_db: float
    gain_points: float | None
    more_bytes: int
    recipe: Recipe

    @property
    def place(self) -> str:
        """Where the entry goes: `first`, or `after step 2, quantize.affine`."""
        return f"after step {self.after}, {self.recipe.steps[self.after - 1].name}" if self.after else "first"

    @property
    def line(self) -> str:
        """The entry to put into the recipe."""
        changed = {
            f.name: getattr(self.step, f.name)
            for f in fields(self.step)  # type: ignore[arg-type]
            if getattr(self.step, f.name) != f.default
        }
        if not changed:
            return f"- {self.step.name}"
        plain = {key: list(v) if isinstance(v, tuple) else v for key, v in changed.items()}
        settings = yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=math.inf)
        return f"- {self.step.name}: {settings.strip()}"


@dataclass(frozen=True)
class Fixes:
    """The fixes that gain anything, the best first; how many were tried; what the user should know."""

    ranked: tuple[Fix, ...]
    tried: int
    notes: tuple[str, ...] = ()
    interrupted: bool = False


@dataclass(frozen=True)
class _Judged:
    db: float
    score: float | None
    nbytes: int


@dataclass(frozen=True, eq=False)
class Samples:
    """What fixes are judged on: inputs, targets (None: unknown) and the wanted outputs [n, k], real."""

    data: Dataset
    wanted: Array
    metric: Metric | None


def ranked_fixes(
    original: Graph,
    recipe: Recipe,
    splits: Splits,
    samples: Samples,
    layers: Sequence[str],
    output_db: float,
    report: Report,
    seed: int = 0,
) -> Fixes:
    """Fixes of `recipe` on `original` for `layers` (worst first), by predicted gain.

    `output_db` is the ratio of the artifact itself: a note tells where the recipe does not lead there.

    A recipe that trains does so once; fixes then stand behind the training. An interrupt ends the search for
    fixes and keeps those found.
    """
    fixes: list[Fix] = []
    notes: list[str] = []
    tried, interrupted = 0, False
    try:
        bench = _Bench(original, recipe, splits, samples, seed, report)
        simulated, notes = _simulated(bench, layers, output_db)
        for candidate in simulated:
            report(tried / len(simulated), f"simulating: {candidate.what}")
            if (fix := bench.fix(candidate)) and fix.gain_db >= LEAST_GAIN_DB:
                fixes.append(fix)
            tried += 1
    except KeyboardInterrupt:
        interrupted = True
        notes.append("interrupted: not all fixes were simulated")
    ranked = sorted(fixes, key=lambda fix: (-fix.gain_db, fix.more_bytes))
    return Fixes(tuple(ranked), tried, tuple(notes), interrupted)


def _simulated(bench: _Bench, layers: Sequence[str], output_db: float) -> tuple[list[Candidate], list[str]]:
    """What to simulate, and what to know about it."""
    notes = []
    if not abs(_difference(bench.base.db, output_db)) < REBUILT_WITHIN_DB:
        was = f"the recipe leads to {bench.base.db:.1f} dB here, the artifact has {output_db:.1f} dB"
        notes.append(f"{was}: gains count from the former (other seed, data or training)")
    everything = candidates(bench.stages[0], bench.stages[-1], layers, bench.recipe.steps)
    possible = [candidate for candidate in everything if not bench.retrains(candidate.step)]
    if len(possible) < len(everything):
        left = ", ".join(dict.fromkeys(c.step.name for c in everything if c not in possible))
        notes.append(f"{left} would have to train again and was not simulated")
    return possible[:MOST_SIMULATED], notes


class _Bench:
    """The recipe's graphs after each step, and what a change of it makes of the outputs."""

    def __init__(
        self, original: Graph, recipe: Recipe, splits: Splits, samples: Samples, seed: int, report: Report
    ) -> None:
        self.recipe, self.samples = recipe, samples
        self._original, self._splits, self._seed = original, splits, seed
        told = replace(self._context(), report=lambda f, what: report(f, f"applying the recipe: {what}"))
        self.stages = [original, *recipe.walk(original, told)]
        self.base = self._judged(self.stages[-1])

    def fix(self, candidate: Candidate) -> Fix | None:
        """The candidate with its gains; None where it changes nothing or can't be built."""
        place = self._place(candidate.step)
        steps = self.recipe.steps
        changed = Recipe((*steps[:place], candidate.step, *steps[place:]))
        ctx = self._context()
        try:
            *_, last = changed.walk(self.stages[place], ctx, place)
            judged = self._judged(last)
        except (IllegalGraph, Unsupported, BadInput):
            return None
        points = None if judged.score is None or self.base.score is None else judged.score - self.base.score
        return Fix(
            candidate.what,
            candidate.step,
            place,
            _difference(judged.db, self.base.db),
            points,
            judged.nbytes - self.base.nbytes,
            changed,
        )

    def retrains(self, step: Step) -> bool:
        """Whether a training comes behind the step's place."""
        return any(later.stage is Stage.TUNE for later in self.recipe.steps[self._place(step) :])

    def _place(self, step: Step) -> int:
        """Behind everything of its stage or an earlier one; what mends rounding, behind all training too."""
        before = {stage for stage in Stage if stage <= step.stage} - {Stage.TUNE}
        if step.stage >= Stage.VALUES:
            before.add(Stage.TUNE)
        return max((i + 1 for i, other in enumerate(self.recipe.steps) if other.stage in before), default=0)

    def _context(self) -> Context:
        return Context(self._splits, self._original, self._seed)

    def _judged(self, graph: Graph) -> _Judged:
        lowered = lower(graph)
        outputs = real_outputs(lowered, self.samples.data.x)
        signal = Signal()
        signal.update(self.samples.wanted.reshape(len(outputs), -1), outputs.reshape(len(outputs), -1))
        metric = self.samples.metric
        score = None if metric is None else metric.gain(metric.predictions(outputs), self.samples.data.y)
        return _Judged(signal.sqnr_db, score, sum(w.stored_bytes() for w in lowered.weights.values()))


def real_outputs(lowered: Graph, x: Array) -> Array:
    """Real outputs [n, ...] of the first output."""
    outputs = plan_of(lowered).run(quantized_inputs(lowered, x))
    made = outputs if isinstance(outputs, np.ndarray) else outputs[0]
    grid = lowered.values[lowered.outputs[0]].grid
    return made if grid is None else grid.dequantize(made)


def _difference(after: float, before: float) -> float:
    """Decibels gained; nothing where both are exact."""
    return 0.0 if after == before else math.nan if math.isnan(after) else after - before
