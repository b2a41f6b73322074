"""The product's main job in one call: a network, data, a device and a budget in; a measured frontier out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from smidgen import __version__
from smidgen.codec.container import pack_smg
from smidgen.data.dataset import Splits
from smidgen.data.metrics import metric_for
from smidgen.graph import Graph
from smidgen.methods.step import silent
from smidgen.methods.tune.fit import Fit
from smidgen.search.baselines import (
    WIDTHS,
    WidthModel,
    baseline_candidates,
    baseline_networks,
    narrowed,
    useful_widths,
)
from smidgen.search.budget import Budget
from smidgen.search.engine import Limits, Progress, Search
from smidgen.search.evaluate import ArtifactEvaluator
from smidgen.search.outcome import Candidate
from smidgen.search.pace import Pace, settled_pace
from smidgen.search.result import Goal, Result
from smidgen.search.run_folder import RunFolder
from smidgen.search.samplers import DEFAULT as DEFAULT_SAMPLER
from smidgen.search.samplers import sampler_class
from smidgen.search.space import RecipeSpace, usable_methods
from smidgen.search.starts import starting_recipes
from smidgen.search.workers import Workers
from smidgen.targets.target import Target


@dataclass(frozen=True)
class Job:
    """What to compress, for which device.

    Attributes:
        graph: the trained float network.
        data: its splits; test is opened once, at the end.
        target: the device; its flash and RAM complete the budget.
        budget: upper limits.
        max_drop: largest mean paired drop on validation, percentage points or in the metric's own unit.
        strict_drop: hold the upper end of the drop's 95% interval to `max_drop`, not only its mean.
        training: how the network was trained, the baselines' training too.
        methods: names of the steps to search over (None: all).
        widths: of the width baselines, above 0 and below 1 (empty: no baselines at all).
        width_model: (width, seed) -> the same design with fresh weights; by default channels are removed
            from `graph` and its weights drawn anew.
        sampler: which strategy proposes recipes: a file of `samplers/`.
    """

    graph: Graph
    data: Splits
    target: Target
    budget: Budget = field(default_factory=Budget)
    max_drop: float = 1.0
    training: Fit = field(default_factory=lambda: Fit(epochs=15))
    methods: tuple[str, ...] | None = None
    widths: tuple[float, ...] = WIDTHS
    width_model: WidthModel | None = None
    sampler: str = DEFAULT_SAMPLER
    strict_drop: bool = False

    @property
    def goal(self) -> Goal:
        """The budget completed by the device's memory; the size axis first (DESIGN.md, D10)."""
        times = () if self.data.synthetic else ("latency_ms",)
        memory = {"flash_bytes": self.target.flash_bytes, "ram_bytes": self.target.ram_bytes}
        costs = (self.target.size_axis, "ram_bytes", *times)
        budget = self.budget.within(**memory)
        return Goal(budget, costs, self.max_drop, self.strict_drop, metric_for(self.data))


def compress(
    job: Job,
    limits: Limits,
    folder: Path,
    progress: Callable[[Progress], None] = lambda progress: None,
    report: Callable[[float, str], None] = silent,
    workers: int = 1,
) -> Result:
    """Search in `folder`, or go on with the search that it holds.

    `progress` hears of every candidate, `report(fraction, message)` of the steps within one. `workers`
    processes build candidates at the same time (`workers.py` says what that guarantees).

    Raises:
        BadInput: the data, the budget or the sampler can't be used, another process works in the folder, or
            it holds a search with other settings.
    """
    job.data.check("data")
    job.graph.check()
    strategy = sampler_class(job.sampler)
    run = RunFolder(folder)
    with run.locked():
        untimed = job.data.synthetic  # nothing is trained
        pace = settled_pace(folder, job.graph, job.data, None if untimed else limits.time_s, workers)
        space = RecipeSpace(job.graph, usable_methods(job.methods, job.data), pace)
        run.claim(settings_of(job, limits, space))
        starts = [r for r in starting_recipes(pace, space.methods) if space.holds(r)]
        searcher = strategy(space, job.goal.costs, folder / "journal.log", min(limits.seeds), starts)
        baselines = _baselines(job, pace)
        evaluator = _evaluator(job, folder, report)
        if workers == 1:
            return Search(evaluator, searcher, run, job.goal, limits, baselines, progress).run()
        away = _evaluator(job, folder, silent)
        with Workers(evaluator, away, workers, run.trials, report) as pool:
            return Search(pool, searcher, run, job.goal, limits, baselines, progress, pool).run()


def _baselines(job: Job, pace: Pace) -> list[Candidate]:
    """None without data: they are trained."""
    if not job.widths or job.data.synthetic:
        return []
    fine_tuning = Fit(epochs=pace.usual_epochs, batch_size=pace.batch_size)
    return baseline_candidates(job.data, useful_widths(job.graph, job.widths), fine_tuning)


def settings_of(job: Job, limits: Limits, space: RecipeSpace) -> dict[str, Any]:
    """What a resumed run must share: everything that changes results, but not how long to search."""
    return {
        "version": __version__,
        "model": hashlib.sha256(pack_smg([job.graph])).hexdigest()[:16],
        "data": job.data.digest,
        "metric": job.data.metric,
        "loss": job.data.loss,
        "target": job.target.model_dump(mode="json"),
        "budget": job.budget.limits(),
        "training": asdict(job.training),
        "widths": list(job.widths),
        "seeds": list(limits.seeds),
        "sampler": job.sampler,
        "space": space.describe(),
    }


def _evaluator(job: Job, folder: Path, report: Callable[[float, str], None]) -> ArtifactEvaluator:
    from smidgen.learn.fit import FitSettings

    training = FitSettings(**asdict(job.training))
    model = job.width_model or partial(narrowed, job.graph)
    bases = baseline_networks(job.data, model, training, job.widths, report)
    return ArtifactEvaluator(
        job.graph, job.data, job.target, job.goal.budget, folder / "baselines", bases, report
    )
