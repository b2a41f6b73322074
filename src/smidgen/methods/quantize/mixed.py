"""Mixed precision: lower the bits of single layers until the accuracy drops."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset
from smidgen.errors import BadInput
from smidgen.formats import Affine, Format
from smidgen.formats.affine import Granularity
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.lower.lowering import lower
from smidgen.measure.accuracy import predict
from smidgen.methods.post_training import (
    calibration_samples,
    quantized_weights,
    weight_names,
    with_activation_grids,
)
from smidgen.methods.quantize._descent import Bits, descend
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan

START_BITS = 8
CHUNK = 64  # samples between two looks at whether a candidate can still win


@dataclass(frozen=True)
class MixedPrecision(Step):
    """All weights start at 8 bits; one layer after the other loses a bit, the cheapest loss first.

    A move takes one bit from one weight. Its price is (right validation answers lost) / (bytes saved,
    bit-packed); a move that loses none is free, and among equal prices the one that saves most is taken.
    Moves that leave the validation accuracy below

        base - max(tolerance_points, standard_errors * 100 * sqrt(p * (1 - p) / n))

    are out (`base` in percent, p = base / 100: the float network given here, on the same n samples), and the
    search ends when no other is left: it goes on behind the first best move that breaks the tolerance, so
    never saves less. Accuracies are those of the integers, run by the native plan. Validation samples decide,
    so its accuracy is optimistic afterwards; the test split is not touched.

    Attributes:
        tolerance_points: percentage points of validation accuracy that may be lost, at least 0.
        standard_errors: a loss within so many standard errors of the accuracy is allowed too, at least 0.
        minimum_bits: no weight gets fewer, 2..8.
        granularity: one weight scale per `tensor`, `channel`, or `group` of 32 weights; symmetric.
        rule: how weight ranges are chosen: minmax, percentile, mse.
        activation_bits: 2..8, for all layers.
        samples: calibration samples, taken from the training split.
        evaluation_samples: validation samples that decide (0: all).

    Raises (apply):
        BadInput: no data, or its targets are values.
        Unsupported: the network has parts that are not integers.
    """

    stage: ClassVar[Stage] = Stage.VALUES
    needs: ClassVar[Needs] = "classes"

    tolerance_points: float = 0.5
    standard_errors: float = 2.0
    minimum_bits: int = 2
    granularity: Granularity = "channel"
    rule: RangeRule = "minmax"
    activation_bits: int = 8
    samples: int = 256
    evaluation_samples: int = 1000

    def __post_init__(self) -> None:
        for name in ("tolerance_points", "standard_errors", "evaluation_samples"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("minimum_bits", "activation_bits"):
            if not 2 <= getattr(self, name) <= 8:
                raise ValueError(f"{name} must be 2 to 8, not {getattr(self, name)}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if ctx.need_data(self.name).classes is None:
            raise BadInput(self.name, "targets are values", "it counts right answers", "Use quantize.affine")
        samples = calibration_samples(self.name, ctx, self.samples)
        start = canonical(graph)
        names = [name for name in weight_names(start) if start.weights[name].integers() is None]
        if not names:
            ctx.notes.append(f"{self.name}: no layer holds float weights, nothing changes")
            return graph
        held = self._held(ctx)
        floor = self._floor(_right(start, held), len(held))
        gridded = with_activation_grids(start, samples, self.activation_bits, "minmax", ctx)
        options = range(self.minimum_bits, START_BITS + 1)
        ladder = {
            name: {b: quantized_weights(start, {name: b}, self._fit)[name] for b in options} for name in names
        }
        sizes = {name: {b: _stored_bits(fmt) for b, fmt in steps.items()} for name, steps in ladder.items()}
        judge = Integers(gridded, ladder, held)
        bits, right = descend(sizes, judge.right, floor, lambda t, at: ctx.report(t, _listed(at)))
        ctx.notes.append(f"{self.name}: {_summary(bits, right, floor, len(held))}")
        return judge.graph(bits)

    def space(self, graph: Graph) -> Space:
        return {
            "tolerance_points": Choice((0.5, 1.0, 2.0, 4.0)),
            "standard_errors": Choice((0.0, 2.0)),
            "granularity": Choice(("channel", "group")),
            "rule": Choice(("minmax", "mse")),
        }

    def _held(self, ctx: Context) -> Dataset:
        """The samples that decide."""
        validation = ctx.need_data(self.name).validation
        count = self.evaluation_samples or len(validation)
        return validation.take(ctx.rng().permutation(len(validation))[:count])

    def _floor(self, right: int, count: int) -> int:
        """The fewest right answers allowed where the float network gives `right` of `count`."""
        share = right / count
        noise = self.standard_errors * math.sqrt(share * (1 - share) / count)
        # The margin keeps 0.29 * 100 from becoming 28.999... answers.
        return math.ceil(right - count * max(self.tolerance_points / 100, noise) - 1e-9)

    def _fit(self, dense: npt.NDArray[np.float32], bits: int) -> Format:
        return Affine.fit(dense, bits, self.granularity, rule=self.rule)


class Integers:
    """Counts right answers of the integers of `graph` under any choice of bits, through the native plan."""

    def __init__(self, graph: Graph, ladder: Mapping[str, Mapping[int, Format]], held: Dataset) -> None:
        self._graph, self._ladder, self._held = graph, ladder, held

    def graph(self, bits: Bits) -> Graph:
        return self._graph.with_weights({name: self._ladder[name][b] for name, b in bits.items()})

    def right(self, bits: Bits, needed: int) -> int | None:
        """Right answers; None as soon as so many are wrong that `needed` can't be reached."""
        # What waits for a training (a pruning schedule, a teacher) changes nothing before it.
        plan = native_plan(lower(replace(self.graph(bits), pending=())))
        wrong = 0
        for part in self._held.batches(CHUNK):
            wrong += int((predict(plan.graph, plan.run, part.x) != part.y).sum())
            if len(self._held) - wrong < needed:
                return None
        return len(self._held) - wrong


def _right(graph: Graph, held: Dataset) -> int:
    """Right answers of a float network."""
    return int((run_float(graph, held.x).reshape(len(held), -1).argmax(axis=1) == held.y).sum())


def _stored_bits(fmt: Format) -> int:
    return sum(leaf.symbols.size * leaf.bits for leaf in fmt.leaves())


def _listed(bits: Bits) -> str:
    return "weight bits " + ", ".join(f"{name.removesuffix('.weight')} {b}" for name, b in bits.items())


def _summary(bits: Bits, right: int, floor: int, count: int) -> str:
    accuracy = (
        f"{100 * right / count:.1f}% of {count} validation samples right, at least {100 * floor / count:.1f}%"
    )
    if right < floor:
        return f"8 bits already break the tolerance ({accuracy} asked), weights stay at 8 bits"
    return f"{_listed(bits)} ({accuracy} asked)"
