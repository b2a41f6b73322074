"""Uniform quantization of weights and activations, after training or as the start of training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Format
from smidgen.formats.affine import Granularity
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import (
    calibration_samples,
    quantized_weights,
    weight_names,
    with_activation_grids,
)
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Stage, Step


@dataclass(frozen=True)
class AffineQuantization(Step):
    """Weights and activations on affine grids; BatchNorm is folded first.

    Without a later `tune.fit` this is post-training quantization; with one, quantization-aware training
    from the unrounded weights (S4: weights symmetric, activations asymmetric).
    Ref: Jacob et al. 2018 (arXiv 1712.05877).

    Attributes:
        bits: weight bits, 2..8.
        granularity: one weight scale per `tensor`, `channel`, or `group` of `group_size` weights.
        symmetric: weight grids without a zero point.
        rule: how weight ranges are chosen: minmax, percentile, mse.
        activation_bits: 2..8.
        activation_rule: how activation ranges are chosen.
        first_last_bits: weight bits of the first and last weighted layer (0: like the others).
        samples: calibration samples, taken from the training split.
    """

    stage: ClassVar[Stage] = Stage.VALUES

    bits: int = 8
    granularity: Granularity = "channel"
    symmetric: bool = True
    rule: RangeRule = "minmax"
    group_size: int = 32
    activation_bits: int = 8
    activation_rule: RangeRule = "minmax"
    first_last_bits: int = 0
    samples: int = 256

    def __post_init__(self) -> None:
        for name in ("bits", "activation_bits"):
            if not 2 <= getattr(self, name) <= 8:
                raise ValueError(f"{name} must be 2 to 8, not {getattr(self, name)}")
        if self.first_last_bits and not 2 <= self.first_last_bits <= 8:
            raise ValueError(f"first_last_bits must be 0 or 2 to 8, not {self.first_last_bits}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        samples = calibration_samples(self.name, ctx, self.samples)
        graph = canonical(graph)
        gridded = with_activation_grids(graph, samples, self.activation_bits, self.activation_rule, ctx)
        names = weight_names(graph)
        if kept := [name for name in names if graph.weights[name].integers() is not None]:
            ctx.notes.append(
                f"{self.name}: {len(kept)} of {len(names)} weights are integers already and stay"
            )
        return gridded.with_weights(self._quantized(graph))

    def space(self, graph: Graph) -> Space:
        return {
            "bits": Choice((2, 3, 4, 5, 6, 8)),
            "granularity": Choice(("channel", "group")),
            "rule": Choice(("minmax", "mse")),
            "first_last_bits": Choice((0, 8)),
        }

    def _quantized(self, graph: Graph) -> dict[str, Format]:
        names = weight_names(graph)
        ends = {names[0], names[-1]} if self.first_last_bits and names else set()
        bits = {name: self.first_last_bits if name in ends else self.bits for name in names}
        return quantized_weights(graph, bits, self._fit)

    def _fit(self, dense: npt.NDArray[np.float32], bits: int) -> Format:
        return Affine.fit(dense, bits, self.granularity, self.symmetric, self.rule, self.group_size)
