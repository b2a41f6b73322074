"""One layer quantized otherwise than its network: more bits, a scale a channel, another range."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.formats import Affine, Dense, Format, Grid, Half, Sparse
from smidgen.formats.affine import Granularity
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph, Node
from smidgen.lower.grids import declared_grids, fused_activation, grid_owners, with_grids
from smidgen.methods.post_training import calibration_batches, calibration_samples, unrounded
from smidgen.methods.space import Space
from smidgen.methods.step import Context, Needs, Stage, Step
from smidgen.probe.calibration import calibrate

WIDE_BITS = 16
AsIs = Literal[""]


@dataclass(frozen=True)
class LayerQuantization(Step):
    """After the network's quantization: other settings for one layer, from its unrounded weights.

    Needs weights quantized just before (`quantize.affine`, `quantize.weights`, `quantize.mixed`): those read
    from a file are not known unrounded. `smidgen compare` prints the steps that are worth it.

    Attributes:
        layer: name of a node, or of the network's input (activation settings alone).
        bits: of the weight, 2..8, or 16 for half precision where activations stay float; 0: as it is.
        granularity: of the weight's scales, `tensor`, `channel`, `group`; empty: as it is.
        rule: how the weight's ranges are chosen: minmax, percentile, mse; empty: minmax.
        activation_bits: of the layer's output, 2..8, or 16 where integers can (a linear layer, product or sum
            that sums, products, functions, softmax and normalization read, or nothing); 0: as it is.
        activation_rule: how the output's range is chosen; empty: as it is.
        samples: calibration samples for the output's range, taken from the training split.

    Raises (apply):
        BadInput: there is no such layer, it has no weight, or data is needed and missing.
    """

    stage: ClassVar[Stage] = Stage.VALUES
    needs: ClassVar[Needs] = "nothing"

    layer: str = ""
    bits: int = 0
    granularity: Granularity | AsIs = ""
    rule: RangeRule | AsIs = ""
    activation_bits: int = 0
    activation_rule: RangeRule | AsIs = ""
    samples: int = 256

    def __post_init__(self) -> None:
        for name in ("bits", "activation_bits"):
            if getattr(self, name) not in (0, *range(2, 9), WIDE_BITS):
                raise ValueError(f"{name} must be 0, 2 to 8 or 16, not {getattr(self, name)}")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, not {self.samples}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        if not self.layer:
            ctx.notes.append(f"{self.name}: no layer is named, nothing changes")
            return graph
        node = next((node for node in graph.nodes if node.name == self.layer), None)
        if node is None and self.layer not in graph.inputs:
            listed = ", ".join((*graph.inputs, *(n.name for n in graph.nodes)))
            raise BadInput(f"{self.name}: layer", f"there is no {self.layer!r}", f"the network has {listed}")
        changed = graph
        if self.bits or self.granularity or self.rule:
            changed = self._with_weight(changed, node, ctx)
        if self.activation_bits or self.activation_rule:
            changed = self._with_activation(changed, node, ctx)
        if changed is graph:
            ctx.notes.append(f"{self.name}: {self.layer} has these settings already, nothing changes")
        return changed

    def space(self, graph: Graph) -> Space:
        return {}

    def _with_weight(self, graph: Graph, node: Node | None, ctx: Context) -> Graph:
        name = "" if node is None else node.params.get("weight", "")
        if not name:
            raise BadInput(f"{self.name}: layer", f"{self.layer} has no weight", "it can't be quantized")
        old = graph.weights[name]
        affine = affine_of(old)
        if affine is None:
            found = f"the weight of {self.layer} is {old.label}, which is on no affine grid; nothing changes"
            ctx.notes.append(f"{self.name}: {found}")
            return graph
        fitted = self._fit(affine, unrounded(old))
        new = Sparse(old.mask, fitted) if isinstance(old, Sparse) else fitted
        same = new.label == old.label and np.array_equal(new.decode(), old.decode())
        return graph if same else graph.with_weights({name: new})

    def _fit(self, old: Affine, dense: npt.NDArray[np.float32]) -> Format:
        if self.bits == WIDE_BITS:
            return Half.fit(dense)
        granularity = self.granularity or granularity_of(old)
        symmetric = old.zero is None or granularity == "group"
        size = {"group_size": old.group_size} if old.group_size else {}
        return Affine.fit(dense, self.bits or old.bits, granularity, symmetric, self.rule or "minmax", **size)

    def _with_activation(self, graph: Graph, node: Node | None, ctx: Context) -> Graph:
        owner = grid_owner(graph, node, self.layer)
        old = declared_grids(graph).get(owner)
        if old is None:
            ctx.notes.append(f"{self.name}: the output of {self.layer} has no grid, nothing changes")
            return graph
        samples = calibration_samples(self.name, ctx, self.samples)
        batches = (batch.x for batch in calibration_batches(graph, samples, ctx))
        bits = self.activation_bits or old.bits
        new = calibrated_grid(graph, owner, batches, bits, self.activation_rule or "minmax", ctx.seed)
        return graph if new == old else with_grids(graph, {**declared_grids(graph), owner: new})


def affine_of(weight: Format | None) -> Affine | None:
    """The affine values of a weight, those of a pruned one too."""
    values = weight.inner if isinstance(weight, Sparse) else weight
    return values if isinstance(values, Affine) else None


def granularity_of(weight: Affine) -> Granularity:
    """The granularity of a weight's scales."""
    if weight.group_size:
        return "group"
    return "channel" if weight.scale.size > 1 or weight.shape[0] == 1 else "tensor"


def grid_owner(graph: Graph, node: Node | None, name: str) -> str:
    """The value whose grid the layer's output has (the input `name` without a node)."""
    if node is None:
        return grid_owners(graph).get(name, name)
    out = (fused_activation(graph, node) or node).output
    return grid_owners(graph).get(out, out)


def calibrated_grid(
    graph: Graph,
    owner: str,
    batches: Iterable[npt.NDArray[np.float32]],
    bits: int,
    rule: RangeRule,
    seed: int,
) -> Grid:
    """The grid of `owner` by what the network with unrounded weights computes; 16 bits cover all of it."""
    floats = {n: Dense(unrounded(w)) for n, w in graph.weights.items() if w.integers() is not None}
    real = graph.with_weights(floats)
    if owner in graph.values:  # what comes behind it need not run
        real = replace(real, outputs=(owner,)).pruned()
    if bits < WIDE_BITS:
        return calibrate(real, batches, bits, rule, seed).get(owner) or declared_grids(graph)[owner]
    seen = calibrate(real, batches, 8, "minmax", seed).get(owner) or declared_grids(graph)[owner]
    return seen.widened()
