"""Half-precision weights: a float network in half the bytes, without data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.formats import Format, Half
from smidgen.formats.half import HALF_MAX
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import WEIGHTED
from smidgen.methods.space import Space
from smidgen.methods.step import Context, Needs, Stage, Step


@dataclass(frozen=True)
class HalfPrecision(Step):
    """Weights and biases of linear and conv layers in IEEE 754 binary16; BatchNorm is folded first.

    Activations stay float32, so the artifact is `weight_only`: for hosts, where int8 loses too much.
    Magnitudes above 65504 become 65504; a note counts them.
    """

    stage: ClassVar[Stage] = Stage.VALUES
    needs: ClassVar[Needs] = "nothing"

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if any(value.grid is not None for value in graph.values.values()):
            ctx.notes.append(f"{self.name}: the network is quantized to fewer bits already, nothing changes")
            return graph
        graph = canonical(graph)
        saturated = 0

        def halved(dense: npt.NDArray[np.float32]) -> Format:
            nonlocal saturated
            saturated += int((np.abs(dense) > HALF_MAX).sum())
            return Half.fit(dense)

        names = dict.fromkeys(w for n in graph.nodes if n.op in WEIGHTED for w in n.params.values())
        changed = {name: graph.weights[name].map_dense(halved) for name in names}
        if all(fmt.label == graph.weights[name].label for name, fmt in changed.items()):
            ctx.notes.append(f"{self.name}: no float32 weights, nothing changes")
        if saturated:
            ctx.notes.append(f"{self.name}: {saturated} weights beyond {HALF_MAX:.0f} became that")
        return graph.with_weights(changed)

    def space(self, graph: Graph) -> Space:
        return {}
