"""Tensors one of whose axes is the batch together with other axes, as multi-head attention makes them.

An axis of size before * n * after holds, for every sample, before * after positions: the graph's value is
the sample with that axis, so that its axes count like the tensor's own. [n * heads, T, D] is [heads, T, D].
Whatever works across that axis is not captured.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smidgen.load.aten_call import Call
from smidgen.load.products import product
from smidgen.load.source import Constant, NotCaptured, Operand, Source

VIEWS = ("view", "_unsafe_view", "reshape", "flatten", "unflatten")
TURNS = ("permute", "transpose", "t")
PRODUCTS = ("bmm", "baddbmm", "matmul")
# Operators on the last axis: the folded one must be another.
LAST_AXIS = ("linear", "addmm", "mm", "layer_norm", "native_layer_norm")


@dataclass(frozen=True)
class Fold:
    """The folded axis of a tensor, and how many positions of it come before those of the next sample."""

    axis: int
    before: int


@dataclass(frozen=True)
class FoldedCall(Call):
    """A call whose tensors have their batch folded: axes of a sample are those of the tensor."""

    fold: Fold = field(default_factory=lambda: Fold(0, 1))

    def axis(self, given: int) -> int:
        axis = given % self.source.rank(self.x)
        if axis == self.fold.axis:
            raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
        return axis

    def operand(self, key: str) -> Operand:
        given = super().operand(key)
        if isinstance(given, Constant) and given.array.ndim > 1 and given.array.size > 1:
            raise NotCaptured("a constant tensor beside a folded batch", "Keep the batch first")
        return given


def folded_view(
    source: Source, x: str, before: int, shape: Sequence[int], axis: int, name: str, whole: bool
) -> tuple[str, Fold | None]:
    """A reshape from or to a folded batch. `before`: positions in front of the batch in x.

    `shape`: the result with the samples of one batch, `axis` where those are; `whole`: nothing else is there.
    """
    outer = math.prod(shape[:axis])
    if whole:
        if outer != before:
            raise NotCaptured("it mixes the samples of a batch", "Transpose the batch to the front first")
        return source.reshape(x, [n for i, n in enumerate(shape) if i != axis], name), None
    if before % outer or shape[axis] % (before // outer):
        raise NotCaptured("it mixes the samples of a batch", "Transpose the batch to the front first")
    return source.reshape(x, shape, name), Fold(axis, before // outer)


def folded_turn(source: Source, x: str, fold: Fold, perm: Sequence[int], name: str) -> tuple[str, Fold]:
    return source.transpose(x, perm, name), Fold(list(perm).index(fold.axis), fold.before)


def turn_of(operator: str, args: Mapping[str, Any], rank: int) -> list[int]:
    """The permutation that a transposing operator means."""
    if operator == "permute":
        return [axis % rank for axis in args["dims"]]
    perm = list(range(rank))
    a, b = (args[key] % rank for key in ("dim0", "dim1")) if operator == "transpose" else (0, 1)
    perm[a], perm[b] = perm[b], perm[a]
    return perm


def folded_product(call: FoldedCall, operator: str, folds: Sequence[Fold]) -> str:
    """Products of matrices, one each of every folded position."""
    names = ("batch1", "batch2") if operator == "baddbmm" else ("self", "mat2" if operator == "bmm" else "other")
    a, b = (call.args[key] for key in names)
    if not (isinstance(a, str) and isinstance(b, str)) or len(set(folds)) != 1:
        raise NotCaptured("a product of tensors with different batches", "Keep the batch first")
    if call.fold.axis > call.source.rank(a) - 3:
        raise NotCaptured("it multiplies across the samples of a batch", "Keep the batch first")
    if operator != "baddbmm":
        return product(call.source, a, b, call.name)
    beta, alpha = float(call.args["beta"]), float(call.args["alpha"])
    made = product(call.source, a, b, f"{call.name}.product", alpha)
    added = call.args["self"]
    if beta == 0:
        return made
    if isinstance(added, Constant):
        if added.array.ndim == 3 and added.array.shape[0] != 1:
            raise NotCaptured("a constant that differs between the samples of a batch")
        return call.source.add(made, Constant(added.array * beta), call.name)
    return call.source.add(made, call.source.scale(added, beta, f"{call.name}.scaled"), call.name)


def folded_plain(call: FoldedCall, operator: str, handler: Callable[[Call], Any]) -> str:
    """An operator on single elements, or along another axis."""
    if operator in LAST_AXIS and call.fold.axis == call.source.rank(call.x) - 1:
        raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
    made = handler(call)
    if not isinstance(made, str):
        raise NotCaptured("several results beside a folded batch", "Keep the batch first")
    return made
