"""Where values lie while a channels-last graph becomes channels-first ONNX.

ONNX's windows work channels first. A value stays in the layout in which it was made; the other one is made
by a Transpose when an operator asks for it, once. Chains of convolutions therefore meet no Transpose inside.
"""

from __future__ import annotations

from collections.abc import Sequence

from smidgen.emit.onnx_ops import channels_first, channels_last
from smidgen.emit.onnx_writer import OnnxWriter
from smidgen.graph import Node, Value
from smidgen.graph.ops import ACTIVATIONS

WINDOWS = frozenset({"conv", "max_pool", "avg_pool"})
# Operators that work in either layout, as long as all their inputs lie in the same.
FLEXIBLE = frozenset(
    {*ACTIVATIONS, "table", "requantize", "add", "mul", "concat", "mean", "pad", "quantize", "dequantize"}
)


class Carried:
    """The ONNX names of a graph's values by layout. `first`: channels first, [n, C, *space]."""

    def __init__(self, w: OnnxWriter) -> None:
        self._w = w
        self._names: dict[tuple[str, bool], str] = {}

    def put(self, value: str, name: str, first: bool = False) -> None:
        """Value `value` has been made as `name`."""
        self._names[value, first] = name

    def get(self, value: str, rank: int, first: bool) -> str:
        """Its name in a layout; `rank`: axes of one sample. Without spatial axes both are the same."""
        wanted = first and rank > 1
        if (value, wanted) not in self._names:
            turn = channels_first if wanted else channels_last
            suffix = "planes" if wanted else "pixels"
            made = turn(self._w, self._names[value, not wanted], rank - 1, f"{value}.{suffix}")
            self._names[value, wanted] = made
        return self._names[value, wanted]

    def prefers_first(self, op: str, node: Node, inputs: Sequence[Value]) -> bool:
        """Whether `op` (a name without `q.`) is best written channels first."""
        if op in WINDOWS:
            return True
        ranks = {len(value.shape) for value in inputs}
        if op not in FLEXIBLE or len(ranks) != 1 or ranks == {1}:
            return False
        return any((name, True) in self._names and (name, False) not in self._names for name in node.inputs)


def placed(axis: int, rank: int, first: bool) -> int:
    """The ONNX axis (batch included) of axis `axis` of a sample with `rank` axes, channels last."""
    if not first:
        return axis + 1
    return 1 if axis == rank - 1 else axis + 2


def in_order(per_axis: Sequence[tuple[int, int]], first: bool) -> list[tuple[int, int]]:
    """Pairs for every axis of a channels-last sample, in the layout's order."""
    return [per_axis[-1], *per_axis[:-1]] if first else list(per_axis)
