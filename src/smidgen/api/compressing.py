"""The main job as one call: a model, data, a device and a budget in; a folder of measured artifacts out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen.api.network import Network, open
from smidgen.api.outputs import CHOSEN, write_outputs
from smidgen.api.packages import require_packages
from smidgen.api.subject import prepare, quiet
from smidgen.errors import BadInput

if TYPE_CHECKING:
    from smidgen.data.dataset import Splits
    from smidgen.data.metrics import Metric
    from smidgen.report.model import Report
    from smidgen.search.budget import Budget
    from smidgen.search.engine import Limits, Progress
    from smidgen.search.result import Result
    from smidgen.targets.target import Target

DEFAULT_TIME = "5m"
DEFAULT_MAX_DROP = 1.0  # percentage points
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
    max_drop: float | None = None,
    strict_drop: bool = False,
    metric: str = "",
    loss: str = "",
    time: str | float | None = None,
    trials: int | None = None,
    seeds: int | Sequence[int] = 3,
    workers: int = 1,
    baselines: bool = True,
    out: str | Path | None = None,
    methods: Sequence[str] | None = None,
    sampler: str = "nsga2",
    example_input: Any = None,
    states: Sequence[str] = (),
    say: Callable[[str], None] = lambda text: None,
    progress: Callable[[Progress], None] = lambda progress: None,
    report: Callable[[float, str], None] = quiet,
    command: Sequence[str] = ("smidgen",),
) -> Compressed:
    """Search for the smallest networks that keep the accuracy, on a real device's terms.

    Args:
        source: the name of a built-in task, a trained torch module, a fitted scikit-learn estimator, an
            `.onnx` or `.pt2` file, a Graph, or `package.module:function` that returns a model.
        data: a path (`.npz`, `.parquet`, a folder of class folders; see `smidgen.data.load_user_data`),
            `package.module:function`, (x, y), a mapping of arrays as in an `.npz` file, or Splits; x [n, ...]
            in the model's own layout, y int [n] for classes, float [n] or [n, k] for values. Not for tasks.
            None: only what needs no data is tried, weights on grids, and accuracy stays unknown.
        target: a device name or the path of a TOML file.
        budget: upper limits such as `flash=64KB,ram=48KB,latency=10ms,file=20KB,energy=5uJ`.
        max_drop: largest mean loss on validation: percentage points, by default 1, or for a metric that is
            no percentage its own unit, without a default.
        strict_drop: hold the upper end of the loss's 95% interval to `max_drop`, not only its mean.
        metric: how outputs are judged: a name of `smidgen.data.metrics.METRICS`, or
            `package.module:function` of (outputs float32 [n, k], targets), higher being better. Default:
            accuracy for classes, R² in percent for values.
        loss: what training minimises: cross_entropy; mse, mae; or `package.module:function` of torch
            tensors (outputs, targets). Default: cross-entropy for classes, mse for values.
        time: how long to search, seconds or text such as `90s`, `5m`; default `5m` unless `trials` is given.
        trials: how many candidates to build.
        seeds: how many training seeds for points of the frontier (or which).
        workers: how many processes build candidates at the same time. Latencies are never taken meanwhile.
        baselines: spend up to 30% of the time on what a compressed network has to beat: narrower networks of
            the same design, a linear model and trees.
        out: run folder; calling again with the same settings goes on with its search.
        methods: steps to search over (default: all).
        sampler: what proposes recipes: `nsga2`, `tpe` or `random`.
        example_input: a batch for torch modules (default: the first rows of the data).
        states: `input=output` for each output that a streaming network is given again with the next chunk
            (default: told by names and shapes). It is compressed over whole streams: samples are
            [chunks, ...], states start at rest; `smidgen.graph.streaming.streaming` gives the result chunk by
            chunk.
        say: hears of every choice that was made about the data, once.
        progress: hears of every candidate; `report(fraction, message)` of trainings and other long steps.
        command: what the report says this was started with.

    Raises:
        SmidgenError: something given can't be used; each says what and why.
    """
    from smidgen.data.metrics import metric_for
    from smidgen.report.collect import About, collect, dependence_notes
    from smidgen.report.environment import environment_of
    from smidgen.report.model import Note
    from smidgen.search.baselines import WIDTHS
    from smidgen.search.compress import Job
    from smidgen.search.compress import compress as search
    from smidgen.search.space import usable_methods
    from smidgen.targets import load_target

    device = load_target(target)
    allowed, limits = budget_for(device, budget), limits_of(time, trials, seeds)
    _check_choices(max_drop, methods, sampler, workers)
    _check_data_free(source, data, device)
    require_packages(device)
    folder = Path(out) if out is not None else _folder_for(source)
    subject = prepare(source, data, folder, example_input, report, metric, loss, states)
    judge = metric_for(subject.data)
    allowed_drop, usable = _allowed_drop(max_drop, judge), usable_methods(methods or None, subject.data)
    if subject.data.synthetic:
        limits = replace(limits, seeds=limits.seeds[:1])  # nothing is trained, so seeds change nothing
    about_data = tuple(f"Data: {note}" for note in (*subject.data.notes, *judged_by(subject.data, judge)))
    for text in about_data:
        say(text)
    job = Job(
        subject.graph,
        subject.data,
        device,
        allowed,
        allowed_drop,
        subject.training,
        usable,
        widths=WIDTHS if baselines else (),
        width_model=subject.width_model,
        sampler=sampler,
        strict_drop=strict_drop,
    )
    result = search(job, limits, folder, progress, report, workers)
    report(0.0, "writing the report")
    about = About(subject.name, device, subject.description, subject.caveats, subject.features)
    notes = [Note(level="info", text=text) for text in about_data]
    notes += dependence_notes(subject.data.validation)
    document = collect(result, about, environment_of(command, limits.seeds, subject.data.digest), notes)
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


def judged_by(splits: Splits, metric: Metric) -> tuple[str, ...]:
    """How the targets were understood, in words."""
    if splits.synthetic:
        return ("none were given; random inputs, outputs compared with the original's (not accuracy)",)
    if splits.classes is None:
        what = f"values, {splits.train.y.shape[1]} a row"
    else:
        listed = ", ".join(splits.names[:8]) + (", …" if len(splits.names) > 8 else "")
        what = f"{splits.classes} classes" + (f" ({listed})" if listed else "")
    rows = ", ".join(f"{len(getattr(splits, part))} {part}" for part in ("train", "validation", "test"))
    return (f"targets: {what}; judged by {metric.name}; rows: {rows}",)


def _allowed_drop(max_drop: float | None, metric: Metric) -> float:
    if max_drop is not None:
        return max_drop
    if metric.unit != "%":
        remedy = "Pass --max-drop"
        raise BadInput(
            "max-drop", "none was given", f"{metric.name} is no percentage and has no default", remedy
        )
    return DEFAULT_MAX_DROP


def _check_data_free(source: Any, data: Any, device: Target) -> None:
    """Raise BadInput where something can't do without data, before any work."""
    from smidgen.tasks.task import is_task

    task = isinstance(source, str) and is_task(source)
    if data is None and not task and device.kind != "host":
        found = f"{device.name} runs integers, whose ranges are measured on data"
        raise BadInput(
            "data", "none was given", found, "Pass --data (smidgen compress --help lists what it takes)"
        )


def _check_choices(max_drop: float | None, methods: Sequence[str] | None, sampler: str, workers: int) -> None:
    from smidgen.methods.recipe import step_class
    from smidgen.search.samplers import sampler_class

    if max_drop is not None and not 0 <= max_drop <= 100:
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
