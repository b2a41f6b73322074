"""Unstructured pruning: the smallest weights of the whole network become zero."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.formats import Format, Sparse
from smidgen.graph import Graph
from smidgen.graph.structured import expand_structured
from smidgen.learn.hooks import FitState, Hook
from smidgen.methods.prune._allocation import GONE, Magnitudes, Mask, Scope, keep_masks
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Needs, Stage, Step

if TYPE_CHECKING:
    from smidgen.formats.twins import SparseTwin

RANKINGS = 50  # how often a gradual schedule raises the sparsity


@dataclass(frozen=True)
class GlobalMagnitude(Step):
    """Zero the smallest |w| of all conv and linear weights together, by one threshold for the network.

    The gates of recurrent layers are linear layers too, each weight of its own.

    A minimum per layer (MT in the paper, an absolute count) keeps thin layers from vanishing: what they may
    not lose, the other layers lose in proportion to their sparsity, so that the total stays exact.
    Ref: Gupta et al. 2022 (arXiv 2209.14624). The gradual schedule is cubic,
    s_t = s_f + (s_i - s_f) (1 - t / until)^3: Zhu, Gupta 2017 (arXiv 1710.01878), eq. 1; weights are ranked
    anew each time, pruned ones do not come back.

    Attributes:
        sparsity: share of the weights that become zero, 0 <= sparsity < 1.
        minimum_percent: MT, the count that every layer keeps, in percent of all weights, 0..100.
        schedule: `one_shot` now, or `gradual` during the next `tune.fit`.
        until: share of that training at which `sparsity` is reached, 0 < until <= 1.
        scope: `global`, or `uniform`: the same sparsity in every layer, for comparison.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE
    needs: ClassVar[Needs] = "nothing"

    sparsity: float = 0.8
    minimum_percent: float = 0.0
    schedule: Literal["one_shot", "gradual"] = "one_shot"
    until: float = 0.75
    scope: Scope = "global"

    def __post_init__(self) -> None:
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity must be at least 0 and below 1, not {self.sparsity}")
        if not 0 <= self.minimum_percent <= 100:
            raise ValueError(f"minimum_percent must be 0 to 100, not {self.minimum_percent}")
        if not 0 < self.until <= 1:
            raise ValueError(f"until must be above 0 and at most 1, not {self.until}")
        if self.schedule not in ("one_shot", "gradual"):
            raise ValueError(f"schedule must be one_shot or gradual, not {self.schedule}")
        if self.scope not in ("global", "uniform"):
            raise ValueError(f"scope must be global or uniform, not {self.scope}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        graph = expand_structured(graph)
        before = {name: _as_sparse(name, graph.weights[name]) for name in prunable(graph)}
        if not before:
            ctx.notes.append(f"{self.name}: no conv or linear layer holds float weights, nothing changes")
            return graph
        keep = self.masks({n: _magnitudes(fmt.latent, fmt.mask) for n, fmt in before.items()}, self.sparsity)
        if all((keep[name] | ~fmt.mask).all() for name, fmt in before.items()):
            found = sparsity_of(before.values())
            ctx.notes.append(f"{self.name}: {found:.1%} of the weights are pruned already, nothing changes")
            return graph
        if self.schedule == "gradual":
            return replace(graph.with_weights(before), pending=(*graph.pending, self))
        return graph.with_weights(
            {name: replace(fmt, mask=fmt.mask & keep[name]) for name, fmt in before.items()}
        )

    def space(self, graph: Graph) -> Space:
        return {
            "sparsity": Range(0.3, 0.98),
            "minimum_percent": Choice((0.0, 0.02, 0.1)),
            "schedule": Choice(("one_shot", "gradual")),
        }

    def hooks(self, ctx: Context) -> tuple[Hook, ...]:
        return (GradualPruning(self),)

    def masks(self, magnitudes: Magnitudes, sparsity: float) -> dict[str, Mask]:
        """What to keep of each layer. Raises BadInput if the minimum per layer does not allow `sparsity`."""
        return keep_masks(magnitudes, sparsity, self.scope, self.minimum_percent, self.name)


class GradualPruning(Hook):
    """Raises the sparsity of a training's sparse weights along the cubic schedule, then holds the masks."""

    def __init__(self, step: GlobalMagnitude) -> None:
        self.step = step

    def on_fit_start(self, state: FitState) -> None:
        masks = [twin.mask for twin in _sparse_twins(state).values()]
        self.start = 1 - sum(int(m.sum()) for m in masks) / max(sum(m.numel() for m in masks), 1)
        self.rankings = 0

    def on_step(self, state: FitState) -> None:
        progress = min(state.t / self.step.until, 1.0)
        if (due := int(progress * RANKINGS)) > self.rankings:
            self.rankings = due
            self._prune(state, cubic(self.start, self.step.sparsity, progress))

    def on_fit_end(self, state: FitState) -> None:
        """Early stopping may have ended the schedule, or brought back weights from before its end."""
        self._prune(state, self.step.sparsity)

    def _prune(self, state: FitState, sparsity: float) -> None:
        import torch

        twins = _sparse_twins(state)
        found = {name: _magnitudes(_latent(twin), twin.mask.cpu().numpy()) for name, twin in twins.items()}
        for name, keep in self.step.masks(found, sparsity).items():
            twins[name].mask.logical_and_(torch.from_numpy(keep).to(twins[name].mask.device))


def cubic(start: float, end: float, progress: float) -> float:
    """Sparsity at `progress` (0..1) of the schedule: steep first, while many weights are redundant."""
    return end + (start - end) * (1 - progress) ** 3


def prunable(graph: Graph) -> tuple[str, ...]:
    """Names of the weights of conv and linear layers, those inside scans included, tied ones once."""
    return tuple(dict.fromkeys(n.params["weight"] for n in graph.walk() if n.op in ("conv", "linear")))


def sparsity_of(weights: Collection[Sparse]) -> float:
    """Share of masked weights."""
    return 1 - sum(int(fmt.mask.sum()) for fmt in weights) / max(sum(fmt.mask.size for fmt in weights), 1)


def _as_sparse(name: str, fmt: Format) -> Sparse:
    if isinstance(fmt, Sparse):
        return fmt
    if not any(leaf.name == "symbols" and leaf.symbols.size == np.prod(fmt.shape) for leaf in fmt.leaves()):
        expected = "single weights can be masked only where each has a symbol of its own"
        raise BadInput(name, f"the weight is stored as {fmt.label}", expected, "Drop one of the two steps")
    return Sparse(np.ones(fmt.shape, dtype=bool), fmt)


def _magnitudes(latent: npt.NDArray[np.float32], mask: Mask) -> npt.NDArray[np.float32]:
    return np.where(mask, np.abs(latent), GONE)


def _sparse_twins(state: FitState) -> dict[str, SparseTwin]:
    from smidgen.formats.twins import SparseTwin

    twins = ((name, state.twin.weights[name]) for name in prunable(state.twin.graph))
    return {name: twin for name, twin in twins if isinstance(twin, SparseTwin)}


def _latent(twin: SparseTwin) -> npt.NDArray[np.float32]:
    """The unrounded weights; the rounded ones where a format trains something else."""
    found = getattr(twin.inner, "latent", None)
    weights: npt.NDArray[np.float32] = (
        (twin.inner.weight() if found is None else found).detach().cpu().numpy()
    )
    return weights
