"""Binary weights and activations: layers that count equal bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from smidgen.formats import Binary
from smidgen.graph import Graph
from smidgen.methods.binarize._layers import inner_layers, with_binary_input
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class Xnor(Step):
    """All but the first and the last layer multiply signs with signs: BatchNorm, sign, layer, pool.

    A ReLU before such a layer gives way to the sign, a BatchNorm is put before it where there is none. As for
    `binarize.bwn`, train behind it and then use `quantize.affine`, which folds a BatchNorm between two such
    layers into one threshold a channel: they then hand packed bits to each other. The paper's scale of the
    input (K, a mean over each window) is left out: the BatchNorm behind
    scales a channel anyway, and a scale a position would undo the thresholds.
    Ref: Rastegari et al. 2016 (arXiv 1603.05279), sections 3.2 and 3.3; sign's gradient: arXiv 1602.02830.

    Attributes:
        granularity: one weight scale a `channel` (filter) or `tensor`.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    needs: ClassVar[Needs] = "nothing"

    granularity: Literal["tensor", "channel"] = "channel"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        layers = inner_layers(graph, lambda node: node.attrs.get("groups", 1) == 1)
        if not layers:
            ctx.notes.append(f"{self.name}: no float layer between the first and the last, nothing changes")
        for node in layers:
            name = node.params["weight"]
            signs = Binary.fit(graph.weights[name].latent, self.granularity)
            graph = with_binary_input(graph, node.name).with_weights({name: signs})
        graph.check()
        return graph

    def space(self, graph: Graph) -> Space:
        return {"granularity": Choice(("channel", "tensor"))}
