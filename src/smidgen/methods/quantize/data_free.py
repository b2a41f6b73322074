"""Quantization without data: layers fitted on made-up inputs, ranges of activations out of BatchNorm."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from smidgen.formats import Affine, Format, Grid, Sparse
from smidgen.formats.affine import Granularity
from smidgen.graph import Graph
from smidgen.lower.grids import declared_grids, fixed_grids, grid_owners, wide_owners, with_grids
from smidgen.methods.layerwise import LayerWise
from smidgen.methods.post_training import weight_names
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Stage
from smidgen.probe.generated import Floats, Generated

if TYPE_CHECKING:
    from smidgen.learn.layerwise import LayerFit


@dataclass(frozen=True)
class DataFreeQuantization(LayerWise):
    """Weights of few bits that make of made-up inputs what the unrounded ones do; no data is looked at.

    Each layer, BatchNorm folded and channels equalized, starts from the range of least squared error; then
    Adam moves weights and scales (straight-through), and the mean that is still off goes into the bias.
    Activations take the range beta - k |gamma| to beta + k |gamma|, passed through the activation.
    Weights that other steps have quantized and grids that are declared stay. What no law is known for, a
    recurrence above all, gets rounded weights and real activations; a `quantize.affine` behind it, which
    has data, gives those grids.
    Ref: Horton, Jin, Farhadi, Rastegari 2020 (arXiv 2011.09058); ranges as in Nagel et al. 2019 (arXiv
    1906.04721), section 4.3.

    Attributes:
        bits: of weights, 2..8.
        granularity: one scale per `tensor`, `channel`, or `group` of 32 weights.
        activation_bits: 2..8.
        deviations: k, above 0.
    """

    stage: ClassVar[Stage] = Stage.VALUES

    bits: int = 8
    granularity: Granularity = "channel"
    activation_bits: int = 8
    deviations: float = 6.0

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("bits", "activation_bits"):
            if not 2 <= getattr(self, name) <= 8:
                raise ValueError(f"{name} must be 2 to 8, not {getattr(self, name)}")
        if not self.deviations > 0:
            raise ValueError(f"deviations must be above 0, not {self.deviations}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        equal, generated = self.equalized(graph, ctx)
        starts = {
            n: new for n in weight_names(equal) if (new := self._start(old := equal.weights[n])) is not old
        }
        grids = self._grids(equal, generated)
        if not starts and not grids:
            ctx.notes.append(f"{self.name}: weights and activations are on grids already, nothing changes")
            return graph
        bare = (
            set(grid_owners(equal).values())
            - set(grids)
            - set(declared_grids(equal))
            - set(fixed_grids(equal))
        )
        if bare:
            ctx.notes.append(
                f"{self.name}: {len(bare)} activations have no known range and stay real numbers"
            )
        return with_grids(self.with_layers(equal, starts, generated, ctx), grids)

    def space(self, graph: Graph) -> Space:
        return {
            "bits": Choice((2, 3, 4, 5, 6, 8)),
            "granularity": Choice(("channel", "group")),
        }

    def fitted(
        self, start: Format, x: Floats, target: Floats, fit: LayerFit, rng: np.random.Generator
    ) -> Format:
        """The better of `start` and what training makes of it."""
        from smidgen.learn.layerwise import fit_layer

        found = fit_layer(start.twin(), x, target, fit, rng)
        errors = [_error(weight, x, target) for weight in (start, found)]
        return _settled(found) if errors[1] < errors[0] else start

    def _start(self, weight: Format) -> Format:
        started = weight.map_dense(lambda dense: Affine.fit(dense, self.bits, self.granularity, rule="mse"))
        return weight if started is weight else started

    def _grids(self, graph: Graph, generated: Generated) -> dict[str, Grid]:
        """The missing grids, by owner."""
        there = {*declared_grids(graph), *fixed_grids(graph), *wide_owners(graph)}
        missing = [o for o in dict.fromkeys(grid_owners(graph).values()) if o not in there]
        return {
            owner: Grid.from_range(*generated.reach(owner, self.deviations), self.activation_bits)
            for owner in missing
            if owner in generated.known
        }


def _error(weight: Format, x: Floats, target: Floats) -> float:
    rows = weight.decode().reshape(len(x), target.shape[-1], -1).transpose(0, 2, 1)
    return float(np.square(x @ rows - target).mean())


def _settled(weight: Format) -> Format:
    """Without the weights that training moved: they are not what the network computed before rounding."""
    if isinstance(weight, Sparse):
        return replace(weight, inner=_settled(weight.inner))
    return replace(weight, float_latent=None) if isinstance(weight, Affine) else weight
