"""Trained weight sharing: a layer's weights take few values, chosen by clustering and then trained."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from smidgen.formats import Codebook, Format, Sparse
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import calibration_samples, with_activation_grids
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Stage, Step


@dataclass(frozen=True)
class WeightSharing(Step):
    """At most 2^bits values a layer for all its weights, affine grids for activations; BatchNorm is folded.

    k-means over a layer's weights (pruned ones left out) chooses the values; a later `tune.fit` trains them,
    with the members of each fixed. Indices of skewed frequency are what makes the coded file small.
    Ref: Han, Mao, Dally 2016 (arXiv 1510.00149), section 3; values are rounded to int8 here.

    Attributes:
        conv_bits: bits of an index into the values of a convolution, 1..8.
        linear_bits: the same for linear layers (gates of recurrent ones and embeddings too), which are larger
            and bear fewer values.
        iterations: most rounds of k-means, 0 for evenly spaced values.
        activation_bits: 2..8.
        activation_rule: how activation ranges are chosen: minmax, percentile, mse.
        samples: calibration samples, taken from the training split.
    """

    stage: ClassVar[Stage] = Stage.VALUES

    conv_bits: int = 8
    linear_bits: int = 5
    iterations: int = 50
    activation_bits: int = 8
    activation_rule: RangeRule = "minmax"
    samples: int = 256

    def __post_init__(self) -> None:
        for name in ("conv_bits", "linear_bits"):
            if not 1 <= getattr(self, name) <= 8:
                raise ValueError(f"{name} must be 1 to 8, not {getattr(self, name)}")
        if not 2 <= self.activation_bits <= 8:
            raise ValueError(f"activation_bits must be 2 to 8, not {self.activation_bits}")
        if self.iterations < 0 or self.samples < 1:
            raise ValueError("iterations must be 0 or more, samples at least 1")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        samples = calibration_samples(self.name, ctx, self.samples)
        graph = with_activation_grids(
            canonical(graph), samples, self.activation_bits, self.activation_rule, ctx
        )
        shared = self._shared(graph)
        if all(fmt.label == graph.weights[name].label for name, fmt in shared.items()):
            ctx.notes.append(f"{self.name}: no float weights, only the activations are calibrated")
        return graph.with_weights(shared)

    def space(self, graph: Graph) -> Space:
        return {"conv_bits": Choice((3, 4, 5, 6, 8)), "linear_bits": Choice((2, 3, 4, 5, 6))}

    def _shared(self, graph: Graph) -> dict[str, Format]:
        bits = {"conv": self.conv_bits, "linear": self.linear_bits, "embedding": self.linear_bits}
        layers = [node for node in graph.walk() if node.op in bits]
        # Of tied weights the first use decides.
        sizes = {node.params["weight"]: bits[node.op] for node in reversed(layers)}
        return {name: self._share(graph.weights[name], sizes[name]) for name in sizes}

    def _share(self, fmt: Format, bits: int) -> Format:
        members = fmt.mask if isinstance(fmt, Sparse) else None
        return fmt.map_dense(lambda dense: Codebook.fit(dense, bits, self.iterations, members))
