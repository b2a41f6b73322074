"""Ternary weights: +scale, 0 or -scale, one scale a filter or tensor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from smidgen.formats import Format, Ternary
from smidgen.graph import Graph
from smidgen.methods.quantize._few_bits import wide_weights
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class TernaryWeights(Step):
    """w = scale * t, t = sign(w) where |w| > 0.7 * mean |w|, else 0, for linear, conv and recurrent layers.

    Put it before a training, so that latent weights follow the straight-through gradient, and
    `quantize.affine` behind that: it folds BatchNorm into the scales and gives activations and the other
    layers 8 bits. Depthwise filters stay float. Pruned weights keep their zeros.
    Ref: Li, Zhang, Liu 2016 (arXiv 1605.04711), section 2.2; learned scales: Zhu, Han, Mao, Dally 2017
    (arXiv 1612.01064), whose two scales, one for each sign, are one here: integer kernels have one a channel.

    Attributes:
        granularity: one threshold and scale a `channel` (filter) or `tensor`.
        scale: the `mean` of the sizes above the threshold at every step, or `learned` from there.
        first: the first layer becomes ternary as well.
        last: so does the last one.
    """

    stage: ClassVar[Stage] = Stage.WEIGHTS
    needs: ClassVar[Needs] = "nothing"

    granularity: Literal["tensor", "channel"] = "channel"
    scale: Literal["mean", "learned"] = "mean"
    first: bool = False
    last: bool = False

    def __post_init__(self) -> None:
        if self.granularity not in ("tensor", "channel"):
            raise ValueError(f"granularity must be tensor or channel, not {self.granularity}")
        if self.scale not in ("mean", "learned"):
            raise ValueError(f"scale must be mean or learned, not {self.scale}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        weights = {name: graph.weights[name] for name in wide_weights(graph, self.first, self.last)}
        made = {name: fmt.map_dense(self._fit) for name, fmt in weights.items()}
        changed = {name: fmt for name, fmt in made.items() if fmt.label != weights[name].label}
        if not changed:
            ctx.notes.append(f"{self.name}: no float weights among the layers asked for, nothing changes")
        return graph.with_weights(changed)

    def space(self, graph: Graph) -> Space:
        return {
            "granularity": Choice(("channel", "tensor")),
            "scale": Choice(("mean", "learned")),
            "first": Choice((False, True)),
            "last": Choice((False, True)),
        }

    def _fit(self, dense: npt.NDArray[np.float32]) -> Format:
        return replace(Ternary.fit(dense, self.granularity), learned=self.scale == "learned")
