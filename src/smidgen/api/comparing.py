"""Where did the accuracy go? A model and its artifact, or two artifacts, layer by layer on the same data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smidgen.api.subject import KEPT, Report, prepare, quiet
from smidgen.errors import BadInput
from smidgen.graph import Graph

if TYPE_CHECKING:
    from smidgen.data.dataset import Dataset, Splits
    from smidgen.data.metrics import Metric
    from smidgen.methods.recipe import Recipe
    from smidgen.numerics import Array
    from smidgen.probe.layers import Matches
    from smidgen.probe.trace import GraphTrace, Traced
    from smidgen.report.comparison import Comparison

SAMPLES = 256
FIXES = 5
WORST = 12  # layers for which fixes are tried
RECIPE = "recipe.yaml"
MOVES = frozenset({"reshape", "transpose", "slice", "pad", "max_pool", "concat", "input", "output"})


def compare(
    a: Any,
    b: Any,
    data: Any = None,
    *,
    samples: int = SAMPLES,
    fixes: int = FIXES,
    recipe: Recipe | str | Path | None = None,
    metric: str = "",
    out: str | Path | None = None,
    report: Report = quiet,
) -> Comparison:
    """Compare B with A layer by layer, and rank what would bring B closer to A.

    An interrupt while fixes are simulated keeps what was found.

    Args:
        a: what is right: a model (as in `compress`), a built-in task, or a `.smg` file.
        b: an artifact: a `.smg` file, the folder of a C project, an integer `.onnx` file of ours, a Graph.
        data: as in `compress`, or the name of a built-in task; not needed where `a` is a task.
        samples: of the validation split, that both run on; at least 1.
        fixes: how many to list at most; 0 simulates none. They need a model of real numbers as `a`.
        recipe: how `b` was made; by default `recipe.yaml` beside it, else read off its weights.
        metric: as in `compress`.
        out: where to write the HTML page; nowhere by default.
        report: called with (fraction 0..1, what is done).

    Raises:
        BadInput: the two have nothing in common, or data or recipe can't be used.
        BadFile: an artifact is damaged.
    """
    from smidgen.probe.layers import LayerComparison
    from smidgen.probe.trace import GraphTrace, runnable
    from smidgen.report.comparison import Comparison, write_comparison

    _check(samples, fixes)
    graph, splits = _first(a, b, data, metric, report)
    first = GraphTrace(runnable(graph))
    second = _second(b, first.graph)
    part = splits.validation.take(_drawn(len(splits.validation), samples))
    judge = _judge(splits)
    layers = LayerComparison(first, second)
    outputs = layers.run(part.x, report)
    layers.run_alone(part.x, report)
    found = layers.matches()
    scores = tuple(judge.score(judge.predictions(y), part.y) for y in outputs) if judge else None
    names = (_named(a), _named(b))
    document = Comparison(names, len(part), found, judge, scores, _notes(found, second, splits))
    if fixes:
        document = _with_fixes(document, graph, second, b, recipe, splits, part, outputs[0], fixes, report)
    if out is not None:
        write_comparison(document, Path(out))
    return document


def _check(samples: int, fixes: int) -> None:
    for name, given, least in (("samples", samples, 1), ("fixes", fixes, 0)):
        if given < least:
            raise BadInput(name, str(given), f"at least {least} is needed")


def _first(a: Any, b: Any, data: Any, metric: str, report: Report) -> tuple[Graph, Splits]:
    """The network that is right, and the data."""
    from smidgen.codec.container import read_smg
    from smidgen.tasks.task import is_task, load_task

    if data is None and not (isinstance(a, str) and is_task(a)):
        raise BadInput("data", "none was given", "layers are compared on samples", "Pass --data")
    if isinstance(data, str) and is_task(data):
        data = load_task(data).load()
    source = read_smg(Path(a)).graph if _is_smg(a) else a
    subject = prepare(source, data, _run_folder(a, b), None, report, metric)
    return subject.graph, subject.data


def _is_smg(source: Any) -> bool:
    return isinstance(source, (str, Path)) and Path(source).suffix.lower() == ".smg"


def _run_folder(a: Any, b: Any) -> Path:
    """Where a task's trained network is kept: the run folder that B lies in, else that of the task."""
    if isinstance(b, (str, Path)):
        for folder in Path(b).resolve().parents:
            if (folder / KEPT).is_file():
                return folder
    return Path("runs") / _named(a).replace(":", "-")


def _named(source: Any) -> str:
    return source.name if isinstance(source, Graph) else str(source)


def _second(b: Any, like: Graph) -> Traced:
    """What is compared, ready to run."""
    from smidgen.codec.container import read_smg
    from smidgen.load import load
    from smidgen.measure.traces import CTrace, OnnxTrace, is_c_project, is_our_onnx
    from smidgen.probe.trace import GraphTrace, runnable

    if isinstance(b, (str, Path)):
        path = Path(b)
        if is_c_project(path):
            return CTrace(path)
        if is_our_onnx(path):
            return OnnxTrace(path, like)
        if not path.exists():
            raise BadInput("B", f"there is no file {str(b)!r}", "an artifact is needed", "Check the path")
        if path.is_dir():
            expected = "a folder must be a C project with its manifest.json"
            raise BadInput("B", f"{b} is a folder", expected, "Name the .smg or .onnx file")
        b = read_smg(path).graph if _is_smg(path) else load(str(path))
    return GraphTrace(runnable(b if isinstance(b, Graph) else load(b)))


def _drawn(available: int, samples: int) -> Array:
    """Which samples, always the same."""
    return np.sort(np.random.default_rng(0).permutation(available)[:samples])


def _judge(splits: Splits) -> Metric | None:
    from smidgen.data.metrics import metric_for

    return None if splits.synthetic else metric_for(splits)


def _notes(found: Matches, second: Traced, splits: Splits) -> tuple[str, ...]:
    from smidgen.probe.trace import GraphTrace

    notes = []
    if not isinstance(second, GraphTrace):
        notes.append("B shows no layer alone: only a .smg file can be run so. Compare that one to see more")
    if scaled := [layer.layer for layer in found.layers if layer.rescaled]:
        listed = ", ".join(scaled)
        notes.append(f"channels have other scales in B (equalized?), undone before comparing: {listed}")
    return tuple(notes)


def _with_fixes(
    document: Comparison,
    graph: Graph,
    second: Traced,
    b: Any,
    recipe: Recipe | str | Path | None,
    splits: Splits,
    part: Dataset,
    wanted: Array,
    most: int,
    report: Report,
) -> Comparison:
    """The comparison with ranked fixes, or with a note that says why there are none."""
    from dataclasses import replace

    from smidgen.probe.trace import GraphTrace
    from smidgen.search.fixes import Samples, ranked_fixes

    notes = document.notes
    if graph.is_integer or not isinstance(second, GraphTrace):
        why = "A must be the model in real numbers, B a .smg file"
        return replace(document, notes=(*notes, f"no fixes are simulated: {why}"))
    try:
        steps, origin = _recipe(recipe, b, graph, second)
        samples = Samples(part, wanted, document.metric)
        worst = _worst(document.matches)
        made = ranked_fixes(graph, steps, splits, samples, worst, document.matches.output_db, report)
    except BadInput as problem:
        if recipe is not None:
            raise
        return replace(document, notes=(*notes, f"no fixes are simulated. {problem}"))
    notes = (*notes, f"recipe: {origin}", *made.notes)
    found = replace(document, fixes=made.ranked[:most], tried=made.tried, notes=notes)
    return replace(found, interrupted=made.interrupted)


def _recipe(
    given: Recipe | str | Path | None, b: Any, graph: Graph, second: GraphTrace
) -> tuple[Recipe, str]:
    """How B was made, and where that is known from."""
    from smidgen.methods.recipe import Recipe, read_recipe
    from smidgen.search.fixes import assumed_recipe

    if isinstance(given, Recipe):
        return given, "as given"
    if given is not None:
        return read_recipe(Path(given)), str(given)
    beside = Path(b).parent / RECIPE if isinstance(b, (str, Path)) else None
    if beside is not None and beside.is_file():
        return read_recipe(beside), str(beside)
    found = assumed_recipe(graph, second.graph)
    return found, f"read off B's weights: {found}"


def _worst(found: Matches) -> Sequence[str]:
    """The layers that add most noise on their own, worst first."""
    ranked = sorted(
        (layer for layer in found.layers if layer.op.removeprefix("q.") not in MOVES),
        key=lambda layer: math.inf if math.isnan(layer.alone_db) else layer.alone_db,
    )
    return [layer.layer for layer in ranked[:WORST]]
