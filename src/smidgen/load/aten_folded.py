"""ATen operators on tensors with a folded batch: see folded.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from smidgen.load.aten_call import Call
from smidgen.load.folded import Fold, folded_constant, own_axis
from smidgen.load.products import product
from smidgen.load.source import Constant, NotCaptured, Operand

VIEWS = ("view", "_unsafe_view", "reshape", "flatten", "unflatten")
TURNS = ("permute", "transpose", "t")
PRODUCTS = ("bmm", "baddbmm", "matmul")
# Operators on the last axis: the folded one must be another.
LAST_AXIS = ("linear", "addmm", "mm", "layer_norm", "native_layer_norm")


@dataclass(frozen=True)
class FoldedCall(Call):
    """A call whose tensors have their batch folded: axes of a sample are those of the tensor."""

    fold: Fold = field(default_factory=lambda: Fold(0, 1))

    def axis(self, given: int) -> int:
        return own_axis(given, self.source.rank(self.x), self.fold)

    def operand(self, key: str) -> Operand:
        given, x = super().operand(key), next(v for v in self.args.values() if isinstance(v, str))
        if isinstance(given, Constant):
            return folded_constant(given, self.source.rank(x), self.fold)
        return given


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
    second = "mat2" if operator == "bmm" else "other"
    names = ("batch1", "batch2") if operator == "baddbmm" else ("self", second)
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
        constant = folded_constant(added, call.source.rank(made), call.fold)
        return call.source.add(made, Constant(constant.array * beta), call.name)
    return call.source.add(made, call.source.scale(added, beta, f"{call.name}.scaled"), call.name)


def folded_plain(call: FoldedCall, operator: str, handler: Callable[[Call], Any]) -> str:
    """An operator on single elements, or along another axis."""
    if operator in LAST_AXIS and call.fold.axis == call.source.rank(call.x) - 1:
        raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
    made = handler(call)
    if not isinstance(made, str):
        raise NotCaptured("several results beside a folded batch", "Keep the batch first")
    return made
