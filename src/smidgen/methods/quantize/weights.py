"""Weights on integer grids, activations left in float: the quantization that needs no data."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Dense, Format, Half
from smidgen.formats.affine import Granularity
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.post_training import quantized_weights, weight_names
from smidgen.methods.space import Choice, Space
from smidgen.methods.step import Context, Needs, Stage, Step

CONSTANT_BITS = 8
SMALL = 64  # entries, below which a scale of its own would cost what rounding saves


@dataclass(frozen=True)
class WeightQuantization(Step):
    """w = scale * q, q an integer of `bits` bits, for conv and linear layers; BatchNorm is folded first.

    Tensors that are the same for every sample (tables of positions) get 8 bits, biases half precision.
    The file shrinks, the arithmetic stays float32 on decoded weights: a `weight_only` artifact, for hosts.
    With data, `quantize.affine` calibrates activations as well and makes the whole network integers.
    Ref: Jacob et al. 2018 (arXiv 1712.05877), section 2.1, for weights alone.

    Attributes:
        bits: 2..8.
        granularity: one scale per `tensor`, `channel`, or `group` of `group_size` weights.
        rule: how ranges are chosen: minmax, percentile, mse.
        group_size: weights that share a scale, where the granularity is `group`.
        depthwise_bits: of convolutions whose filters see one channel each (0: like the others). They hold few
            weights, and no sum over channels averages their rounding.
    """

    stage: ClassVar[Stage] = Stage.VALUES
    needs: ClassVar[Needs] = "nothing"

    bits: int = 8
    granularity: Granularity = "channel"
    rule: RangeRule = "minmax"
    group_size: int = 32
    depthwise_bits: int = 0

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise ValueError(f"bits must be 2 to 8, not {self.bits}")
        if self.depthwise_bits and not 2 <= self.depthwise_bits <= 8:
            raise ValueError(f"depthwise_bits must be 0 or 2 to 8, not {self.depthwise_bits}")

    def apply(self, graph: Graph, ctx: Context) -> Graph:
        folded = canonical(graph)
        names = [name for name in weight_names(folded) if folded.weights[name].integers() is None]
        constants = _constants(folded)
        if not names and not constants:
            ctx.notes.append(f"{self.name}: no layer holds float weights, nothing changes")
            return graph
        bits = {name: self._bits_of(folded.weights[name].shape) for name in names}
        tables = quantized_weights(folded, dict.fromkeys(constants, CONSTANT_BITS), self._fit)
        biases = {name: Half.fit(folded.weights[name].decode()) for name in _biases(folded, names)}
        return folded.with_weights({**tables, **biases, **quantized_weights(folded, bits, self._fit)})

    def space(self, graph: Graph) -> Space:
        return {
            "bits": Choice((2, 3, 4, 5, 6, 8)),
            "granularity": Choice(("channel", "group")),
            "rule": Choice(("minmax", "mse")),
        }

    def _bits_of(self, shape: tuple[int, ...]) -> int:
        depthwise = len(shape) > 2 and shape[-1] == 1 < shape[0]
        return self.depthwise_bits if depthwise and self.depthwise_bits else self.bits

    def _fit(self, dense: npt.NDArray[np.float32], bits: int) -> Format:
        return Affine.fit(dense, bits, self.granularity, True, self.rule, self.group_size)


def _constants(graph: Graph) -> list[str]:
    """The float tensors that constant nodes hold and no layer multiplies with."""
    held = dict.fromkeys(node.params["value"] for node in graph.walk() if node.op == "constant")
    return [
        name
        for name in held
        if isinstance(graph.weights[name], Dense)
        and len(graph.weights[name].shape) > 1
        and math.prod(graph.weights[name].shape) >= SMALL
        and name not in weight_names(graph)
    ]


def _biases(graph: Graph, weights: Sequence[str]) -> list[str]:
    """The float biases of the layers with these weights."""
    layers = [node for node in graph.walk() if node.params.get("weight") in weights]
    held = dict.fromkeys(node.params["bias"] for node in layers if "bias" in node.params)
    return [name for name in held if isinstance(graph.weights[name], Dense)]
