"""Alpha-blending: quantized weights take the place of float ones bit by bit, without a false gradient."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Binary, Dense, Format
from smidgen.graph import Graph
from smidgen.learn.hooks import Hook
from smidgen.methods.quantize._few_bits import wide_weights
from smidgen.methods.space import Choice, Range, Space
from smidgen.methods.step import Context, Stage, Step


@dataclass(frozen=True)
class AlphaBlend(Step):
    """The next `tune.fit` runs on (1 - alpha) w + alpha q(w). q(w) gets no gradient, so that of w is
    1 - alpha times that of the blend.

    q(w) is scale * sign(w), scale the mean |w|, at 1 bit, else scale * clip(round(w / scale)) on a symmetric
    grid a channel; scales follow w by least squares. alpha is 0 before `start`, then
    1 - ((until - t) / (until - start))^3, and 1 from `until` on: from there q(w) is fixed, and BatchNorm,
    biases and the layers left in float go on alone.

    Only weights are blended. Activations stay float until `quantize.affine`; put it behind the training,
    where it folds BatchNorm into the scales and calibrates 8 bits. Before it, BatchNorm would be folded at
    once (such layers are then trained as their format says, not blended) and activations rounded from the
    first update, with the straight-through estimate.
    Ref: Liu, Mattina 2019 (arXiv 1903.01061).

    Attributes:
        bits: of a weight, 1..8.
        start: share of the training at which blending begins, 0 <= start < until.
        until: share at which it is complete, until < 1: what is kept was trained as it is.
        first: the first layer is quantized as well.
        last: so is the last one.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS

    bits: int = 2
    start: float = 0.2
    until: float = 0.8
    first: bool = False
    last: bool = False

    def __post_init__(self) -> None:
        if not 1 <= self.bits <= 8:
            raise ValueError(f"bits must be 1 to 8, not {self.bits}")
        if not 0 <= self.start < self.until < 1:
            raise ValueError(f"0 <= start < until < 1 must hold, not start {self.start}, until {self.until}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        names = wide_weights(graph, self.first, self.last)
        floats = {name: fmt.array for name in names if isinstance(fmt := graph.weights[name], Dense)}
        if not floats:
            ctx.notes.append(f"{self.name}: no float weights among the layers asked for, nothing changes")
            return graph
        changed = graph.with_weights({name: self.fitted(array) for name, array in floats.items()})
        return replace(changed, pending=(*graph.pending, self))

    def space(self, graph: Graph) -> Space:
        return {
            "bits": Choice((1, 2, 3, 4)),
            "start": Range(0.0, 0.4),
            "first": Choice((False, True)),
            "last": Choice((False, True)),
        }

    def hooks(self, ctx: Context) -> tuple[Hook, ...]:
        from smidgen.methods.quantize._blending import BlendedWeights

        return (BlendedWeights(self.fitted, self.blends, self.alpha_at),)

    def fitted(self, dense: npt.NDArray[np.float32]) -> Format:
        """`dense` on the grid of so many bits, which it is the latent of."""
        return Binary.fit(dense) if self.bits == 1 else Affine.fit(dense, self.bits, rule="mse")

    def blends(self, fmt: Format) -> bool:
        """True for weights on such a grid whose latents are known: not folded ones, nor those of a file."""
        if isinstance(fmt, Affine):
            symmetric = fmt.zero is None and fmt.multiples is None
            return fmt.bits == self.bits and symmetric and fmt.float_latent is not None
        return self.bits == 1 and isinstance(fmt, Binary) and not fmt.powers and fmt.float_latent is not None

    def alpha_at(self, t: float) -> float:
        """The share of q(w) when `t` (0..1) of the training is done."""
        if t < self.start:
            return 0.0
        if t >= self.until:
            return 1.0
        return float(1 - ((self.until - t) / (self.until - self.start)) ** 3)
