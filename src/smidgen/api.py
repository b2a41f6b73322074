"""The Python front door: `compress` a model, `open` what came out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.numerics import Array

if TYPE_CHECKING:
    from smidgen.data.dataset import Splits
    from smidgen.methods.tune.fit import Fit
    from smidgen.report.model import Report
    from smidgen.search.baselines import WidthModel
    from smidgen.search.engine import Progress
    from smidgen.search.result import Result
    from smidgen.targets.target import Target

DEFAULT_TIME = "5m"


@dataclass(frozen=True)
class Network:
    """An opened artifact. Runs its integers natively, or in the exact reference where a part has no kernel."""

    graph: Graph
    run_quantized: Callable[[Array], Array]
    backend: str

    def outputs(self, x: npt.ArrayLike) -> npt.NDArray[np.float32]:
        """Real outputs [n, ...] for real inputs [n, ...] in the model's own layout. Raises BadInput."""
        from smidgen.measure.accuracy import quantized_inputs

        y = self.run_quantized(quantized_inputs(self.graph, np.asarray(x, dtype=np.float32)))
        grid = self.graph.values[self.graph.outputs[0]].grid
        return np.asarray(y, np.float32) if grid is None else grid.dequantize(y)

    def predict(self, x: npt.ArrayLike) -> npt.NDArray[np.int64]:
        """Class labels [n]; equal outputs give the lowest class."""
        outputs = self.outputs(x)
        labels: npt.NDArray[np.int64] = outputs.reshape(len(outputs), -1).argmax(axis=1).astype(np.int64)
        return labels


def open(path: str | Path) -> Network:
    """Open a `.smg` file. Needs neither torch nor any other framework.

    Raises:
        BadFile: truncated, corrupt, hostile or newer than this version.
    """
    from smidgen.codec.container import read_smg

    return network(read_smg(Path(path)).graph)


def network(graph: Graph) -> Network:
    """A runnable network: native where every node has a kernel, else the reference interpreter (said so)."""
    from smidgen.lower.schedule import check_schedulable
    from smidgen.run.native import native_plan
    from smidgen.run.reference import run_integer

    if check_schedulable(graph):
        return Network(graph, lambda x: run_integer(graph, x), "reference")
    plan = native_plan(graph)

    def run(x: Array) -> Array:
        y = plan.run(x)
        return y if isinstance(y, np.ndarray) else np.asarray(y[0])

    return Network(graph, run, "native")


@dataclass(frozen=True)
class Compressed:
    """What `compress` returns: the search's result, the report document, and the folder that holds everything."""

    result: Result
    report: Report
    folder: Path

    def open(self) -> Network:
        """The chosen network. Raises BudgetError when nothing met the budget and the accuracy limit."""
        self.result.require_chosen()
        return open(self.folder / "chosen" / "model.smg")


@dataclass(frozen=True)
class Subject:
    """What is to be compressed: the trained network, its data, and how it is described."""

    graph: Graph
    data: Splits
    name: str
    training: Fit
    description: str = ""
    caveats: str = ""
    width_model: WidthModel | None = None


def compress(
    source: Any,
    data: Any = None,
    *,
    target: str = "x86-64",
    budget: str = "",
    max_drop: float = 1.0,
    time: str | float | None = None,
    trials: int | None = None,
    seeds: int | Sequence[int] = 3,
    out: str | Path | None = None,
    methods: Sequence[str] | None = None,
    example_input: Any = None,
    progress: Callable[[Progress], None] = lambda progress: None,
    report: Callable[[float, str], None] = lambda fraction, message: None,
    command: Sequence[str] = ("smidgen",),
) -> Compressed:
    """Search for the smallest networks that keep the accuracy, on a real device's terms.

    Args:
        source: the name of a built-in task, a trained torch module, an `.onnx` or `.pt2` file, or a Graph.
        data: an `.npz` path, `package.module:function`, or Splits; not for tasks.
        target: a device name or the path of a TOML file.
        budget: upper limits such as `flash=64KB,ram=48KB,latency=10ms,file=20KB`.
        max_drop: largest mean loss of validation accuracy, percentage points.
        time: how long to search, seconds or text such as `90s`, `5m`; default `5m` unless `trials` is given.
        trials: how many candidates to build.
        seeds: how many training seeds for points of the frontier (or which).
        out: run folder; calling again with the same settings goes on with its search.
        methods: steps to search over (default: all).
        example_input: a batch for torch modules.

    Raises:
        SmidgenError: something given can't be used; each says what and why.
    """
    from smidgen.report.collect import About, collect
    from smidgen.report.environment import environment_of
    from smidgen.search.budget import Budget
    from smidgen.search.compress import Job
    from smidgen.search.compress import compress as search
    from smidgen.search.engine import Limits
    from smidgen.targets import load_target
    from smidgen.units import parse_seconds

    if not 0 <= max_drop <= 100:
        raise BadInput("max-drop", f"{max_drop:g} points", "0 to 100 are possible")
    if trials is not None and trials < 1:
        raise BadInput("trials", str(trials), "at least one candidate is needed")
    device, limits = load_target(target), Budget.parse(budget)
    chosen_seeds = tuple(range(seeds)) if isinstance(seeds, int) else tuple(seeds)
    if not chosen_seeds:
        raise BadInput("seeds", "none", "at least one is needed")
    seconds = time if isinstance(time, (int, float)) else parse_seconds(time, "time") if time else None
    if seconds is None and trials is None:
        seconds = parse_seconds(DEFAULT_TIME)
    named = source if isinstance(source, str) else type(source).__name__
    folder = Path(out) if out is not None else Path("runs") / Path(named).stem
    subject = prepare(source, data, folder, example_input, report)
    job = Job(
        subject.graph,
        subject.data,
        device,
        limits,
        max_drop,
        subject.training,
        tuple(methods) if methods else None,
        width_model=subject.width_model,
    )
    result = search(job, Limits(trials, seconds, chosen_seeds), folder, progress, report)
    about = About(subject.name, device, subject.description, subject.caveats)
    document = collect(result, about, environment_of(command, chosen_seeds, subject.data.digest))
    write_outputs(document, result, device, folder)
    return Compressed(result, document, folder)


def prepare(
    source: Any,
    data: Any,
    folder: Path,
    example_input: Any = None,
    report: Callable[[float, str], None] = lambda fraction, message: None,
) -> Subject:
    """The trained network and its data. A task's baseline is trained once a run folder and kept there."""
    from smidgen.data import Splits, load_user_data
    from smidgen.load import load
    from smidgen.methods.tune.fit import Fit
    from smidgen.tasks.task import load_task, task_names

    if isinstance(source, str) and source in task_names():
        if data is not None:
            raise BadInput("data", "--data was given for a built-in task", f"task {source} brings its own")
        return _task_subject(load_task(source), folder, report)
    if isinstance(source, str) and not Path(source).suffix:
        known = ", ".join(task_names())
        raise BadInput("model", f"there is no task or file {source!r}", f"tasks: {known}; files: .onnx, .pt2")
    graph = source if isinstance(source, Graph) else load(source, example_input)
    if data is None:
        raise BadInput(
            "data",
            "none was given",
            "compression is measured on data",
            "Pass --data x.npz or package.module:function",
        )
    splits = data if isinstance(data, Splits) else load_user_data(str(data))
    splits.check("data")
    expected = graph.values[graph.inputs[0]].shape
    if splits.train.x.shape[1:] != expected:
        raise BadInput(
            "data",
            f"samples of shape {list(splits.train.x.shape[1:])}",
            f"the model takes {list(expected)}",
            "Give inputs in the model's own layout, without the batch axis in this list",
        )
    name = Path(source).stem if isinstance(source, str) else graph.name
    return Subject(graph, splits, name, Fit(epochs=15))


def _task_subject(task: Any, folder: Path, report: Callable[[float, str], None]) -> Subject:
    from smidgen.codec.container import read_smg, write_smg
    from smidgen.methods.tune.fit import Fit

    splits = task.load()
    training = Fit(task.training.epochs, task.training.learning_rate, task.training.batch_size)
    kept = folder / "uncompressed.smg"
    if not kept.exists():
        from smidgen.learn.fit import FitSettings, fit

        settings = FitSettings(training.epochs, training.lr, training.batch_size)
        trained = fit(task.model(1.0, 0), splits, settings, seed=0, report=report)
        folder.mkdir(parents=True, exist_ok=True)
        write_smg(kept, [trained])
    return Subject(
        read_smg(kept).graph, splits, task.name, training, task.description, task.caveats, task.model
    )


def write_outputs(document: Report, result: Result, device: Target, folder: Path) -> None:
    """report.json, report.html, the frontier's picture, and `chosen/` (file, exact ONNX, C project)."""
    from smidgen.emit.c import CEmitter
    from smidgen.emit.onnx import OnnxEmitter
    from smidgen.emit.smg import SmgEmitter
    from smidgen.report.html import write_html
    from smidgen.report.image import write_image
    from smidgen.report.model import write_report
    from smidgen.targets import load_target

    write_report(document, folder / "report.json")
    write_html(document, folder / "report.html")
    if document.points:
        write_image(document, folder / "frontier.png")
    if result.chosen is None:
        return
    graph = open(result.chosen.artifact / "model.smg").graph
    host, chosen = load_target("generic-c"), folder / "chosen"
    SmgEmitter().emit(graph, host, chosen)
    (chosen / "recipe.yaml").write_text(result.chosen.candidate.recipe.to_yaml(), encoding="utf-8")
    if not OnnxEmitter().check(graph, host):
        OnnxEmitter().emit(graph, host, chosen)
    if not CEmitter().check(graph, device):
        CEmitter().emit(graph, device, chosen / "c")
