"""Overwrite quantization: activations of few bits, whose outliers borrow the bits of zeros beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.data.dataset import Dataset
from smidgen.graph import Graph, Node, Value
from smidgen.graph.overwrite import TOP_CODE, Overwrite, overwritten
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import declared_grids, with_grids
from smidgen.methods.post_training import WEIGHTED, calibration_batches, calibration_samples
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Stage, Step
from smidgen.numerics import Array, FloatArray, round_half_up
from smidgen.run.float_ops import run_float

RECTIFIERS = frozenset({"relu", "relu6"})
KEEPS_ZEROS = frozenset({"max_pool", "reshape", "slice", "pad"})
POSITIONS = 2048  # of all samples together, by which a layer's step is chosen
SHRINKS = 2.0 ** (-np.arange(25) / 4)  # of the range of a lane: down to a 64th of the largest activation
Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class OverwriteQuantization(Step):
    """The inputs of layers behind a ReLU become lanes of `bits` bits, along channels; weights stay.

    A value beyond the lane's largest takes a zero's lane within `reach` and keeps 2 * bits bits; one beside a
    zero may keep bits of its fraction; what finds no zero is clipped (`graph/overwrite.py` has the rule, an
    integer function of all channels). A byte carries the result to the layer's ordinary kernel: real hardware
    would store the lanes, in half the memory, so files and times say nothing of it. With reach and fraction 0
    it is plain clipping. A fraction of f bits leaves 8 - f bits of the byte to the range, so that 4-bit lanes
    have the full range (255 steps) or a fraction, and 2 bits of fraction cover 63 steps.
    The step of a layer is the one with the least squared error on calibration samples, overwriting included,
    times `widen`. Layers whose input is read elsewhere too share one set of lanes. Put it before
    `quantize.affine`, which quantizes the rest; inputs that can be negative, those of the first layer and of
    grouped convolutions stay.
    Ref: Zhao, Dotzel et al. 2019 (arXiv 1910.06909), section 3.

    Attributes:
        bits: of a lane, 2..7.
        reach: how far to the right a zero may be; 0: outliers are clipped, 1: no cascade.
        fraction: bits of the fraction that a zero beside takes, 0..min(bits, 8 - bits).
        tile: lanes of a tile, whose borders nothing crosses, at least 1.
        widen: of the step with the least squared error, above 0.
        samples: calibration samples, taken from the training split.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE

    bits: int = 4
    reach: int = 2
    fraction: int = 0
    tile: int = 32
    widen: float = 1.0
    samples: int = 256

    def __post_init__(self) -> None:
        self.rule()
        if not self.widen > 0:
            raise ValueError(f"widen must be above 0, not {self.widen}")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, not {self.samples}")

    def rule(self) -> Overwrite:
        return Overwrite(self.bits, self.fraction, self.reach, self.tile)

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        samples = calibration_samples(self.name, ctx, self.samples)
        folded = canonical(graph)
        found = rectified_inputs(folded)
        if not found:
            ctx.notes.append(
                f"{self.name}: no layer behind the first reads what a ReLU made, nothing changes"
            )
            return graph
        seen = activations(folded, found, samples, ctx)
        for value in found:
            scale = fitted_step(seen[value], self.rule()) * self.widen
            folded = with_lanes(folded, value, float(np.float32(scale)), self.rule())
        kept = declared_grids(folded)
        return with_grids(folded, kept) if kept else folded

    def space(self, graph: Graph) -> Space:
        return {"bits": Choice((3, 4)), "reach": Choice((1, 2, 3, 4)), "widen": Choice((0.8, 1.0, 1.25))}


def rectified_inputs(graph: Graph) -> tuple[str, ...]:
    """The values that layers behind the first read, that are never negative and mostly have zeros."""
    layers = [node for node in graph.nodes if node.op in WEIGHTED]
    inputs = (node.inputs[0] for node in layers[1:] if node.attrs.get("groups", 1) == 1)
    return tuple(dict.fromkeys(name for name in inputs if _is_rectified(graph, name)))


def _is_rectified(graph: Graph, value: str) -> bool:
    maker = graph.producer(value)
    while maker and maker.op in KEEPS_ZEROS and not (maker.op == "pad" and maker.attrs["value"] != 0):
        maker = graph.producer(maker.inputs[0])
    return maker is not None and maker.op in RECTIFIERS


def activations(graph: Graph, values: Sequence[str], samples: Dataset, ctx: Context) -> dict[str, Rows]:
    """Some positions [n, C] of each of `values` in the float network, at most `POSITIONS`."""
    rng, kept = ctx.rng(), {name: list[Rows]() for name in values}
    share = POSITIONS // max(len(samples), 1) + 1  # positions a sample

    def look(node: Node, made: Sequence[Array]) -> None:
        for name in kept.keys() & set(node.outputs):
            rows = made[0].reshape(-1, made[0].shape[-1])
            picked = rng.permutation(len(rows))[: share * len(made[0])]
            kept[name].append(rows[picked].astype(np.float32))

    for batch in calibration_batches(graph, samples, ctx):
        run_float(graph, batch.x, look)
    return {name: np.concatenate(parts)[:POSITIONS] for name, parts in kept.items()}


def fitted_step(rows: Rows, rule: Overwrite) -> float:
    """The fine step (a grid's scale) with the least squared error of what lanes hold of `rows` [n, C]."""
    widest = max(float(rows.max(initial=0.0)), 1e-6) / (rule.most << rule.fraction)
    steps = widest * SHRINKS
    errors = [float(np.square(held(rows, step, rule) - rows).sum()) for step in steps]
    return float(steps[int(np.argmin(errors))])


def held(rows: Rows, step: float, rule: Overwrite) -> FloatArray:
    """The real values that lanes hold of `rows` [n, C]."""
    codes = np.clip(round_half_up(rows / step), 0, TOP_CODE).astype(np.int64)
    return overwritten(codes, rule).astype(np.float64) * step


def with_lanes(graph: Graph, value: str, scale: float, rule: Overwrite) -> Graph:
    """Layers that read `value` read what lanes hold of it."""
    lanes = f"{value}.lanes"
    attrs = {"scale": scale, **vars(rule)}
    node = Node(lanes, "overwrite", (value,), (lanes,), {}, attrs)
    nodes: list[Node] = []
    for reader in graph.nodes:
        if reader.op in WEIGHTED and reader.inputs == (value,) and reader.attrs.get("groups", 1) == 1:
            nodes += [] if node in nodes else [node]
            reader = replace(reader, inputs=(lanes,))
        nodes.append(reader)
    shape = graph.values[value].shape
    return replace(graph.with_values({lanes: Value(shape)}), nodes=tuple(nodes))
