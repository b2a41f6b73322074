"""Low-rank factorization of each layer by its truncated singular value decomposition."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from smidgen.formats import Dense, LowRank
from smidgen.formats.lowrank import break_even_rank
from smidgen.graph import Graph, Node
from smidgen.graph.structured import FACTORED
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Stage, Step

Vector = npt.NDArray[np.float64]


@dataclass(frozen=True)
class TruncatedSVD(Step):
    """W [O, I] = U S V^T keeps its r largest singular values: left = U sqrt(S) [O, r], right = sqrt(S) V^T.

    No other pair of factors of rank r is nearer to W in the Frobenius norm (Eckart, Young 1936). A
    convolution folds to [O, kH kW I]: r kernels, then a 1 x 1 convolution. A layer is factored where that
    saves weights, r (O + I) < O I; the square roots share the range out between the factors, which suits
    their grids. A later `tune.fit` trains the factors.
    Ref: Denton et al. 2014 (arXiv 1404.0736), section 3.3; Zhang et al. 2016 (arXiv 1505.06798), section 3.1.

    Attributes:
        keep: above 0, at most 1. By `energy`: the share of the squared singular values that the smallest r
            reaches. By `weights`: the share of the layer's weights that the factors may hold, r at least 1.
        by: what `keep` counts.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE

    keep: float = 0.9
    by: Literal["energy", "weights"] = "energy"

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise ValueError(f"keep must be above 0 and at most 1, not {self.keep}")
        if self.by not in ("energy", "weights"):
            raise ValueError(f"by must be energy or weights, not {self.by}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if any(value.grid is not None for value in graph.values.values()):
            ctx.notes.append(f"{self.name}: grids are declared already, put it before; nothing changes")
            return graph
        candidates = dict(factorable(graph))
        changed: dict[str, LowRank] = {}
        whole: list[str] = []
        for number, (name, weight) in enumerate(candidates.items()):
            ctx.report(number / len(candidates), f"factoring {name}")
            factors = self._factored(weight.array)
            if factors is None:
                whole.append(name)
            else:
                changed[name] = factors
        if not candidates:
            ctx.notes.append(f"{self.name}: no plain layer holds float weights, nothing changes")
        elif whole:
            ctx.notes.append(f"{self.name}: {', '.join(whole)} stay whole, two factors would be no smaller")
        return graph.with_weights(changed)

    def space(self, graph: Graph) -> Space:
        return {"keep": Range(0.1, 0.9), "by": Choice(("energy", "weights"))}

    def _factored(self, weight: npt.NDArray[np.float32]) -> LowRank | None:
        """The factors, None where they would not be smaller."""
        most = break_even_rank(weight.shape)
        if most == 0:
            return None
        u, s, v = np.linalg.svd(weight.reshape(len(weight), -1).astype(np.float64), full_matrices=False)
        rank = self._rank(weight.shape, s)
        return truncated(weight.shape, (u, s, v), rank) if rank <= most else None

    def _rank(self, shape: tuple[int, ...], s: Vector) -> int:
        if self.by == "energy":
            return energy_rank(s, self.keep)
        affordable = self.keep * math.prod(shape) / (shape[0] + math.prod(shape[1:]))
        return max(math.floor(affordable), 1)


def factorable(graph: Graph) -> Iterator[tuple[str, Dense]]:
    """Float weights that only linear layers and ungrouped convolutions use, tied ones once."""
    for name, weight in graph.weights.items():
        users = graph.users(name)
        if isinstance(weight, Dense) and users and all(_is_plain(node, name) for node in users):
            yield name, weight


def _is_plain(node: Node, weight: str) -> bool:
    only = [role for role, name in node.params.items() if name == weight] == ["weight"]
    return only and node.op in FACTORED and node.attrs.get("groups", 1) == 1


def energy_rank(s: Vector, share: float) -> int:
    """The fewest of the singular values `s` (descending) whose squares sum to `share` of all; at least 1."""
    reached = np.cumsum(np.square(s))
    return 1 + int(np.searchsorted(reached[:-1], share * reached[-1]))


def truncated(shape: tuple[int, ...], decomposition: tuple[Vector, Vector, Vector], rank: int) -> LowRank:
    """The first `rank` singular triples (U [O, n], s [n], V^T [n, I]) of a weight [O, …, I] as factors."""
    u, s, v = decomposition
    root = np.sqrt(s[:rank])
    left = (u[:, :rank] * root).reshape(shape[0], *(1,) * (len(shape) - 2), rank)
    right = (root[:, None] * v[:rank]).reshape(rank, *shape[1:])
    return LowRank(Dense(left.astype(np.float32)), Dense(right.astype(np.float32)))
