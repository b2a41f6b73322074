"""What the factorizations share: a layer split along directions of its outputs, and how many to keep."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.formats import Dense, LowRank
from smidgen.formats.lowrank import break_even_rank
from smidgen.graph import Graph, Node
from smidgen.graph.structured import FACTORED

Matrix = npt.NDArray[np.float64]
Budget = Literal["energy", "weights"]


@dataclass(frozen=True, eq=False)
class Split:
    """A weight [O, …, I], folded to W [O, n], as `basis` [O, m] (orthonormal columns) times `rows` [m, n].

    `energy` [m]: what each direction carries, descending; the first r of them make the factors of rank r.
    """

    shape: tuple[int, ...]
    basis: Matrix
    rows: Matrix
    energy: Matrix

    def reached(self) -> Matrix:
        """Share of the energy that the first 1, 2, … directions carry; ends with 1."""
        sums = np.cumsum(self.energy)
        return np.asarray(sums / sums[-1] if sums[-1] > 0 else np.ones_like(sums))

    def rank(self, share: float) -> int:
        """The fewest directions that carry `share` of the energy, at least 1."""
        return 1 + int(np.searchsorted(self.reached()[:-1], share))

    def pays(self, share: float) -> bool:
        """Whether the factors for this share hold fewer weights than the whole."""
        return self.rank(share) <= break_even_rank(self.shape)

    def size(self, share: float) -> int:
        """Weights of the factors for this share, of the whole layer where they do not pay."""
        outputs, inputs = self.shape[0], math.prod(self.shape[1:])
        return self.rank(share) * (outputs + inputs) if self.pays(share) else outputs * inputs

    def factors(self, share: float) -> LowRank:
        """The factors for this share. Both get the same norm in each direction, which suits their grids."""
        rank = self.rank(share)
        norms = np.sqrt(np.linalg.norm(self.rows[:rank], axis=1))
        safe = np.where(norms > 0, norms, 1.0)
        left = (self.basis[:, :rank] * safe).reshape(self.shape[0], *(1,) * (len(self.shape) - 2), rank)
        right = (self.rows[:rank] / safe[:, None]).reshape(rank, *self.shape[1:])
        return LowRank(Dense(left.astype(np.float32)), Dense(right.astype(np.float32)))


def check_budget(keep: float, by: str) -> None:
    """Raise ValueError for settings that no factorization takes."""
    if not 0 < keep <= 1:
        raise ValueError(f"keep must be above 0 and at most 1, not {keep}")
    if by not in ("energy", "weights"):
        raise ValueError(f"by must be energy or weights, not {by}")


def chosen_share(splits: Collection[Split], keep: float, by: Budget) -> float:
    """The one share of energy for all layers: `keep` itself, or the largest whose factors hold the share
    `keep` of the weights (rank 1 everywhere where none does).
    """
    if by == "energy":
        return keep
    budget = keep * sum(math.prod(split.shape) for split in splits)
    shares = np.unique(np.concatenate([split.reached() for split in splits]))
    # Sizes grow with the share, so the affordable ones come first.
    sizes = [sum(split.size(float(share)) for split in splits) for share in shares]
    return float(shares[max(bisect_right(sizes, budget) - 1, 0)])


def factored(splits: Mapping[str, Split], share: float, step: str, notes: list[str]) -> dict[str, LowRank]:
    """The layers that get smaller, by weight; the notes say which do not."""
    if whole := [name for name, split in splits.items() if not split.pays(share)]:
        notes.append(f"{step}: {', '.join(whole)} stay whole, two factors would be no smaller")
    return {name: split.factors(share) for name, split in splits.items() if split.pays(share)}


def factorable(graph: Graph) -> Iterator[tuple[str, Dense]]:
    """Float weights that only linear layers and ungrouped convolutions use, tied ones once.

    Raises BadInput for one that is not finite.
    """
    for name, weight in graph.weights.items():
        users = graph.users(name)
        if isinstance(weight, Dense) and users and all(_is_plain(node, name) for node in users):
            if not np.isfinite(weight.array).all():
                raise BadInput(name, "it has NaN or infinity", "weights must be finite", "Train again")
            yield name, weight


def has_grids(graph: Graph, step: str, notes: list[str]) -> bool:
    """Whether it is too late to factor: the values between the factors would have no grid. Says so."""
    late = any(value.grid is not None for value in graph.values.values())
    if late:
        notes.append(f"{step}: grids are declared already, put it before quantize; nothing changes")
    return late


def _is_plain(node: Node, weight: str) -> bool:
    only = [role for role, name in node.params.items() if name == weight] == ["weight"]
    return only and node.op in FACTORED and node.attrs.get("groups", 1) == 1
