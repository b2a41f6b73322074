"""Structured pruning: whole channels leave the network, which becomes physically smaller."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from smidgen.graph import Graph
from smidgen.graph.coupling import ChannelGroup, Unit, channel_groups, remove
from smidgen.graph.scan import SCANS
from smidgen.graph.structured import expand_structured
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Needs, Stage, Step
from smidgen.numerics import FloatArray

Importance = Literal["l1", "l2", "batch_norm"]


@dataclass(frozen=True)
class Channels(Step):
    """Remove the least important channels, with all that writes or reads them.

    Importance of a channel: the l1 or l2 norm of the filters that make it (Li et al. 2017, arXiv 1608.08710),
    divided by its layer's mean so that layers compare; or |gamma| of its BatchNorm, which compares as it is
    (Liu et al. 2017, arXiv 1708.06519). Channels that residual additions, grouped convolutions or tied
    weights couple are one channel here; so is a hidden unit of a recurrent layer, in all its gates.

    Attributes:
        ratio: share of the channels to remove, 0..1.
        importance: `l1`, `l2`, or `batch_norm` (channels without BatchNorm then stay).
        scope: `uniform` removes the share from every layer, `global` ranks all channels together.
        layer_cap: the share of one layer's channels that may leave, 0..1; one always stays.
        round_to: a layer that loses channels keeps a multiple of this many, at least 1.
    """

    stage: ClassVar[Stage] = Stage.SHAPE
    needs: ClassVar[Needs] = "nothing"

    ratio: float = 0.25
    importance: Importance = "l2"
    scope: Literal["uniform", "global"] = "uniform"
    layer_cap: float = 0.9
    round_to: int = 1

    def __post_init__(self) -> None:
        for name in ("ratio", "layer_cap"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1, not {getattr(self, name)}")
        if self.importance not in ("l1", "l2", "batch_norm"):
            raise ValueError(f"importance must be l1, l2 or batch_norm, not {self.importance}")
        if self.scope not in ("uniform", "global"):
            raise ValueError(f"scope must be uniform or global, not {self.scope}")
        if type(self.round_to) is not int or self.round_to < 1:
            raise ValueError(f"round_to must be a whole number of at least 1, not {self.round_to}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        graph = expand_structured(graph)
        groups = channel_groups(graph)
        scored = [(g, scores) for g in groups if (scores := scores_of(graph, g, self.importance)) is not None]
        cut = tuple(self._cut(scored))
        if not cut:
            ctx.notes.append(f"{self.name}: {self._reason(len(groups), len(scored))}, nothing changes")
        return remove(graph, cut)

    def space(self, graph: Graph) -> Space:
        return {"ratio": Range(0.1, 0.8), "scope": Choice(("uniform", "global"))}

    def _cut(self, scored: Sequence[tuple[ChannelGroup, FloatArray]]) -> Iterator[Unit]:
        """The least important units, as many as each group may lose; of equals the first ones."""
        counts = self._counts([scores for _, scores in scored])
        for (group, scores), count in zip(scored, counts, strict=True):
            yield from (
                group.units[i] for i in np.argsort(scores, kind="stable")[: self._rounded(len(scores), count)]
            )

    def _counts(self, scores: Sequence[FloatArray]) -> list[int]:
        """How many units each group should lose, at most its cap."""
        caps = [min(len(s) - 1, _share(self.layer_cap, len(s))) for s in scores]
        if self.scope == "uniform":
            return [min(_share(self.ratio, len(s)), cap) for s, cap in zip(scores, caps, strict=True)]
        left = _share(self.ratio, sum(map(len, scores)))
        counts = [0] * len(scores)
        for _, group in sorted((float(score), group) for group, s in enumerate(scores) for score in s):
            if left and counts[group] < caps[group]:
                counts[group], left = counts[group] + 1, left - 1
        return counts

    def _rounded(self, size: int, count: int) -> int:
        """`count` lowered until a multiple of `round_to` stays."""
        kept = math.ceil((size - count) / self.round_to) * self.round_to
        return max(size - kept, 0)

    def _reason(self, groups: int, scored: int) -> str:
        if not groups:
            return "every channel is needed whole by the network's inputs, outputs or operators"
        if not scored:
            return "no removable channel has a BatchNorm"
        limits = f"ratio {self.ratio:g}, layer_cap {self.layer_cap:g} and round_to {self.round_to}"
        return f"{limits} leave less than one channel to remove in each layer"


def _share(ratio: float, count: int) -> int:
    """Whole channels in a share; 0.29 of 100 is 29 although the product is 28.999..."""
    return math.floor(ratio * count + 1e-9)


def scores_of(graph: Graph, group: ChannelGroup, importance: Importance) -> FloatArray | None:
    """Importance [units] of a group's units; None where nothing carries the asked one."""
    made_along = _axes_that_make(graph, "gamma" if importance == "batch_norm" else "weight")
    rows = [
        [
            np.take(graph.weights[part.weight].decode(), part.indices, part.axis).astype(np.float64).ravel()
            for part in unit.slices
            if made_along.get(part.weight) == part.axis
        ]
        for unit in group.units
    ]
    if not rows[0]:
        return None
    values = [np.abs(np.concatenate(parts)) for parts in rows]
    if importance == "batch_norm":
        return np.array([v.mean() for v in values])
    norms = np.array([v.sum() if importance == "l1" else math.sqrt(np.square(v).sum()) for v in values])
    return norms / (norms.mean() or 1.0)


def _axes_that_make(graph: Graph, role: str) -> dict[str, int]:
    """Weight of that role -> the axis of the channels that it makes."""
    return {
        node.params[role]: 1 if node.op == "embedding" else 0
        for node in graph.walk()
        if role in node.params and node.op not in SCANS
    }
