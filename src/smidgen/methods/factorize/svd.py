"""Low-rank factorization of each layer by its truncated singular value decomposition."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.graph import Graph
from smidgen.methods.factorize._ranks import (
    Budget,
    Split,
    check_budget,
    chosen_share,
    factorable,
    factored,
    has_grids,
)
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class TruncatedSVD(Step):
    """W [O, I] = U S V^T keeps its r largest singular values: left = U sqrt(S) [O, r], right = sqrt(S) V^T.

    No other pair of factors of rank r is nearer to W in the Frobenius norm (Eckart, Young 1936). A
    convolution folds to [O, kH kW I]: r kernels, then a 1 x 1 convolution. One share of the energy (squared
    singular values) for all layers sets their ranks; a layer is factored where that saves weights,
    r (O + I) < O I. Needs no data; a later `tune.fit` trains the factors.
    Ref: Denton et al. 2014 (arXiv 1404.0736), section 3.3.

    Attributes:
        keep: above 0, at most 1: the share of the energy that every factored layer reaches at least; or, by
            `weights`, the share of all plain layers' weights that may stay: the most energy that allows that.
        by: what `keep` counts, `energy` or `weights`.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE
    needs: ClassVar[Needs] = "nothing"

    keep: float = 0.9
    by: Budget = "energy"

    def __post_init__(self) -> None:
        check_budget(self.keep, self.by)

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if has_grids(graph, self.name, ctx.notes):
            return graph
        weights, splits = dict(factorable(graph)), dict[str, Split]()
        for number, (name, weight) in enumerate(weights.items()):
            ctx.report(number / len(weights), f"decomposing {name}")
            splits[name] = decomposed(weight.array)
        if not splits:
            ctx.notes.append(f"{self.name}: no plain layer holds float weights, nothing changes")
            return graph
        share = chosen_share(splits.values(), self.keep, self.by)
        return graph.with_weights(factored(splits, share, self.name, ctx.notes))

    def space(self, graph: Graph) -> Space:
        return {"keep": Range(0.1, 0.9), "by": Choice(("energy", "weights"))}


def decomposed(weight: npt.NDArray[np.float32]) -> Split:
    """[O, …, I] along its left singular vectors."""
    folded = weight.reshape(len(weight), -1).astype(np.float64)
    u, s, v = np.linalg.svd(folded, full_matrices=False)
    return Split(weight.shape, u, s[:, None] * v, np.square(s))
