"""Outlier channel splitting: an input channel with a large weight becomes two that share it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Dense, Integer
from smidgen.formats.affine import qmax_of
from smidgen.formats.ranges import RangeRule, row_ranges
from smidgen.formats.scales import floored
from smidgen.graph import Graph, Node, Value
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import WEIGHTED
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step
from smidgen.numerics import FloatArray, round_half_up

Order = Literal["largest", "random"]
Index = npt.NDArray[np.int64]


@dataclass(frozen=True)
class OutlierChannelSplitting(Step):
    """ceil(ratio I) times: the input channel with the largest |w| is doubled, both copies weigh about half.

    A layer W [O, …, I] computes the same function of inputs whose channels are copied alike (a `gather`),
    with a smaller largest weight, so that its grid is finer. In steps of the grid, x = w / s, copies weigh
    (x - 1/2) / 2 and (x + 1/2) / 2: with Q(x) = floor(x + 1/2) these round to Q(x) together, where halves
    would round twice. A first pass with plain halves tells the range after splitting, from which s follows.
    The step puts the weights that it splits on their grid itself, because s belongs to the split; a
    `quantize.affine` behind it does the rest. The first layer stays: a copy of one of three colours is a
    third more work. So do grouped convolutions, layers in recurrences, and weights that layers share.
    Ref: Zhao et al. 2019 (arXiv 1901.09504), sections 3.2 to 3.4.

    Attributes:
        ratio: share of the input channels to add, above 0, at most 1.
        bits: of the split weights, 2..8.
        granularity: one scale a `tensor`, or a `channel` of the output, where outliers matter less.
        rule: how the range of the split weights is chosen: minmax, percentile, mse. All but minmax also clip.
        order: which channel is split next: that of the `largest` weight, or a `random` one, as a control.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE
    needs: ClassVar[Needs] = "nothing"

    ratio: float = 0.05
    bits: int = 4
    granularity: Literal["tensor", "channel"] = "tensor"
    rule: RangeRule = "minmax"
    order: Order = "largest"

    def __post_init__(self) -> None:
        if not 0 < self.ratio <= 1:
            raise ValueError(f"ratio must be above 0 and at most 1, not {self.ratio}")
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must be 2 to 8, not {self.bits}")
        if self.granularity not in ("tensor", "channel"):
            raise ValueError(f"granularity must be tensor or channel, not {self.granularity}")
        if self.order not in ("largest", "random"):
            raise ValueError(f"order must be largest or random, not {self.order}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        folded, rng = canonical(graph), ctx.rng()
        nodes = splittable(folded)
        if not nodes:
            ctx.notes.append(f"{self.name}: no layer behind the first holds float weights, nothing changes")
            return graph
        for number, node in enumerate(nodes):
            ctx.report(number / len(nodes), f"splitting channels of {node.name}")
            folded = self._split(folded, node, rng)
        return folded

    def space(self, graph: Graph) -> Space:
        return {
            "ratio": Choice((0.02, 0.05, 0.1)),
            "bits": Choice((3, 4, 5, 6, 8)),
            "rule": Choice(("minmax", "mse")),
        }

    def _split(self, graph: Graph, node: Node, rng: np.random.Generator) -> Graph:
        weight = graph.weights[node.params["weight"]].decode().astype(np.float64)
        count = math.ceil(self.ratio * weight.shape[-1])
        parents = largest_first(weight, count) if self.order == "largest" else at_random(weight, count, rng)
        sources = sources_of(parents, weight.shape[-1])
        scale = self._scale(split(weight, parents, 0.0))
        changed = {
            node.params["weight"]: on_grid(weight, parents, scale, self.bits),
            f"{node.name}.sources": Integer(sources.astype(np.int32)),
        }
        copied = f"{node.name}.copied"
        shape = graph.values[node.inputs[0]].shape
        doubled = Node(
            copied,
            "gather",
            node.inputs,
            (copied,),
            {"indices": f"{node.name}.sources"},
            {"axis": len(shape) - 1},
        )
        layer = Node(node.name, node.op, (copied,), node.outputs, node.params, node.attrs)
        values = {copied: Value((*shape[:-1], sources.size))}
        return graph.with_weights(changed).with_values(values).replace(node.name, doubled, layer)

    def _scale(self, weight: FloatArray) -> npt.NDArray[np.float32]:
        """The steps [1] or [O] of the grid for weights that are split already."""
        rows = weight.reshape(1 if self.granularity == "tensor" else len(weight), -1)
        _, high = row_ranges(rows.astype(np.float32), self.bits, True, self.rule)
        return floored(high / qmax_of(self.bits))


def splittable(graph: Graph) -> tuple[Node, ...]:
    """The layers behind the first whose float weights multiply every input channel and are no other's."""
    layers = [node for node in graph.nodes if node.op in WEIGHTED]
    return tuple(
        node
        for node in layers[1:]
        if isinstance(graph.weights[node.params["weight"]], Dense)
        and node.attrs.get("groups", 1) == 1
        and len(graph.users(node.params["weight"])) == 1
    )


def largest_first(weight: FloatArray, count: int) -> Index:
    """The channel to split next, `count` times: that of the largest |w| among all there are by then.

    `weight` is [O, …, I]; copy k is channel I + k and may be split again.
    """
    largest = np.abs(weight).max(axis=tuple(range(weight.ndim - 1)))
    parents = np.empty(count, np.int64)
    for k in range(count):
        parents[k] = largest.argmax()
        largest[parents[k]] /= 2
        largest = np.append(largest, largest[parents[k]])
    return parents


def at_random(weight: FloatArray, count: int, rng: np.random.Generator) -> Index:
    """As `largest_first`, with channels drawn from all there are by then."""
    drawn: Index = rng.integers(0, weight.shape[-1] + np.arange(count))
    return drawn


def sources_of(parents: Index, channels: int) -> Index:
    """The input channel [I + count] that each channel of the split layer reads."""
    sources = np.arange(channels + parents.size)
    for k, parent in enumerate(parents):
        sources[channels + k] = sources[parent]
    return sources


def split(weight: FloatArray, parents: Index, offset: float) -> FloatArray:
    """[O, …, I] -> [O, …, I + count]: w becomes (w - offset) / 2 where it was and (w + offset) / 2 behind."""
    channels = weight.shape[-1]
    grown = np.empty((*weight.shape[:-1], channels + parents.size))
    grown[..., :channels] = weight
    for k, parent in enumerate(parents):
        whole = grown[..., parent].copy()
        grown[..., parent], grown[..., channels + k] = (whole - offset) / 2, (whole + offset) / 2
    return grown


def on_grid(weight: FloatArray, parents: Index, scale: npt.NDArray[np.float32], bits: int) -> Affine:
    """The split of `weight` in steps of `scale`, [1] or [O], rounded half up and clipped."""
    step = scale.astype(np.float64).reshape(-1, *(1,) * (weight.ndim - 1))
    steps = split(weight / step, parents, 0.5)
    most = qmax_of(bits)
    symbols = np.clip(round_half_up(steps), -most, most).astype(np.int8)
    return Affine(symbols, scale, bits, float_latent=(steps * step).astype(np.float32))
