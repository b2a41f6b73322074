"""One ATen operator as a handler of `aten_table` sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from smidgen.load.source import Constant, NotCaptured, Source


@dataclass(frozen=True)
class Call:
    """One operator: its arguments by schema name (values of the graph are strings, tensors Constants).

    `shape` is the output's per-sample shape. `text` marks arguments that are strings in the source.
    """

    source: Source
    name: str
    args: Mapping[str, Any]
    shape: tuple[int, ...]
    text: Mapping[str, str]

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
        rank = self.source.rank(self.x) + 1
        axis = given % rank - 1
        if axis < 0:
            raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
        return axis

    def axes(self, given: Sequence[int] | int | None) -> tuple[int, ...]:
        if given is None or (not isinstance(given, int) and not given):
            raise NotCaptured("it reduces over the samples of a batch", "Name the axes to reduce")
        return tuple(self.axis(a) for a in ([given] if isinstance(given, int) else given))


Handler = Callable[[Call], str]
