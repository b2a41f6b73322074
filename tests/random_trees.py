"""Random sound trees, and the plain walk that every implementation is compared with."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.formats import Dense, Grid, Integer
from smidgen.graph import Graph, GraphBuilder, Node, Value
from tests.kernels.one_node import HI, LO, OUT_ZERO, random_ratios

Arrays = dict[str, np.ndarray[Any, Any]]


def random_trees(rng: np.random.Generator, features: int, bits: int, outputs: int, width: int) -> Arrays:
    """Integer arrays of 1 to 6 trees; steps lead anywhere forward, leaves are shared at random."""
    feature, threshold, children, table, leaves = [], [], [], [], 0
    for _ in range(rng.integers(1, 7)):
        splits, own = int(rng.integers(1, 9)), int(rng.integers(1, 9))
        table.append((len(feature), leaves, int(rng.integers(0, outputs - width + 1))))
        leaves += own
        for at in range(splits):
            left = splits - 1 - at
            step = [int(rng.integers(1, left + 1)) if left and rng.random() < 0.6 else None for _ in range(2)]
            children.append([-int(rng.integers(own)) if s is None else s for s in step])
            feature.append(int(rng.integers(features)))
            threshold.append(int(rng.integers(-(1 << (bits - 1)), 1 << (bits - 1))))
    return {
        "feature": np.array(feature, np.int16),
        "threshold": np.array(threshold, np.int16),
        "children": np.array(children, np.int16),
        "tree": np.array(table, np.int32),
        "leaf": rng.integers(-(2**15), 2**15, (leaves, width)).astype(np.int16),
        "bias": rng.integers(-(2**20), 2**20, outputs).astype(np.int32),
    }


def walked(trees: Mapping[str, np.ndarray[Any, Any]], x: np.ndarray[Any, Any]) -> list[Any]:
    """The sums of one sample, a comparison at a time."""
    total = trees["bias"].tolist()
    for split, first_leaf, target in trees["tree"].tolist():
        while True:
            goes_right = x[trees["feature"][split]] > trees["threshold"][split]
            step = int(trees["children"][split][int(goes_right)])
            if step <= 0:
                break
            split += step
        for i, value in enumerate(trees["leaf"][first_leaf - step].tolist()):
            total[target + i] += value
    return total


def integer_trees(trees: Arrays, features: int, bits: int = 16, seed: int = 0) -> Graph:
    """x → q.trees → y, with random requantization."""
    ratios = random_ratios(np.random.default_rng(seed), 1, 20, 34)
    grid = Grid(0.5, 3, bits)
    values = {"x": Value((features,), grid.dtype, grid), "y": Value((), "int8", Grid(0.5, OUT_ZERO))}
    weights = {role: Integer(array) for role, array in {**trees, **ratios}.items()}
    node = Node("n", "q.trees", ("x",), ("y",), {role: role for role in weights}, {"lo": LO, "hi": HI})
    graph = Graph("trees", (node,), values, weights, ("x",), ("y",)).inferred()
    graph.check()
    return graph


def float_trees(seed: int = 0, shape: tuple[int, ...] = (5,), outputs: int = 3, width: int = 3) -> Graph:
    """The same kind of trees with real thresholds and leaves."""
    rng = np.random.default_rng(seed)
    trees = random_trees(rng, int(np.prod(shape)), 8, outputs, width)
    params = {role: Integer(trees[role]) for role in ("feature", "children", "tree")}
    params |= {role: Dense(rng.normal(size=trees[role].shape)) for role in ("threshold", "leaf", "bias")}
    b = GraphBuilder("float_trees")
    x = b.input("x", shape)
    x = x if len(shape) == 1 else b.flatten(x)
    return b.graph(b.op("trees", [x], params, "y"))


def random_input(graph: Graph, n: int, seed: int = 0) -> np.ndarray[Any, Any]:
    """Integers [n, ...] over the whole grid of the first input."""
    value = graph.values[graph.inputs[0]]
    assert value.grid is not None
    q = np.random.default_rng(seed).integers(
        value.grid.qmin, value.grid.qmax, (n, *value.shape), endpoint=True
    )
    return q.astype(value.dtype)
