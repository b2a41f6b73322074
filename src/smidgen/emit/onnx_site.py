"""What a rule sees of the node that it writes as ONNX."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from smidgen.emit.onnx_writer import BIAS_TO_UNSIGNED, WIDE_TO_UNSIGNED, OnnxWriter
from smidgen.formats import Grid
from smidgen.graph import Node, Value
from smidgen.numerics import Array, IntArray


@dataclass(frozen=True)
class Site:
    """A node being written: its weights' integers by role, its ONNX names for inputs and output."""

    node: Node
    weights: Mapping[str, Array]
    inputs: tuple[Value, ...]
    output: Value
    names: tuple[str, ...]
    out: str

    @property
    def attrs(self) -> Mapping[str, Any]:
        return self.node.attrs

    @property
    def bounds(self) -> tuple[int, int]:
        return self.attrs["lo"], self.attrs["hi"]

    @property
    def zero(self) -> int:
        """Zero point of the output."""
        return grid_of(self.output).zero

    @property
    def bias(self) -> int:
        """How much higher than q the output is carried."""
        return bias_of(grid_of(self.output))

    def int64(self, role: str) -> IntArray:
        return self.weights[role].astype(np.int64)

    def zero_byte(self, which: int = 0) -> int:
        """The zero point of an input, as it is carried."""
        grid = grid_of(self.inputs[which])
        return grid.zero + bias_of(grid)


Rule = Callable[[OnnxWriter, Site], str]


def bias_of(grid: Grid) -> int:
    """How much higher than q a value is carried."""
    return BIAS_TO_UNSIGNED if grid.dtype == "int8" else WIDE_TO_UNSIGNED


def grid_of(value: Value) -> Grid:
    assert value.grid is not None, "integer values carry a grid"
    return value.grid
