"""Turns the result of a search into a report document."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from smidgen.codec.container import read_smg
from smidgen.data.dataset import Dataset
from smidgen.data.metrics import AGREEMENT, Metric
from smidgen.emit.smg import FILE_NAME
from smidgen.graph import Graph
from smidgen.lower.schedule import check_schedulable
from smidgen.measure.agreement import random_inputs
from smidgen.measure.energy import energy_table
from smidgen.measurement import Measurement
from smidgen.report.labels import plural
from smidgen.report.layers import layers_of
from smidgen.report.model import ArtifactClass, Drop, Dropped, Environment, Layer, Note, Point, Report, Score
from smidgen.run.native import native_plan
from smidgen.search import outcome as found
from smidgen.search import paired
from smidgen.search.outcome import Evaluated
from smidgen.search.paired import FEWEST_CLUSTERS
from smidgen.search.result import Result
from smidgen.targets.target import Target


@dataclass(frozen=True)
class About:
    """What the search does not know: names and descriptions for people."""

    task: str
    target: Target
    description: str = ""
    caveats: str = ""
    features: str = ""


def collect(result: Result, about: About, environment: Environment, notes: Sequence[Note] = ()) -> Report:
    """Everything that `result` found, with the layers of the chosen artifact read from its file."""
    graph = _chosen_graph(result)
    target = about.target
    return Report(
        task=about.task,
        description=about.description,
        caveats=about.caveats,
        features=about.features,
        metric=result.goal.metric.name,
        target=target.name,
        target_description=target.description,
        size_axis="flash_bytes" if target.size_axis == "flash_bytes" else "file_bytes",
        budget=result.goal.budget.limits(),
        max_drop=result.goal.max_drop,
        strict_drop=result.goal.strict_drop,
        sources=_sources(target),
        artifact_class=_artifact_class(graph),
        uncompressed=_uncompressed(result),
        points=tuple(_point(result, p) for p in result.points),
        layers=_layers(graph),
        notes=(*notes, *_notes(result, graph)),
        dropped=(
            *(
                Dropped(id=o.key, label=o.candidate.label, status="rejected", reason=o.reason)
                for o in result.rejected
            ),
            *(
                Dropped(id=o.key, label=o.candidate.label, status="failed", reason=o.reason)
                for o in result.failed
            ),
        ),
        reused_steps=sum(run.reused_steps for p in result.points for run in p.runs),
        environment=environment,
    )


def dependence_notes(validation: Dataset) -> list[Note]:
    """What groups and clusters of the validation split mean for the intervals."""
    if validation.dependent is None:
        return []
    groups, clusters = (
        0 if ids is None else len(set(ids.tolist())) for ids in (validation.groups, validation.dependent)
    )
    if clusters < FEWEST_CLUSTERS:
        kind = "group" if validation.clusters is None else "cluster"
        text = f"{plural(clusters, kind)} in validation: interval not reliable"
        return [Note(level="warning", text=text, remedy=f"Hold out {FEWEST_CLUSTERS} or more")]
    if 0 < groups < min(clusters, FEWEST_CLUSTERS):
        text = (
            f"The interval stands on {plural(clusters, 'cluster')} of {plural(groups, 'group')}: it speaks"
            " for more data from these groups, not for other groups"
        )
        return [Note(level="info", text=text)]
    return []


def _sources(target: Target) -> dict[str, str]:
    sources = {"energy_uj": energy_table().source}
    if target.price_usd_per_hour is not None:
        stated = f"; {target.source}" if target.source else ""
        sources["cost_per_million_usd"] = f"{target.price_usd_per_hour:g} USD an hour{stated}"
    return sources


def _chosen_graph(result: Result) -> Graph | None:
    path = result.chosen.artifact / FILE_NAME if result.chosen else None
    return read_smg(path).graph if path and path.exists() else None


def _artifact_class(graph: Graph | None) -> ArtifactClass:
    return "integer" if graph is None or graph.is_integer else "weight_only"


def _layers(graph: Graph | None) -> tuple[Layer, ...]:
    """With times measured on this machine, where every node has a kernel."""
    if graph is None:
        return ()
    times = {} if check_schedulable(graph) else native_plan(graph).layer_seconds(random_inputs(graph, 1))
    return layers_of(graph, times)


def _uncompressed(result: Result) -> Point:
    return Point(
        id="uncompressed",
        label="float32",
        kind="uncompressed",
        measurements=_costs(result.reference, result.goal.metric),
        validation=_score([result.reference], result.goal.metric),
        test=_score([result.reference_test], result.goal.metric) if result.reference_test else None,
    )


def _point(result: Result, point: found.Point) -> Point:
    drop = result.drops.get(point.key)
    return Point(
        id=point.key,
        label=point.label,
        kind=point.kind,
        recipe=str(point.candidate.recipe),
        recipe_yaml=point.candidate.recipe.to_yaml(),
        measurements=_costs(point.runs[0], result.goal.metric),
        validation=_score(point.runs, result.goal.metric),
        test=_score(point.test, result.goal.metric) if point.test else None,
        drop=_drop(drop, result.goal.metric) if drop else None,
        on_frontier=any(p.key == point.key for p in result.frontier),
        chosen=result.chosen is not None and result.chosen.key == point.key,
        artifact=_relative(point.artifact, result.folder),
        notes=tuple(dict.fromkeys(note for run in point.runs for note in run.notes)),
    )


def _costs(run: Evaluated, metric: Metric) -> tuple[Measurement, ...]:
    """All measurements but the metric's, which a report keeps by split and with its spread over seeds."""
    return tuple(m for m in run.measurements.values() if m.name != metric.name)


def _score(runs: Sequence[Evaluated], metric: Metric) -> Score:
    values = [metric.shown(run.accuracy) for run in runs]
    mean, sd = math.fsum(values) / len(values), found.deviation(values)
    return Score(mean=mean, sd=sd, seeds=len(values), unit=metric.unit, better=metric.better)


def _drop(drop: paired.Drop, metric: Metric) -> Drop:
    return Drop(**asdict(drop), better=metric.better)


def _relative(path: Path, folder: Path) -> str:
    return str(path.relative_to(folder)) if path.is_relative_to(folder) else str(path)


def _notes(result: Result, graph: Graph | None) -> list[Note]:
    notes = [
        Note(
            level="warning",
            text=f"{node.name} runs in float: {node.attrs['reason']}",
            remedy=node.attrs["remedy"],
        )
        for node in (graph.walk() if graph else ())
        if node.op == "island"
    ]
    if result.interrupted:
        notes.append(
            Note(level="warning", text="The search was interrupted", remedy="Run the command again to go on")
        )
    if result.chosen:
        said = dict.fromkeys(text for run in result.chosen.runs for text in run.notes)
        notes += [Note(level="info", text=text) for text in said]
        if result.goal.metric != AGREEMENT and len(result.chosen.runs) == 1:
            text = f"The chosen point was trained with {plural(1, 'seed')}: its spread is not known"
            notes.append(Note(level="warning", text=text, remedy="Give the search more time or more seeds"))
    return notes
