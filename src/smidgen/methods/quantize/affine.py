"""Uniform quantization of weights and activations, after training or as the start of training."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Format
from smidgen.formats.affine import Granularity
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.calibrated import with_calibrated_grids
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
        graph = with_calibrated_grids(
            canonical(graph), ctx, self.name, self.activation_bits, self.activation_rule, self.samples
        )
        return graph.with_weights(self._quantized(graph))

    def space(self, graph: Graph) -> Space:
        return {
            "bits": Choice((2, 3, 4, 5, 6, 8)),
            "granularity": Choice(("channel", "group")),
            "rule": Choice(("minmax", "mse")),
            "first_last_bits": Choice((0, 8)),
        }

    def _quantized(self, graph: Graph) -> dict[str, Format]:
        layers = [node for node in graph.nodes if node.op in ("linear", "conv")]
        names = list(dict.fromkeys(node.params["weight"] for node in layers))
        ends = {names[0], names[-1]} if self.first_last_bits and names else set()
        return {
            name: graph.weights[name].map_dense(
                self._fit(self.first_last_bits if name in ends else self.bits)
            )
            for name in names
        }

    def _fit(self, bits: int) -> Callable[[npt.NDArray[np.float32]], Format]:
        return lambda dense: Affine.fit(
            dense, bits, self.granularity, self.symmetric, self.rule, self.group_size
        )
