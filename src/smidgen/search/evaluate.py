"""Candidates made real: recipe, integers, files, and what running and measuring those files says."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.data.metrics import metric_for
from smidgen.emit.c import CEmitter
from smidgen.emit.smg import FILE_NAME, SmgArtifact
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.lower.lowering import lower
from smidgen.lower.schedule import check_schedulable, schedule
from smidgen.measure.accuracy import predict, quantized_inputs, score
from smidgen.measure.call_costs import CallCosts
from smidgen.measure.cost import cost_per_million
from smidgen.measure.energy import modelled_energy
from smidgen.measure.firmware import fitting_firmware
from smidgen.measure.memory import host_ram, reference_ram
from smidgen.measure.size import file_size
from smidgen.measure.timing import latency, throughput
from smidgen.measurement import Measurement
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Stage, silent
from smidgen.run.float_ops import run_float
from smidgen.search.budget import Budget
from smidgen.search.outcome import MODEL, Array, Candidate, Evaluated, Point
from smidgen.search.paired import Clusters
from smidgen.search.prefix_cache import PrefixCache
from smidgen.search.space import TRAINING
from smidgen.targets.cores import can_emulate
from smidgen.targets.latency import instruction_costs, modelled_latency
from smidgen.targets.target import Target

C_PROJECT = "c"
LATENCY_REPEATS = 100
BATCHES, BATCH_REPEATS = (1, 8, 64), 3
# The dry run decides nothing about accuracy, so a few samples do for its calibration.
DRY_RUN_SAMPLES = 16
PATCHED = "the first layers run in {} strips, because RAM is too small for their whole maps"
CODED = "weights are entropy-coded in flash and decoded layer by layer, because they do not fit otherwise"

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
        self._metric = metric_for(data)
        self._given = None if data.synthetic else data  # what steps may learn from
        self._budget, self._cache, self._bases, self._report = budget, cache, bases, report
        self._prefixes, self._calls = PrefixCache(), CallCosts()

    @property
    def labels(self) -> Array:
        return self._data.validation.y

    @property
    def clusters(self) -> Clusters | None:
        return self._data.validation.dependent

    def reference(self, test: bool) -> Evaluated:
        part = self._data.test if test else self._data.validation
        found = self._metric.predictions(self._float_logits(part))
        with tempfile.TemporaryDirectory() as scratch:
            write_smg(Path(scratch) / FILE_NAME, [self._graph])
            size = file_size(Path(scratch) / FILE_NAME)
        return self._evaluated(0, found, part, [size, *modelled_energy(self._graph, self._target)])

    def precheck(self, candidate: Candidate) -> str | None:
        if candidate.base != MODEL:
            return None
        untrained = self._without_training(candidate.recipe)
        trained = any(step.name == TRAINING for step in candidate.recipe.steps)
        if untrained.pending and not trained:
            return f"{', '.join(step.name for step in untrained.pending)} needs a training that never comes"
        lowered = lower(replace(untrained, pending=()))
        if self._target.kind != "host":
            return "; ".join(map(str, CEmitter().check(lowered, self._device(self._budget)))) or None
        ram = _host_ram(lowered)
        return "; ".join(Budget(ram_bytes=self._budget.ram_bytes).fits({ram.name: ram})) or None

    def evaluate(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        return self.timed(self.build(candidate, seed, folder), folder)

    def build(self, candidate: Candidate, seed: int, folder: Path) -> Evaluated:
        """All of `evaluate` but times, which want a quiet machine."""
        ctx = Context(self._given, self._graph, seed, self._report)
        base = partial(self._base, candidate.base, seed)
        compressed, reused = self._prefixes.apply(candidate.recipe, candidate.base, base, ctx)
        lowered = lower(compressed)
        write_smg(folder / FILE_NAME, [lowered])
        artifact = SmgArtifact(folder / FILE_NAME)
        ctx.notes.extend(_without_kernels(artifact.graph))
        costs, why = self._costs(artifact, folder)
        ctx.notes.extend(why)
        measured = [file_size(artifact.path), *costs]
        measured += modelled_energy(artifact.graph, self._target)
        found = predict(artifact.graph, artifact.run, self._data.validation.x, self._metric)
        part, notes = self._data.validation, tuple(ctx.notes)
        run = self._evaluated(seed, found, part, measured, notes, _files(folder))
        return replace(run, reused_steps=reused)

    def timed(self, run: Evaluated, folder: Path) -> Evaluated:
        """`run` with the times of the artifact in `folder` (modelled ones are there already) and its cost.

        Without data only weights are compressed, and the reference's speed says nothing of a product.
        """
        found = dict(run.measurements)
        if self._target.kind == "host" and not self._data.synthetic:
            artifact = SmgArtifact(folder / FILE_NAME)
            sample = quantized_inputs(artifact.graph, self._data.validation.head(1).x)
            times = latency(partial(artifact.run, sample), LATENCY_REPEATS)
            rate = throughput(lambda size: artifact.run(sample.repeat(size, axis=0)), BATCHES, BATCH_REPEATS)
            found |= {m.name: m for m in (*times, rate)}
        found |= {m.name: m for m in cost_per_million(tuple(found.values()), self._target)}
        return replace(run, measurements=found)

    def test(self, point: Point, run: Evaluated) -> Evaluated:
        artifact = SmgArtifact(point.folder / f"seed-{run.seed}" / FILE_NAME)
        found = predict(artifact.graph, artifact.run, self._data.test.x, self._metric)
        return self._evaluated(run.seed, found, self._data.test, [], (), run.files)

    def _evaluated(
        self,
        seed: int,
        found: Array,
        part: Dataset,
        measured: list[Measurement],
        notes: tuple[str, ...] = (),
        files: tuple[str, ...] = (),
    ) -> Evaluated:
        own = score(self._metric, found, part.y)
        gain = self._metric.shown(own.value)
        if not math.isfinite(gain):
            where, what = f"metric {self._metric.name}", f"it is {own.value} on {len(part)} samples"
            raise BadInput(where, what, "a number is needed", "Choose another metric, or give more data")
        return Evaluated(seed, gain, found, {m.name: m for m in [own, *measured]}, notes, files)

    def _float_logits(self, part: Dataset) -> Array:
        if any(node.op == "island" for node in self._graph.walk()):
            return run_float(self._graph, part.x)
        from smidgen.learn.fit import float_logits

        return float_logits(self._graph, part.x)

    def _costs(self, artifact: SmgArtifact, folder: Path) -> tuple[list[Measurement], list[str]]:
        """What the artifact takes, and notes on it."""
        if self._target.kind == "host":
            return [_host_ram(artifact.graph)], []
        sample = quantized_inputs(artifact.graph, self._data.validation.head(1).x)
        limits = {"flash_bytes": self._budget.flash_bytes, "ram_bytes": self._budget.ram_bytes}
        project = folder / C_PROJECT
        made = fitting_firmware(artifact.graph, self._target, CEmitter((sample,)), limits, project)
        notes = [CODED] if made.weights == "coded" else []
        notes += [PATCHED.format(made.patches)] if made.patches else []
        if not can_emulate(self._target):
            return [*made.sizes, modelled_latency(made.executed.graph, self._target)], notes
        count = self._calls.instructions(made.executed.program, project, self._target, (sample,))
        return [*made.sizes, *instruction_costs((count,), self._target)], notes

    def _device(self, budget: Budget) -> Target:
        """The target with the budget's memory."""
        memory = {"flash_bytes": budget.flash_bytes, "ram_bytes": budget.ram_bytes}
        return self._target.model_copy(update={k: v for k, v in memory.items() if v is not None})

    def _without_training(self, recipe: Recipe) -> Graph:
        """The candidate as it is before training: same shapes, same memory, other weights."""
        few = self._given and replace(self._given, train=self._given.train.head(DRY_RUN_SAMPLES))
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


def _without_kernels(graph: Graph) -> list[str]:
    """What does not run in one native plan, for the notes."""
    if all(value.grid is None for value in graph.values.values()):
        return ["weights are compressed, activations stay float32: the network runs piece by piece"]
    return [f"no integer kernel, runs apart: {problem}" for problem in check_schedulable(graph)]


def _host_ram(graph: Graph) -> Measurement:
    return reference_ram(graph) if check_schedulable(graph) else host_ram(schedule(graph))


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()))
