"""BatchNorm folding: the same function with fewer layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.space import Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class FoldBatchNorm(Step):
    """W' = W * g, b' = beta + (b - mean) * g, g = gamma / sqrt(var + eps). Exact up to float rounding.

    Ref: Jacob et al. 2018 (arXiv 1712.05877), eq. 14.
    """

    stage: ClassVar[Stage] = Stage.VALUES
    needs: ClassVar[Needs] = "nothing"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        folded = canonical(graph)
        if len(folded.nodes) == len(graph.nodes):
            ctx.notes.append(f"{self.name}: nothing to fold, the network has no BatchNorm")
        return folded

    def space(self, graph: Graph) -> Space:
        return {}
