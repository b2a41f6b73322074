"""Unstructured pruning without data: each layer loses weights while the rest is fitted to made-up inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from smidgen.formats import Dense, Format, Sparse
from smidgen.graph import Graph
from smidgen.methods.layerwise import LayerWise
from smidgen.methods.post_training import WEIGHTED
from smidgen.methods.prune._allocation import GONE, keep_masks
from smidgen.methods.prune.global_magnitude import RANKINGS, cubic
from smidgen.methods.space import Range, Space
from smidgen.methods.step import Context, Stage
from smidgen.probe.generated import Floats, Generated

if TYPE_CHECKING:
    from smidgen.learn.layerwise import LayerFit

UNTIL = 0.75  # share of the updates at which the sparsity is reached


@dataclass(frozen=True)
class DataFreePruning(LayerWise):
    """Zero the share `sparsity` of the weights of each layer; the others keep its function; no data.

    Each layer, BatchNorm folded and channels equalized, is fitted by Adam to what it made of made-up inputs,
    while its smallest weights leave along a cubic schedule (`prune.global_magnitude`); then its bias takes in
    the mean that is still off. All layers get the same sparsity, as nothing but data could compare them.
    Layers whose inputs are of unknown law (recurrences) stay as they are.
    Ref: Horton, Jin, Farhadi, Rastegari 2020 (arXiv 2011.09058).

    Attributes:
        sparsity: share of the weights of a layer that become zero, 0 <= sparsity < 1.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE

    lr: float = 0.01  # what is left has further to go than to the next point of a grid
    sparsity: float = 0.5

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.sparsity < 1:
            raise ValueError(f"sparsity must be at least 0 and below 1, not {self.sparsity}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        equal, generated = self.equalized(graph, ctx)
        starts = self._starts(equal, generated)
        if not starts:
            found = f"no layer of known input has float weights that are less than {self.sparsity:.1%} sparse"
            ctx.notes.append(f"{self.name}: {found}, nothing changes")
            return graph
        return self.with_layers(equal, starts, generated, ctx)

    def space(self, graph: Graph) -> Space:
        return {"sparsity": Range(0.2, 0.8)}

    def fitted(
        self, start: Format, x: Floats, target: Floats, fit: LayerFit, rng: np.random.Generator
    ) -> Format:
        import torch

        from smidgen.formats.twins import SparseTwin
        from smidgen.learn.layerwise import fit_layer

        twin = start.twin()
        assert isinstance(twin, SparseTwin)
        begin, done = 1 - float(twin.mask.float().mean()), 0

        def prune(t: float) -> None:
            nonlocal done
            progress = min(t / UNTIL, 1.0)
            if (due := int(progress * RANKINGS)) > done:
                done = due
                weight, mask = twin.inner.weight().detach().numpy(), twin.mask.numpy()
                sizes = {"": np.where(mask, np.abs(weight), GONE)}
                keep = keep_masks(sizes, cubic(begin, self.sparsity, progress), "uniform", 0.0, self.name)[""]
                twin.mask = torch.from_numpy(keep & mask)

        return fit_layer(twin, x, target, fit, rng, prune)

    def _starts(self, graph: Graph, generated: Generated) -> dict[str, Format]:
        """The layers that are not as sparse yet, with the masks that they have."""
        found: dict[str, Format] = {}
        for node in graph.nodes:
            if node.op in WEIGHTED and node.inputs[0] in generated.known:
                weight = graph.weights[node.params["weight"]]
                sparse = weight if isinstance(weight, Sparse) else Sparse(np.ones(weight.shape, bool), weight)
                lost = round(self.sparsity * sparse.mask.size)
                if isinstance(sparse.inner, Dense) and sparse.mask.size - sparse.mask.sum() < lost:
                    found[node.params["weight"]] = sparse
        return found
