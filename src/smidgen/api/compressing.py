"""The main job as one call: a model, data, a device and a budget in; a folder of measured artifacts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen.api.network import Network, open
from smidgen.api.outputs import CHOSEN, write_outputs
from smidgen.api.packages import require_packages
from smidgen.api.subject import prepare, quiet
from smidgen.errors import BadInput

if TYPE_CHECKING:
    from smidgen.report.model import Report
    from smidgen.search.budget import Budget
    from smidgen.search.engine import Limits, Progress
    from smidgen.search.result import Result
    from smidgen.targets.target import Target

DEFAULT_TIME = "5m"
MOST_WORKERS = 64


@dataclass(frozen=True)
class Compressed:
    """What `compress` returns: the search's result, the report document, the folder of the run."""

    result: Result
    report: Report
    folder: Path

    def open(self) -> Network:
        """The chosen network. Raises BudgetError when nothing met the budget and the accuracy limit."""
        self.result.require_chosen()
        return open(self.folder / CHOSEN / "model.smg")


def compress(
    source: Any,
    data: Any = None,
    *,
    target: str = "x86-64",
    budget: str = "",
    max_drop: float = 1.0,
    strict_drop: bool = False,
    time: str | float | None = None,
    trials: int | None = None,
    seeds: int | Sequence[int] = 3,
    workers: int = 1,
    out: str | Path | None = None,
    methods: Sequence[str] | None = None,
    sampler: str = "nsga2",
    example_input: Any = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    report: Callable[[float, str], None] = quiet,
    command: Sequence[str] = ("smidgen",),
) -> Compressed:
    """Search for the smallest networks that keep the accuracy, on a real device's terms.

    Args:
        source: the name of a built-in task, a trained torch module, a fitted scikit-learn estimator, an
            `.onnx` or `.pt2` file, a Graph, or `package.module:function` that returns a model.
        data: an `.npz` path, `package.module:function`, (x, y), a mapping of arrays as in an `.npz` file, or
            Splits; x [n, ...] in the model's own layout, y int [n]. Not for tasks.
        target: a device name or the path of a TOML file.
        budget: upper limits such as `flash=64KB,ram=48KB,latency=10ms,file=20KB,energy=5uJ`.
        max_drop: largest mean loss of validation accuracy, percentage points.
        strict_drop: hold the upper end of the loss's 95% interval to `max_drop`, not only its mean.
        time: how long to search, seconds or text such as `90s`, `5m`; default `5m` unless `trials` is given.
        trials: how many candidates to build.
        seeds: how many training seeds for points of the frontier (or which).
        workers: how many processes build candidates at the same time. Latencies are never taken meanwhile.
        out: run folder; calling again with the same settings goes on with its search.
        methods: steps to search over (default: all).
        sampler: what proposes recipes: `nsga2`, `tpe` or `random`.
        example_input: a batch for torch modules (default: the first rows of the data).
        progress: hears of every candidate; `report(fraction, message)` of trainings and other long steps.
        command: what the report says this was started with.

    Raises:
        SmidgenError: something given can't be used; each says what and why.
    """
    from smidgen.report.collect import About, collect, dependence_notes
    from smidgen.report.environment import environment_of
    from smidgen.search.compress import Job
    from smidgen.search.compress import compress as search
    from smidgen.targets import load_target

    device = load_target(target)
    allowed, limits = budget_for(device, budget), limits_of(time, trials, seeds)
    _check_choices(max_drop, methods, sampler, workers)
    require_packages(device)
    folder = Path(out) if out is not None else _folder_for(source)
    subject = prepare(source, data, folder, example_input, report)
    job = Job(
        subject.graph,
        subject.data,
        device,
        allowed,
        max_drop,
        subject.training,
        tuple(methods) if methods else None,
        width_model=subject.width_model,
        sampler=sampler,
        strict_drop=strict_drop,
    )
    result = search(job, limits, folder, progress, report, workers)
    report(0.0, "writing the report")
    about = About(subject.name, device, subject.description, subject.caveats, subject.features)
    environment = environment_of(command, limits.seeds, subject.data.digest)
    document = collect(result, about, environment, dependence_notes(subject.data.validation))
    write_outputs(document, result, device, subject.data.validation, folder)
    return Compressed(result, document, folder)


def budget_for(device: Target, text: str) -> Budget:
    """The limits in `text`, all of which can be measured on `device`. Raises BadInput."""
    from smidgen.search.budget import Budget

    budget = Budget.parse(text)
    if device.kind == "host" and budget.flash_bytes is not None:
        remedy = "Limit file=…, or name a microcontroller as the target"
        raise BadInput("budget flash", f"{device.name} has no flash", "a limit must be measurable", remedy)
    return budget


def limits_of(time: str | float | None, trials: int | None, seeds: int | Sequence[int]) -> Limits:
    """How long to search; five minutes if neither time nor trials say. Raises BadInput."""
    from smidgen.search.engine import Limits
    from smidgen.units import parse_seconds

    if trials is not None and trials < 1:
        raise BadInput("trials", str(trials), "at least one candidate is needed")
    chosen = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen:
        raise BadInput("seeds", str(seeds), "at least one is needed")
    if time is None and trials is None:
        time = DEFAULT_TIME
    seconds = parse_seconds(time, "time") if isinstance(time, str) else time
    if seconds is not None and not seconds > 0:
        raise BadInput("time", str(time), "a search needs some", "Give a duration such as 90s or 5m")
    return Limits(trials, seconds, chosen)


def _check_choices(max_drop: float, methods: Sequence[str] | None, sampler: str, workers: int) -> None:
    from smidgen.methods.recipe import step_class
    from smidgen.search.samplers import sampler_class

    if not 0 <= max_drop <= 100:
        raise BadInput("max-drop", f"{max_drop:g} points", "0 to 100 are possible")
    if not 1 <= workers <= MOST_WORKERS:
        raise BadInput("workers", str(workers), f"1 to {MOST_WORKERS} are possible")
    for name in methods or ():
        step_class(name)
    sampler_class(sampler)


def _folder_for(source: Any) -> Path:
    """`runs/NAME`: the task (a variant after `-`), the file without ending, the function, or the class."""
    from smidgen.load.named import is_name
    from smidgen.tasks.task import is_task

    named = str(source) if isinstance(source, (str, Path)) else type(source).__name__
    if is_name(named) and not is_task(named):
        return Path("runs") / named.partition(":")[2]
    return Path("runs") / Path(named).stem.replace(":", "-")
