"""One ATen operator as a handler of `aten_table` sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from smidgen.load.source import Constant, NotCaptured, Operand, Source


@dataclass(frozen=True)
class Call:
    """One operator: its arguments by schema name (values of the graph are strings, tensors Constants).

    `shape` is the (first) output's per-sample shape, `batch_out` where the batch is among its axes, and
    `batch_axes` where it is in the arguments that are values. `text`: arguments that are strings.
    """

    source: Source
    name: str
    args: Mapping[str, Any]
    shape: tuple[int, ...]
    text: Mapping[str, str]
    batch_axes: Mapping[str, int]
    batch_out: int

    @property
    def batch_axis(self) -> int:
        """Where the batch is among the axes of the first tensor argument."""
        return next(iter(self.batch_axes.values()))

    @property
    def x(self) -> str:
        """The first tensor argument, which must depend on the network's input."""
        given = self.args["self"] if "self" in self.args else self.args["input"]
        if isinstance(given, Constant):
            raise NotCaptured("an operation on a constant")
        return str(given)

    def constant(self, key: str) -> Constant | None:
        given = self.args.get(key)
        if given is not None and not isinstance(given, Constant):
            raise NotCaptured(f"its {key} is computed from the network's input", "Use a trained parameter")
        return given

    def needed(self, key: str) -> Constant:
        found = self.constant(key)
        if found is None:
            raise NotCaptured(f"it has no {key}")
        return found

    def axis(self, given: int) -> int:
        """An axis of the source (batch counted) as an axis of a sample."""
        axis = given % (self.source.rank(self.x) + 1)
        if axis == self.batch_axis:
            raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
        return axis - (axis > self.batch_axis)

    def operand(self, key: str) -> Operand:
        """An argument of arithmetic; constants lose their batch axis, which is of length one."""
        given = self.args[key]
        if isinstance(given, (int, float)):
            return Constant(np.asarray(given, dtype=np.float64))
        if isinstance(given, Constant):
            other = next(v for v in self.args.values() if isinstance(v, str))
            behind = self.source.rank(other) + 1 - self.batch_axis  # the batch axis counted from the end
            if self.batch_axis and given.array.ndim >= behind:
                return replace(given, array=np.squeeze(given.array, -behind))
        return given  # type: ignore[no-any-return]

    def outer_batch(self, value: str, rows_too: bool = False) -> None:
        """Raise NotCaptured where the batch is the columns, or the rows, of the matrices in `value`."""
        if self.batch_axis > self.source.rank(value) - (1 if rows_too else 2):
            raise NotCaptured("it multiplies across the samples of a batch", "Keep the batch first")

    def axes(self, given: Sequence[int] | int | None) -> tuple[int, ...]:
        if given is None or (not isinstance(given, int) and not given):
            raise NotCaptured("it reduces over the samples of a batch", "Name the axes to reduce")
        return tuple(self.axis(a) for a in ([given] if isinstance(given, int) else given))


Handler = Callable[[Call], str | Sequence[str]]
