"""Pieces that the architectures share: seeded initial weights, blocks, the width multiplier."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.build import Pairs, each

BATCH_NORM_EPSILON = 1e-5
_STATISTICS = ("mean", "variance")


def scaled(channels: int, width: float) -> int:
    """`channels` times `width`, rounded half up, at least 1. Raises BadInput unless 0 < width < infinity."""
    if not (math.isfinite(width) and width > 0):
        raise BadInput("width", f"{width:g}", "a width multiplier is a positive number")
    return max(1, math.floor(channels * width + 0.5))


def he_normal(rng: np.random.Generator, shape: Sequence[int]) -> npt.NDArray[np.float32]:
    """Normal with variance 2 / fan_in; shape [O, ...], fan_in is the product of the rest.

    Ref: He et al. 2015, arXiv 1502.01852, eq. 10.
    """
    deviation = math.sqrt(2.0 / math.prod(shape[1:]))
    return (rng.standard_normal(tuple(shape)) * deviation).astype(np.float32)


class Blocks:
    """A GraphBuilder with a random generator: appends usual blocks to one chain, numbering them.

    `x` names the last value. `input_shape` is per sample, channels last.
    """

    def __init__(self, name: str, input_shape: Sequence[int], seed: int) -> None:
        self.builder = GraphBuilder(name)
        self.rng = np.random.default_rng(seed)
        self.x = self.builder.input("input", input_shape)
        self._count = 0

    @property
    def shape(self) -> tuple[int, ...]:
        return self.builder.shape(self.x)

    def conv(
        self,
        channels: int,
        kernel: Sequence[int] | int,
        stride: int = 1,
        *,
        padding: Pairs | int | None = None,
        depthwise: bool = False,
        batch_norm: bool = True,
        relu: bool = True,
    ) -> Blocks:
        """Convolution, then batch norm (or a bias) and ReLU.

        The default padding gives ceil(n / stride) outputs an axis; even kernels put the odd one after.
        A depthwise convolution keeps the number of channels and ignores `channels`.
        """
        self._count += 1
        rank, inputs = len(self.shape) - 1, self.shape[-1]
        kernels = each(kernel, rank)
        outputs = inputs if depthwise else channels
        weight = he_normal(self.rng, (outputs, *kernels, 1 if depthwise else inputs))
        around = [((k - 1) // 2, k // 2) for k in kernels] if padding is None else padding
        bias = None if batch_norm else np.zeros(outputs, np.float32)
        groups = inputs if depthwise else 1
        name = f"conv{self._count}"
        self.x = self.builder.conv(
            self.x, weight, bias, stride=stride, padding=around, groups=groups, name=name
        )
        if batch_norm:
            self._batch_norm(f"norm{self._count}")
        return self.activation(f"relu{self._count}") if relu else self

    def linear(self, outputs: int, *, relu: bool = True, name: str | None = None) -> Blocks:
        self._count += 1
        weight = he_normal(self.rng, (outputs, self.shape[-1]))
        name = name or f"linear{self._count}"
        self.x = self.builder.linear(self.x, weight, np.zeros(outputs, np.float32), name)
        return self.activation(f"relu{self._count}") if relu else self

    def activation(self, name: str | None = None, op: str = "relu") -> Blocks:
        self.x = self.builder.op(op, [self.x], name=name)
        return self

    def max_pool(self, size: int) -> Blocks:
        self.x = self.builder.pool("max", self.x, size)
        return self

    def global_mean(self) -> Blocks:
        self.x = self.builder.op("mean", [self.x], axes=tuple(range(len(self.shape) - 1)), keepdims=False)
        return self

    def flatten(self) -> Blocks:
        if len(self.shape) > 1:
            self.x = self.builder.flatten(self.x)
        return self

    def classify(self, classes: int) -> Graph:
        """A last linear layer named `logits`, and the finished graph."""
        return self.linear(classes, relu=False, name="logits").builder.graph(self.x)

    def _batch_norm(self, name: str) -> None:
        one, zero = np.ones(self.shape[-1], np.float32), np.zeros(self.shape[-1], np.float32)
        params = {"gamma": one, "beta": zero, "mean": zero, "variance": one}
        self.x = self.builder.op("batch_norm", [self.x], params, name, epsilon=BATCH_NORM_EPSILON)


def need_shape(model: str, input_shape: Sequence[int], axes: str, classes: int, least: int = 1) -> None:
    """Raise BadInput unless the input has the axes named (`"H W C"`), all but the last at least `least`."""
    names = axes.split()
    if len(input_shape) != len(names) or any(n < least for n in input_shape[:-1]) or input_shape[-1] < 1:
        smallest = f" of at least {least} along {', '.join(names[:-1])}" if least > 1 else ""
        raise BadInput(model, f"input shape {list(input_shape)}", f"it takes [{', '.join(names)}]{smallest}")
    if classes < 2:
        raise BadInput(model, f"{classes} classes", "a classifier needs at least two")


def parameter_count(graph: Graph) -> int:
    """Trainable numbers: all weights but the running statistics of batch norm. Tied weights count once."""
    frozen = {
        name
        for node in graph.walk()
        if node.op == "batch_norm"
        for role, name in node.params.items()
        if role in _STATISTICS
    }
    return sum(math.prod(weight.shape) for name, weight in graph.weights.items() if name not in frozen)
