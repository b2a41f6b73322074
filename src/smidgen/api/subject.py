"""What is to be compressed: the user's model and data, judged together, or a built-in task."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
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
STREAM_CHUNKS = 8  # of a made-up stream, where no data are given
SYNTHETIC_MACS = 20_000_000_000  # that a data-free run spends on one look at a candidate, about
NO_DATA = (
    "No data were given, so accuracy is unknown. Agreement compares outputs with the original's on random "
    "inputs, which real inputs do not resemble: check the network on your own data before you rely on it."
)


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
    source: Any,
    data: Any,
    folder: Path,
    example_input: Any = None,
    report: Report = quiet,
    metric: str = "",
    loss: str = "",
    states: Sequence[str] = (),
) -> Subject:
    """The trained network and its data. A task's baseline is trained once a run folder and kept there.

    `source`, `data`, `metric`, `loss` and `states` as in `compress`; without data, synthetic splits. Raises
    BadInput if they can't be used or do not fit together.
    """
    from smidgen.load.named import is_name, named_object
    from smidgen.tasks.task import is_task, load_task, task_names

    if isinstance(source, Path):
        source = str(source)
    if isinstance(source, str) and is_task(source):
        if data is not None:
            raise BadInput("data", "--data was given for a built-in task", f"task {source} brings its own")
        return _task_subject(load_task(source), folder, report, metric, loss)
    if isinstance(source, str) and is_name(source):
        source = named_object(source)
    if isinstance(source, str) and not Path(source).suffix and not Path(source).exists():
        known = f"tasks: {', '.join(task_names())}; files: .onnx, .pt2; or package.module:function"
        raise BadInput("model", f"there is no task or file {source!r}", known)
    return _user_subject(source, data, example_input, metric, loss, states)


def _user_subject(
    source: Any, data: Any, example_input: Any, metric: str, loss: str, states: Sequence[str]
) -> Subject:
    from smidgen.graph.sequence import over_sequence
    from smidgen.load import load
    from smidgen.methods.tune.fit import Fit

    known = isinstance(source, str) or example_input is not None or data is None
    graph = load(source, example_input, states=states) if known or isinstance(source, Graph) else None
    if data is None:
        assert graph is not None
        graph = over_sequence(graph, STREAM_CHUNKS) if graph.states else graph
        splits = _synthetic(graph, metric, loss)
    else:
        splits = _asked(_splits(data, graph), metric, loss)
    if graph is None:
        graph = load(source, splits.train.head(EXAMPLE_ROWS).x, states=states)
    if graph.states:
        graph = over_sequence(graph, _chunks(graph, splits))
    _check_fit(graph, splits)
    name = Path(source).stem if isinstance(source, str) else graph.name
    return Subject(graph, splits, name, Fit(epochs=EPOCHS), caveats=NO_DATA if splits.synthetic else "")


def _splits(data: Any, graph: Graph | None) -> Splits:
    from smidgen.data import load_user_data
    from smidgen.data.user import splits_of

    if not isinstance(data, (str, Path)):
        return splits_of(data, "data")
    shape = graph.values[graph.inputs[0]].shape if graph and graph.inputs and not graph.states else None
    return load_user_data(str(data), shape=shape)


def _chunks(graph: Graph, splits: Splits) -> int:
    """How many chunks a sample's stream has."""
    shape, chunk = splits.train.inputs.shape[1:], graph.values[graph.inputs[0]].shape
    if len(shape) != len(chunk) + 1:
        raise BadInput(
            "data",
            f"samples of shape {list(shape)}",
            f"a streaming network takes chunks of {list(chunk)}",
            f"Give streams [chunks, {', '.join(map(str, chunk))}]: states are carried from chunk to chunk",
        )
    return int(shape[0])


def _asked(splits: Splits, metric: str, loss: str) -> Splits:
    """With the metric and loss that were asked for. Raises BadInput if they can't be used."""
    from smidgen.data.metrics import metric_for

    if metric or loss:
        splits = replace(splits, metric=metric or splits.metric, loss=loss or splits.loss)
    metric_for(splits)
    if splits.loss:
        from smidgen.learn.objectives.choose import loss_for

        loss_for(splits)
    return splits


def _synthetic(graph: Graph, metric: str, loss: str) -> Splits:
    """Random inputs, fewer for networks that take longer to run. Raises BadInput."""
    from smidgen.data.synthetic import synthetic_splits
    from smidgen.graph.cost import macs
    from smidgen.run.float_ops import run_float

    if metric or loss:
        asked = "metric" if metric else "loss"
        raise BadInput(asked, "no data was given", "it judges by data", f"Pass --data or drop --{asked}")
    _check_inputs(graph)
    port = graph.values[graph.inputs[0]]
    if port.dtype != "float32":
        raise BadInput(
            "data", "none was given", f"the model takes {port.dtype}, which can't be made up", "Pass --data"
        )
    samples = min(max(SYNTHETIC_MACS // max(sum(macs(graph).values()), 1), 16), 256)
    return synthetic_splits(port.shape, lambda x: run_float(graph, x), samples)


def _check_inputs(graph: Graph) -> None:
    if len(graph.inputs) != 1:
        remedy = "Name the states of a streaming network as --state INPUT=OUTPUT"
        found = f"it has the inputs {', '.join(graph.inputs)}"
        raise BadInput(graph.name, found, "networks with one are compressed", remedy)


def _check_fit(graph: Graph, splits: Splits) -> None:
    """Samples have the shape that the network takes, and there is an output for every class."""
    _check_inputs(graph)
    expected, found = graph.values[graph.inputs[0]].shape, splits.train.inputs.shape[1:]
    if found != expected:
        raise BadInput(
            "data",
            f"samples of shape {list(found)}",
            f"the model takes {list(expected)}",
            "Give inputs in the model's own layout; the batch axis is not shown here",
        )
    outputs = prod(graph.values[graph.outputs[0]].shape)
    if splits.classes is None:
        _check_values(outputs, splits.train.y.shape[1])
    elif outputs < splits.classes:
        raise BadInput(
            "data",
            f"{splits.classes} classes",
            f"the model has {outputs} outputs",
            "Number the classes from 0, in the order of the model's outputs",
        )


def _check_values(outputs: int, targets: int) -> None:
    if outputs != targets:
        raise BadInput(
            "data",
            f"{targets} float target{'s' * (targets > 1)} a row",
            f"the model has {outputs} outputs",
            "Give one value an output; labels of classes must be integers",
        )


def _task_subject(task: Task, folder: Path, report: Report, metric: str, loss: str) -> Subject:
    from smidgen.methods.tune.fit import Fit

    splits = _asked(task.load(), metric, loss)
    training = Fit(task.training.epochs, task.training.learning_rate, task.training.batch_size)
    graph = _kept_network(task, training, splits, folder / KEPT, report)
    described = (task.name, training, task.description, task.caveats)
    return Subject(graph, splits, *described, task.model, task.features)


def _kept_network(task: Task, training: Fit, splits: Splits, kept: Path, report: Report) -> Graph:
    """The task's trained network out of `kept`, which is written first unless it holds the right one."""
    from smidgen.codec.container import read_smg, write_smg

    origin = {"task": task.name, "training": repr(training), "data": splits.digest}
    origin |= {"loss": splits.loss} if splits.loss else {}
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
