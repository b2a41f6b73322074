"""Trees of any library, collected into the arrays of a `trees` node (see graph/trees.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadInput
from smidgen.formats import Dense, Format, Integer
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.trees import FARTHEST, MOST_FEATURES
from smidgen.numerics import Array

LEAF = -1  # in place of a child


@dataclass(frozen=True)
class Tree:
    """One tree in its library's order, node 0 the root: arrays [nodes], `value` [nodes, W].

    x[feature] <= threshold goes left. `left` is LEAF at leaves.
    """

    left: Array
    right: Array
    feature: Array
    threshold: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]


@dataclass
class Forest:
    """Grows by trees; `graph` is the sum of their leaves."""

    outputs: int
    feature: list[int] = field(default_factory=list)
    threshold: list[float] = field(default_factory=list)
    children: list[list[int]] = field(default_factory=list)
    table: list[tuple[int, int, int]] = field(default_factory=list)
    leaf: list[Array] = field(default_factory=list)

    def add(self, tree: Tree, target: int = 0) -> None:
        """Splits in the order of a walk that goes left first; equal leaves of a tree are stored once.

        Raises BadInput for a tree whose steps do not fit 16 bits.
        """
        first, first_leaf = len(self.feature), len(self.leaf)
        numbers: dict[bytes, int] = {}
        self.table.append((first, first_leaf, target))
        if tree.left[0] == LEAF:
            self._split(0, 0.0)
        stack = [(0, first, side) for side in (1, 0)] if tree.left[0] == LEAF else [(0, -1, 0)]
        while stack:
            node, parent, side = stack.pop()
            while tree.left[node] != LEAF and tree.threshold[node] == np.inf:
                node = int(tree.left[node])  # such splits only send missing values elsewhere
            if tree.left[node] == LEAF:
                number = numbers.setdefault(tree.value[node].tobytes(), len(numbers))
                if number == len(self.leaf) - first_leaf:
                    self.leaf.append(tree.value[node])
                self._link(parent, side, -number)
                continue
            at = len(self.feature)
            self._split(int(tree.feature[node]), tree.threshold[node])
            self._link(parent, side, at - parent)
            stack += [(int(tree.right[node]), at, 1), (int(tree.left[node]), at, 0)]

    def _split(self, feature: int, threshold: float) -> None:
        self.feature.append(feature)
        self.threshold.append(threshold)
        self.children.append([0, 0])

    def _link(self, parent: int, side: int, step: int) -> None:
        if abs(step) > FARTHEST:
            found = f"a tree with over {FARTHEST} splits or leaves"
            raise BadInput("trees", found, "steps have 16 bits", "Limit max_depth or max_leaf_nodes")
        if parent >= 0:
            self.children[parent][side] = step

    def graph(self, name: str, shape: Sequence[int], bias: Array) -> Graph:
        """flatten → trees for inputs of `shape`; `bias` [outputs] is where the sums start."""
        features = int(np.prod(shape))
        if features > MOST_FEATURES:
            raise BadInput(name, f"{features} features", f"trees over {MOST_FEATURES} can be stored")
        params: dict[str, Format] = {
            "feature": Integer(np.array(self.feature, np.int16)),
            "threshold": Dense(float32_below(np.array(self.threshold))),
            "children": Integer(np.array(self.children, np.int16)),
            "tree": Integer(np.array(self.table, np.int32)),
            "leaf": Dense(np.array(self.leaf)),
            "bias": Dense(np.broadcast_to(bias, (self.outputs,))),
        }
        builder = GraphBuilder(name)
        x = builder.input("input", shape)
        if len(shape) > 1:
            x = builder.flatten(x)
        return builder.graph(builder.op("trees", [x], params, "outputs"))


def float32_below(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The largest float32 values <= x: a float32 number compares with them exactly as with x."""
    near = x.astype(np.float32)
    return np.where(near > x, np.nextafter(near, np.float32(-np.inf)), near)
