"""Binary weights and activations: layers that count equal bits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from smidgen.graph import Graph
from smidgen.methods.binarize._layers import has_one_group, inner_layers, leading_layers, with_signs
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class Xnor(Step):
    """All but the last, and usually the first, layer multiply signs with signs: BatchNorm, sign, layer, pool.

    A ReLU before such a layer gives way to the sign, a BatchNorm is put before it where there is none. As for
    `binarize.bwn`, train behind it and then use `quantize.affine`, which folds a BatchNorm between two such
    layers into one threshold a channel: they then hand packed bits to each other. The paper's scale of the
    input (K, a mean over each window) is left out: the BatchNorm behind
    scales a channel anyway, and a scale a position would undo the thresholds.
    Ref: Rastegari et al. 2016 (arXiv 1603.05279), sections 3.2 and 3.3; sign's gradient: arXiv 1602.02830.

    Attributes:
        granularity: one weight scale a `channel` (filter) or `tensor`.
        first: the first layer is `kept`, or `binary` too and reads signs of the network's inputs.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    needs: ClassVar[Needs] = "nothing"

    granularity: Literal["tensor", "channel"] = "channel"
    first: Literal["kept", "binary"] = "kept"

    def __post_init__(self) -> None:
        if self.first not in ("kept", "binary"):
            raise ValueError(f"first must be kept or binary, not {self.first}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        layers = (inner_layers if self.first == "kept" else leading_layers)(graph, has_one_group)
        if not layers:
            ctx.notes.append(f"{self.name}: no float layer to make binary, nothing changes")
        return with_signs(graph, layers, self.granularity)

    def space(self, graph: Graph) -> Space:
        return {"granularity": Choice(("channel", "tensor"))}
