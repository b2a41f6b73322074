"""Softmax, normalization and activation functions in integers: which functions, of how many bits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar, Literal

from smidgen.formats import Grid
from smidgen.graph import Graph, Node
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import declared_grids, fused_activation, grid_owners, with_grids
from smidgen.lower.nonlinear import GROUP_LIMITS, group_size
from smidgen.lower.widths import WIDE_READERS
from smidgen.methods.post_training import calibration_batches, calibration_samples
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Stage, Step
from smidgen.probe.calibration import calibrate

SUMS = frozenset({"add", "sub"})
MAKERS = SUMS | {"linear", "mul", "matmul"}  # of 16 bits, from 8
REPLACED: Mapping[str, Mapping[str, str]] = {
    "exact": {},
    "polynomial": {"gelu": "gelu_polynomial"},
    "hard": {"silu": "hardswish", "sigmoid": "hardsigmoid"},
}


@dataclass(frozen=True)
class NonlinearQuantization(Step):
    """With `quantize.affine`: 16 bits where softmax and normalization read, and cheaper functions on request.

    Integers need no step for either: scores of 8 bits index a table of exponentials, moments of 8 bits are
    exact sums. What 8 bits lose is lost in front: the sum of a residual branch ranges wider than its parts,
    and a step of a score is a factor of a weight. So the sums that a normalization reads, the layers and sums
    that only they read, and products that a softmax reads get 16 bits, where kernels make such.

    Polynomials are those of I-BERT. A table holds any function of 8 bits, and 256 parts of one power of two
    serve 16: polynomials save nothing here and cost accuracy. They are for comparing, with hardware that
    computes them. Functions inside of recurrences stay.
    Ref: Kim et al. 2021 (I-BERT, arXiv 2101.01321), sections 3.4 to 3.6; hard functions: Howard et al. 2019
    (arXiv 1905.02244), section 5.2.

    Attributes:
        normalize_bits: of what a normalization reads, 8 or 16.
        softmax_bits: of what a softmax reads, 8 or 16.
        exponential: of softmax, `exact` or `polynomial` (within 0.0021).
        activations: `exact`; `polynomial`: gelu (within 0.018); `hard`: silu as hardswish, sigmoid as
            hardsigmoid. Other functions stay as they are.
        samples: calibration samples for the ranges of 16 bits, taken from the training split.

    Raises (apply):
        BadInput: data is needed and missing.
    """

    stage: ClassVar[Stage] = Stage.STRUCTURE

    normalize_bits: Literal[8, 16] = 16
    softmax_bits: Literal[8, 16] = 16
    exponential: Literal["exact", "polynomial"] = "exact"
    activations: Literal["exact", "polynomial", "hard"] = "exact"
    samples: int = 256

    def __post_init__(self) -> None:
        for name in ("normalize_bits", "softmax_bits"):
            if getattr(self, name) not in (8, 16):
                raise ValueError(f"{name} must be 8 or 16, not {getattr(self, name)}")
        if self.samples < 1:
            raise ValueError(f"samples must be at least 1, not {self.samples}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        folded = canonical(graph)
        changed = replace(folded, nodes=tuple(self._function(node) for node in folded.nodes))
        wide = self._wide_owners(changed)
        old = declared_grids(changed)
        if missing := [owner for owner in wide if owner not in old or old[owner].bits <= 8]:
            changed = with_grids(changed, {**old, **self._calibrated(changed, missing, ctx)})
        elif changed.nodes == folded.nodes:
            ctx.notes.append(f"{self.name}: {self._idle(wide)}, nothing changes")
            return graph
        return changed

    def space(self, graph: Graph) -> Space:
        return {
            "normalize_bits": Choice((8, 16)),
            "softmax_bits": Choice((8, 16)),
            "activations": Choice(("exact", "hard")),
        }

    def _function(self, node: Node) -> Node:
        """The node with the functions that were asked for."""
        if node.op == "softmax" and node.attrs.get("exponential", "exact") != self.exponential:
            return replace(node, attrs={**node.attrs, "exponential": self.exponential})
        return replace(node, op=REPLACED[self.activations].get(node.op, node.op))

    def _wide_owners(self, graph: Graph) -> list[str]:
        """The owners of the grids that get 16 bits: what is asked for, and the terms of such sums."""
        bits = {"normalize": self.normalize_bits, "softmax": self.softmax_bits}
        owners = grid_owners(graph)
        found: list[str] = []
        for node in reversed(graph.nodes):
            (out,) = node.outputs[:1]
            readers = graph.consumers(out)
            asked = any(bits.get(reader.op) == 16 for reader in readers)
            term = bool(readers) and all(r.op in SUMS and r.output in found for r in readers)
            if (asked or term) and owners.get(out) == out and _can_be_wide(graph, node):
                found.append(out)
        return found[::-1]

    def _calibrated(self, graph: Graph, owners: list[str], ctx: Context) -> dict[str, Grid]:
        samples = calibration_samples(self.name, ctx, self.samples)
        batches = (batch.x for batch in calibration_batches(graph, samples, ctx))
        seen = calibrate(graph, batches, 8, "minmax", ctx.seed)
        return {owner: seen[owner].widened() for owner in owners}

    def _idle(self, wide: list[str]) -> str:
        if wide:
            return "all of it has 16 bits already"
        return "there is no softmax or normalization behind a layer, sum or product, nor another function"


def _can_be_wide(graph: Graph, node: Node) -> bool:
    """Whether kernels make 16 bits of the node's output and take them wherever it is read."""
    if node.output in graph.outputs or node.op not in MAKERS or fused_activation(graph, node):
        return False
    return all(_reads_wide(graph, reader) for reader in graph.consumers(node.output))


def _reads_wide(graph: Graph, node: Node) -> bool:
    """Whether the node's kernels read 16 bits: those that normalize too many values at once do not."""
    if node.op == "normalize":
        return group_size(graph.values[node.inputs[0]], node) <= GROUP_LIMITS["int16"]
    return node.op in WIDE_READERS
