"""Small networks with one planted problem each: what `compare` has to find and to mend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from smidgen.data.dataset import Dataset, Splits
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.layer import LayerQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.run.float_ops import run_float

FEATURES, HIDDEN, CLASSES = 12, 16, 5


@dataclass(frozen=True)
class Planted:
    """A network, the recipe with the problem, and data whose labels are the network's own answers."""

    graph: Graph
    recipe: Recipe
    data: Splits

    def artifact(self, recipe: Recipe | None = None) -> Graph:
        """The integers that a recipe (by default the planted one) leads to."""
        return lower((recipe or self.recipe).apply(self.graph, Context(self.data, self.graph)))


def huge_channel() -> Planted:
    """Row 3 of `second` is one weight, 40 times the largest other, under one scale for the tensor."""
    first, second, last = _weights()
    first[3] /= 8
    second[3], second[:, 3] = 0, 0
    second[3, 3] = 30
    steps = AffineQuantization(), LayerQuantization("second", granularity="tensor")
    return _planted(_forked(first, second, last, np.full(HIDDEN, 0.1)), *steps)


def two_bits() -> Planted:
    """`second` has 2 bits."""
    return _planted(_three(*_weights()), AffineQuantization(), LayerQuantization("second", bits=2))


def uneven_pair() -> Planted:
    """Rows of `first` differ 4,000-fold, columns of `second` undo it; one scale a tensor."""
    first, second, last = _weights()
    spread = 2.0 ** np.linspace(-6, 6, HIDDEN)
    first *= spread[:, None]
    second /= spread
    return _planted(_three(first, second, last), AffineQuantization(granularity="tensor"))


def outlier_activation() -> Planted:
    """A unit of `first` fires at a hundred times the others, once in 200 samples, and hardly matters."""
    first, second, last = _weights()
    first[0] = 60.0
    second[:, 0] = 0
    bias = np.full(HIDDEN, 0.1)
    bias[0] = -60.0 * 2.6 * np.sqrt(FEATURES)
    return _planted(_forked(first, second, last, bias), AffineQuantization())


def _weights(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    shapes = ((HIDDEN, FEATURES), (HIDDEN, HIDDEN), (CLASSES, HIDDEN))
    first, second, last = (rng.normal(size=shape) / np.sqrt(shape[1]) for shape in shapes)
    return first, second, last


def _three(first: np.ndarray, second: np.ndarray, last: np.ndarray) -> Graph:
    """Three linear layers with ReLU between."""
    b = GraphBuilder("three")
    h = b.op("relu", [b.linear(b.input("x", (FEATURES,)), first, np.full(HIDDEN, 0.1), name="first")])
    h = b.op("relu", [b.linear(h, second, np.zeros(HIDDEN), name="second")])
    return b.graph(b.linear(h, last, name="last"))


def _forked(first: np.ndarray, second: np.ndarray, last: np.ndarray, bias: np.ndarray) -> Graph:
    """The same with a layer beside `second`: what two layers read can't be equalized,
    nor what ReLU6 clamps."""
    b = GraphBuilder("forked")
    fork = b.op("relu", [b.linear(b.input("x", (FEATURES,)), first, bias, name="first")])
    h = b.op("relu6", [b.linear(fork, second, np.zeros(HIDDEN), name="second")])
    side = b.linear(fork, second[:CLASSES] * (np.arange(HIDDEN) != 3) / 4, name="side")
    return b.graph(b.op("add", [b.linear(h, last, name="last"), side]))


def _planted(graph: Graph, *steps: Step) -> Planted:
    rng = np.random.default_rng(1)
    parts = []
    for n in (512, 400, 400):
        x = rng.normal(size=(n, FEATURES)).astype(np.float32)
        parts.append(Dataset(x, run_float(graph, x).argmax(axis=1).astype(np.int64)))
    return Planted(graph, Recipe(steps), Splits(*parts, classes=CLASSES))
