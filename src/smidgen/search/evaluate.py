"""Candidates made real: recipe, integers, files, and what running and measuring those files says."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.emit.c import CEmitter
from smidgen.emit.smg import FILE_NAME, SmgArtifact
from smidgen.graph import Graph
from smidgen.lower.lowering import lower
from smidgen.lower.schedule import check_schedulable, expand_weights, schedule
from smidgen.measure.accuracy import accuracy, predict, quantized_inputs
from smidgen.measure.cost import cost_per_million
from smidgen.measure.energy import modelled_energy
from smidgen.measure.memory import host_ram, reference_ram
from smidgen.measure.size import file_size
from smidgen.measure.timing import latency, throughput
from smidgen.measurement import Measurement
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Stage, silent
from smidgen.numerics import Array
from smidgen.run.float_ops import run_float
from smidgen.search.budget import Budget
from smidgen.search.outcome import MODEL, Candidate, Evaluated, Point
from smidgen.search.paired import Clusters, Labels
from smidgen.search.prefix_cache import PrefixCache
from smidgen.search.space import TRAINING
from smidgen.targets.cross import measure_cross
from smidgen.targets.latency import modelled_latency
from smidgen.targets.target import Target

C_PROJECT = "c"
LATENCY_REPEATS = 100
BATCHES, BATCH_REPEATS = (1, 8, 64), 3
# The dry run decides nothing about accuracy, so a few samples do for its calibration.
DRY_RUN_SAMPLES = 16
# Firmware of candidates over budget is linked too, so that they are measured and not just "too large".
ROOMY_BYTES = 64 << 20

Base = Callable[[int], Graph]  # seed -> a trained float graph


class ArtifactEvaluator:
    """Builds `.smg` files (and C projects for microcontrollers) from `graph` and runs them.

    `bases` are the baselines' own networks by name, trained when first needed and kept in `cache`.
    """

    def __init__(
        self,
        graph: Graph,
        data: Splits,
        target: Target,
        budget: Budget,
        cache: Path,
        bases: Mapping[str, Base],
        report: Callable[[float, str], None] = silent,
    ) -> None:
        self._graph, self._data, self._target = graph, data, target
        self._budget, self._cache, self._bases, self._report = budget, cache, bases, report
        self._prefixes = PrefixCache()

    @property
    def labels(self) -> Labels:
        return self._data.validation.y

    @property
    def clusters(self) -> Clusters | None:
        return self._data.validation.dependent

    def reference(self, test: bool) -> Evaluated:
        part = self._data.test if test else self._data.validation
        logits = self._float_logits(part).reshape(len(part), -1)
        found: Labels = logits.argmax(axis=1).astype(np.int64)
        with tempfile.TemporaryDirectory() as scratch:
            write_smg(Path(scratch) / FILE_NAME, [self._graph])
            size = file_size(Path(scratch) / FILE_NAME)
        return _evaluated(0, found, part, [size, *modelled_energy(self._graph, self._target)])

    def precheck(self, candidate: Candidate) -> str | None:
        if candidate.base != MODEL:
            return None
        untrained = self._without_training(candidate.recipe)
        trained = any(step.name == TRAINING for step in candidate.recipe.steps)
        if untrained.pending and not trained:
            return f"{', '.join(step.name for step in untrained.pending)} needs a training that never comes"
        lowered = lower(replace(untrained, pending=()))
        if self._target.kind == "microcontroller":
            return "; ".join(map(str, CEmitter().check(lowered, self._device(self._budget)))) or None
        ram = _host_ram(lowered)
        return "; ".join(Budget(ram_bytes=self._budget.ram_bytes).fits({ram.name: ram})) or None

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        return self.timed(self.build(candidate, seed, folder), folder)

    def build(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        """All of `evaluate` but times, which want a quiet machine."""
        ctx = Context(self._data, self._graph, seed, self._report)
        base = partial(self._base, candidate.base, seed)
        compressed, reused = self._prefixes.apply(candidate.recipe, candidate.base, base, ctx)
        lowered = lower(compressed)
        write_smg(folder / FILE_NAME, [lowered])
        artifact = SmgArtifact(folder / FILE_NAME)
        ctx.notes.extend(f"no kernel, runs in the reference: {p}" for p in check_schedulable(artifact.graph))
        measured = [file_size(artifact.path), *self._costs(artifact, folder)]
        measured += modelled_energy(artifact.graph, self._target)
        found = predict(artifact.graph, artifact.run, self._data.validation.x)
        run = _evaluated(seed, found, self._data.validation, measured, tuple(ctx.notes), _files(folder))
        return replace(run, reused_steps=reused)

    def timed(self, run: Evaluated, folder: Path) -> Evaluated:
        """`run` with the times of the artifact in `folder` (modelled ones are there already) and its cost."""
        found = dict(run.measurements)
        if self._target.kind == "host":
            artifact = SmgArtifact(folder / FILE_NAME)
            sample = quantized_inputs(artifact.graph, self._data.validation.x[:1])
            times = latency(partial(artifact.run, sample), LATENCY_REPEATS)
            rate = throughput(lambda size: artifact.run(sample.repeat(size, axis=0)), BATCHES, BATCH_REPEATS)
            found |= {m.name: m for m in (*times, rate)}
        found |= {m.name: m for m in cost_per_million(tuple(found.values()), self._target)}
        return replace(run, measurements=found)

    def test(self, point: Point, run: Evaluated) -> Evaluated:
        artifact = SmgArtifact(point.folder / f"seed-{run.seed}" / FILE_NAME)
        found = predict(artifact.graph, artifact.run, self._data.test.x)
        return _evaluated(run.seed, found, self._data.test, [], (), run.files)

    def _float_logits(self, part: Dataset) -> Array:
        if any(node.op == "island" for node in self._graph.walk()):
            return run_float(self._graph, part.x)
        from smidgen.learn.fit import float_logits

        return float_logits(self._graph, part.x)

    def _costs(self, artifact: SmgArtifact, folder: Path) -> list[Measurement]:
        if self._target.kind == "host":
            return [_host_ram(artifact.graph)]
        sample = quantized_inputs(artifact.graph, self._data.validation.x[:1])
        device = self._device(Budget(flash_bytes=ROOMY_BYTES, ram_bytes=ROOMY_BYTES))
        CEmitter((sample,)).emit(artifact.graph, device, folder / C_PROJECT)
        compiled = measure_cross(folder / C_PROJECT, device)
        return [*compiled, modelled_latency(expand_weights(artifact.graph), device)]

    def _device(self, budget: Budget) -> Target:
        """The target with the budget's memory."""
        memory = {"flash_bytes": budget.flash_bytes, "ram_bytes": budget.ram_bytes}
        return self._target.model_copy(update={k: v for k, v in memory.items() if v is not None})

    def _without_training(self, recipe: Recipe) -> Graph:
        """The candidate as it is before training: same shapes, same memory, other weights."""
        few = replace(self._data, train=self._data.train.head(DRY_RUN_SAMPLES))
        steps = tuple(step for step in recipe.steps if step.stage is not Stage.TUNE)
        return Recipe(steps).apply(self._graph, Context(few, self._graph))

    def _base(self, name: str, seed: int) -> Graph:
        if name == MODEL:
            return self._graph
        path = self._cache / f"{name}-{seed}.smg"
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            write_smg(path, [self._bases[name](seed)])
        return read_smg(path).graph


def _host_ram(graph: Graph) -> Measurement:
    return reference_ram(graph) if check_schedulable(graph) else host_ram(schedule(graph))


def _evaluated(
    seed: int,
    found: Labels,
    part: Dataset,
    measured: list[Measurement],
    notes: tuple[str, ...] = (),
    files: tuple[str, ...] = (),
) -> Evaluated:
    right = accuracy(found, part.y)
    return Evaluated(seed, right.value, found, {m.name: m for m in [right, *measured]}, notes, files)


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()))
