"""Binary weights: a sign each, and a scale for all of a filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from smidgen.formats import Binary
from smidgen.graph import Graph
from smidgen.methods.binarize._layers import inner_layers
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class BinaryWeights(Step):
    """W = scale * sign(W) for all but the first and the last layer, scale the mean of |W|.

    Put it before a training, so that the latent weights follow the paper's gradient, and `quantize.affine`
    behind that: it folds BatchNorm into the scales and gives the rest 8 bits. Filters that see one channel
    (depthwise convolutions) stay: they hold few weights, and no sum averages their error.
    Ref: Rastegari et al. 2016 (arXiv 1603.05279), section 3.1.

    Attributes:
        granularity: one scale a `channel` (filter) or `tensor`.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    needs: ClassVar[Needs] = "nothing"

    granularity: Literal["tensor", "channel"] = "channel"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        layers = inner_layers(graph, lambda node: graph.weights[node.params["weight"]].shape[-1] > 1)
        names = {node.params["weight"] for node in layers}
        if not names:
            ctx.notes.append(f"{self.name}: no float layer between the first and the last, nothing changes")
        signs = {name: Binary.fit(graph.weights[name].decode(), self.granularity) for name in sorted(names)}
        return graph.with_weights(signs)

    def space(self, graph: Graph) -> Space:
        return {"granularity": Choice(("channel", "tensor"))}
