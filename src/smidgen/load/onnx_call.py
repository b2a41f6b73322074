"""One ONNX operator as a handler of `onnx_table` sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from smidgen.load.source import Constant, NotCaptured, Operand, Source


class Placed(NamedTuple):
    """A value, and where the batch is among the axes of the tensor that it stands for."""

    value: str
    batch_axis: int


@dataclass(frozen=True)
class Call:
    """One operator: inputs (values are strings; None where left out), attributes, traced batch size.

    `batch_axis`: where the batch is among the axes of the inputs that are values; `outputs`: how many.
    """

    source: Source
    name: str
    inputs: Sequence[Operand | None]
    attrs: Mapping[str, Any]
    opset: int
    batch: int
    batch_axis: int = 0
    outputs: int = 1

    @property
    def x(self) -> str:
        return self.value(0)

    @property
    def space(self) -> tuple[int, ...]:
        """Sizes of the spatial axes of the first input."""
        return self.source.shape(self.x)[1:]

    def value(self, index: int) -> str:
        given = self.inputs[index]
        if not isinstance(given, str):
            raise NotCaptured("an operation on a constant")
        return given

    def operand(self, index: int) -> Operand:
        given = self.inputs[index]
        assert given is not None  # the checker has seen to it
        if isinstance(given, Constant) and self.batch_axis:
            other = next(v for v in self.inputs if isinstance(v, str))
            behind = self.source.rank(other) + 1 - self.batch_axis  # the batch axis counted from the end
            if given.array.ndim >= behind:
                return replace(given, array=np.squeeze(given.array, -behind))
        return given

    def constant(self, index: int) -> Constant | None:
        given = self.inputs[index] if index < len(self.inputs) else None
        if isinstance(given, str):
            raise NotCaptured(
                "a parameter that is computed from the network's input", "Use a trained parameter"
            )
        return given

    def needed(self, index: int) -> Constant:
        found = self.constant(index)
        if found is None:
            raise NotCaptured(f"its input {index} is missing")
        return found

    def text(self, key: str, default: str) -> str:
        value = self.attrs.get(key, default)
        return value.decode() if isinstance(value, bytes) else str(value)

    def integers(self, key: str, index: int | None) -> tuple[int, ...] | None:
        """An attribute of older operator sets that newer ones made an input."""
        if key in self.attrs:
            return tuple(int(v) for v in self.attrs[key])
        found = self.constant(index) if index is not None else None
        return None if found is None else tuple(int(v) for v in np.ravel(found.array))

    def scalar(self, key: str, index: int) -> float | None:
        if key in self.attrs:
            return float(self.attrs[key])
        found = self.constant(index)
        return None if found is None or not found.array.size else float(found.array.reshape(-1)[0])

    def axis(self, given: int) -> int:
        """An axis of the source (batch counted) as an axis of a sample."""
        axis = given % (self.source.rank(self.x) + 1)
        if axis == self.batch_axis:
            raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
        return axis - (axis > self.batch_axis)

    def without(self, axes: Sequence[int], value: str) -> Placed:
        """`value`, which lacks these axes of the first input's samples."""
        return Placed(value, self.batch_axis - sum(axis < self.batch_axis for axis in axes))


Handler = Callable[[Call], str | Placed | Sequence[str | Placed]]
