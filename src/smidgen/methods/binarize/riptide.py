"""Binary weights and activations of few bits, glued by shifts alone."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar, Literal

from smidgen.formats import Binary
from smidgen.formats.packing import MOST_PLANES
from smidgen.graph import Graph, Node
from smidgen.methods.binarize._layers import inner_layers, with_shifted_input, with_unipolar_input
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class Riptide(Step):
    """All but the first and the last layer: signs times a power of two, inputs of `bits` bits, ShiftNorm.

    Inputs are clipped to [0, 1] and rounded to 2^bits values, in the place of a ReLU; before them stands a
    ShiftNorm, in the place of a BatchNorm. As for `binarize.xnor`, train behind it and then use
    `quantize.affine`: two such layers then hand each other planes of packed bits, and all that stands between
    them is q = clip((c - M + 2^(t-1)) >> t, 0, 2^bits - 1) of the integer sums c. M is the mean in steps of
    c, rounded when it becomes an integer and not before (and not saturated, as the paper's fixed point is).
    Ref: Fromm et al. 2020 (Riptide, MLSys), section 3.

    Attributes:
        bits: of activations, 1..4.
        granularity: one weight scale a `channel` (filter) or `tensor`.
        scales: `power`: as above; `exact`: mean sizes of weights and a BatchNorm, what the powers stand for.
        extra_scale: ShiftNorm divides by so much more, > 0.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    needs: ClassVar[Needs] = "nothing"

    bits: int = 2
    granularity: Literal["tensor", "channel"] = "channel"
    scales: Literal["power", "exact"] = "power"
    extra_scale: float = 1.0

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= MOST_PLANES:
            raise ValueError(f"bits must be 1 to {MOST_PLANES}, not {self.bits}")
        if not (math.isfinite(self.extra_scale) and self.extra_scale > 0):
            raise ValueError(f"extra_scale must be above 0, not {self.extra_scale}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        layers = inner_layers(graph, lambda node: node.attrs.get("groups", 1) == 1)
        if not layers:
            ctx.notes.append(f"{self.name}: no float layer between the first and the last, nothing changes")
        for node in layers:
            graph = self._binary(graph, node)
        graph.check()
        return graph

    def space(self, graph: Graph) -> Space:
        return {"bits": Choice((1, 2, 3)), "scales": Choice(("power", "exact"))}

    def _binary(self, graph: Graph, node: Node) -> Graph:
        name = node.params["weight"]
        latent = graph.weights[name].latent
        if self.scales == "exact":
            signs = Binary.fit(latent, self.granularity)
            return with_unipolar_input(graph, node.name, self.bits).with_weights({name: signs})
        signs = Binary.fit_powers(latent, self.granularity)
        return with_shifted_input(graph, node.name, self.bits, self.extra_scale).with_weights({name: signs})
