"""ONNX operators on tensors with a folded batch: see folded.py."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from smidgen.load.folded import Fold, folded_constant, folded_turn, folded_view, own_axis
from smidgen.load.onnx_call import Call, Handler
from smidgen.load.source import Constant, NotCaptured, Operand

# Operators on single elements, or along an axis that they name.
PLAIN = frozenset(
    {
        *("Add", "Sub", "Mul", "Div", "Neg", "Softmax", "MatMul", "Gemm", "Identity", "Cast", "Dropout"),
        *("Relu", "Gelu", "Sigmoid", "Tanh", "Erf", "LayerNormalization"),
    }
)


@dataclass(frozen=True)
class FoldedCall(Call):
    """A call whose tensors have their batch folded: axes of a sample are those of the tensor.

    `batch_axis` is one more than the folded axis, as many as a tensor with the batch beside it would have.
    """

    fold: Fold = field(default_factory=lambda: Fold(0, 1))

    def axis(self, given: int) -> int:
        return own_axis(given, self.source.rank(self.x), self.fold)

    def operand(self, index: int) -> Operand:
        given = self.inputs[index]
        if isinstance(given, Constant):
            value = next(v for v in self.inputs if isinstance(v, str))
            return folded_constant(given, self.source.rank(value), self.fold)
        return super().operand(index)


def reshaped(call: Call, fold: Fold | None) -> tuple[str, int, Fold | None]:
    """(value, batch axis, fold) of a reshape from or to a folded batch."""
    shape, place = list(call.source.shape(call.x)), call.batch_axis
    before = math.prod(shape[: fold.axis]) * fold.before if fold else math.prod(shape[:place])
    full = [*shape[: fold.axis], shape[fold.axis] * call.batch, *shape[fold.axis + 1 :]] if fold else None
    full = full or [*shape[:place], call.batch, *shape[place:]]
    target = target_shape(call, full)
    folded = [axis for axis, n in enumerate(target) if n % call.batch == 0]
    if call.batch == 1 or len(folded) != 1 or math.prod(target) != math.prod(full):
        raise NotCaptured("it joins the batch with other axes", "Reshape to [-1, …] or [0, …]")
    (axis,) = folded
    once = [n // call.batch if i == axis else n for i, n in enumerate(target)]
    value, after = folded_view(call.source, call.x, before, once, axis, call.name, once[axis] == 1)
    return value, axis, after


def target_shape(call: Call, shape: Sequence[int]) -> list[int]:
    """What a Reshape asks for, where `shape` is the whole one of its input."""
    target = [int(n) for n in call.needed(1).array]
    if not call.attrs.get("allowzero"):
        target = [shape[axis] if n == 0 else n for axis, n in enumerate(target)]
    if -1 in target:
        known = math.prod(n for n in target if n != -1)
        target[target.index(-1)] = math.prod(shape) // max(known, 1)
    return target


def turned(call: Call, fold: Fold) -> tuple[str, Fold]:
    rank = call.source.rank(call.x)
    return folded_turn(call.source, call.x, fold, call.attrs.get("perm", range(rank)[::-1]), call.name)


def plain(call: FoldedCall, kind: str, handler: Handler) -> str:
    """An operator on single elements, or along another axis than the folded one."""
    last = call.source.rank(call.x) - 1
    if kind not in PLAIN or (kind in ("Gemm", "LayerNormalization") and call.fold.axis == last):
        raise NotCaptured(f"{kind} of a batch joined with other axes", "Keep the batch first")
    made = handler(call)
    if not isinstance(made, str):
        raise NotCaptured("several results beside a folded batch", "Keep the batch first")
    return made
