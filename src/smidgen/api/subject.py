"""What is to be compressed: the user's model and data, judged together, or a built-in task."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smidgen.errors import BadFile, BadInput
from smidgen.graph import Graph

if TYPE_CHECKING:
    from smidgen.data.dataset import Splits
    from smidgen.methods.tune.fit import Fit
    from smidgen.search.baselines import WidthModel
    from smidgen.tasks.task import Task

Report = Callable[[float, str], None]  # (fraction of the step 0..1, what it does)
KEPT = "uncompressed.smg"
EPOCHS = 15  # how long baselines are trained where nobody knows how the user's network was
EXAMPLE_ROWS = 2


def quiet(fraction: float, message: str) -> None:
    """Report to nobody."""


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
    features: str = ""


def prepare(
    source: Any, data: Any, folder: Path, example_input: Any = None, report: Report = quiet
) -> Subject:
    """The trained network and its data. A task's baseline is trained once a run folder and kept there.

    `source` and `data` as in `compress`. Raises BadInput if they can't be used or do not fit together.
    """
    from smidgen.load.named import is_name, named_object
    from smidgen.tasks.task import is_task, load_task, task_names

    if isinstance(source, Path):
        source = str(source)
    if isinstance(source, str) and is_task(source):
        if data is not None:
            raise BadInput("data", "--data was given for a built-in task", f"task {source} brings its own")
        return _task_subject(load_task(source), folder, report)
    if isinstance(source, str) and is_name(source):
        source = named_object(source)
    if isinstance(source, str) and not Path(source).suffix and not Path(source).exists():
        known = f"tasks: {', '.join(task_names())}; files: .onnx, .pt2; or package.module:function"
        raise BadInput("model", f"there is no task or file {source!r}", known)
    return _user_subject(source, data, example_input)


def _user_subject(source: Any, data: Any, example_input: Any) -> Subject:
    from smidgen.load import load
    from smidgen.methods.tune.fit import Fit

    if data is None:
        remedy = "Pass --data x.npz or package.module:function"
        raise BadInput("data", "none was given", "compression is measured on data", remedy)
    if isinstance(source, str) and not Path(source).is_file():
        load(source)  # says what is wrong with it, before the data is read
    splits = _splits(data)
    if example_input is None and not isinstance(source, str):
        example_input = splits.train.x[:EXAMPLE_ROWS]
    graph = source if isinstance(source, Graph) else load(source, example_input)
    _check_fit(graph, splits)
    name = Path(source).stem if isinstance(source, str) else graph.name
    return Subject(graph, splits, name, Fit(epochs=EPOCHS))


def _splits(data: Any) -> Splits:
    from smidgen.data import load_user_data
    from smidgen.data.user import splits_of

    return load_user_data(str(data)) if isinstance(data, (str, Path)) else splits_of(data, "data")


def _check_fit(graph: Graph, splits: Splits) -> None:
    """Samples have the shape that the network takes, and there is an output for every class."""
    if len(graph.inputs) != 1:
        raise BadInput(graph.name, f"it has {len(graph.inputs)} inputs", "networks with one are compressed")
    expected, found = graph.values[graph.inputs[0]].shape, splits.train.x.shape[1:]
    if found != expected:
        raise BadInput(
            "data",
            f"samples of shape {list(found)}",
            f"the model takes {list(expected)}",
            "Give inputs in the model's own layout; the batch axis is not shown here",
        )
    outputs = prod(graph.values[graph.outputs[0]].shape)
    if outputs < splits.classes:
        raise BadInput(
            "data",
            f"{splits.classes} classes",
            f"the model has {outputs} outputs",
            "Number the classes from 0, in the order of the model's outputs",
        )


def _task_subject(task: Task, folder: Path, report: Report) -> Subject:
    from smidgen.methods.tune.fit import Fit

    splits = task.load()
    training = Fit(task.training.epochs, task.training.learning_rate, task.training.batch_size)
    graph = _kept_network(task, training, splits, folder / KEPT, report)
    described = (task.name, training, task.description, task.caveats)
    return Subject(graph, splits, *described, task.model, task.features)


def _kept_network(task: Task, training: Fit, splits: Splits, kept: Path, report: Report) -> Graph:
    """The task's trained network out of `kept`, which is written first unless it holds the right one."""
    from smidgen.codec.container import read_smg, write_smg

    origin = {"task": task.name, "training": repr(training), "data": splits.digest}
    if not _holds(kept, origin):
        if (kept.parent / "run.json").exists():
            found, remedy = "it holds a run of another task, training or data", "Choose another --out"
            raise BadInput(str(kept.parent), found, f"{task.name} was asked for", remedy)
        try:
            kept.parent.mkdir(parents=True, exist_ok=True)
        except OSError as problem:
            where, found = str(kept.parent), f"it can't be written ({problem.strerror})"
            raise BadInput(where, found, "", "Choose another --out") from problem
        trained = task.baseline(
            splits, report=lambda fraction, message: report(fraction, f"the uncompressed network: {message}")
        )
        write_smg(kept, [trained], origin)
    return read_smg(kept).graph


def _holds(kept: Path, origin: dict[str, str]) -> bool:
    """True if the file is there, whole, and came from the same task, training and data."""
    from smidgen.codec.container import read_smg

    try:
        return dict(read_smg(kept).metadata) == origin
    except BadFile:
        return False
