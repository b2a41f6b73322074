"""Tensors one of whose axes is the batch together with other axes, as multi-head attention makes them.

An axis of size before * n * after holds, for every sample, before * after positions: the graph's value is
the sample with that axis, so that its axes count like the tensor's own. [n * heads, T, D] is [heads, T, D].
Whatever works across that axis is not captured.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from smidgen.load.source import Constant, NotCaptured, Source


@dataclass(frozen=True)
class Fold:
    """The folded axis of a tensor, and how many positions of it come before those of the next sample."""

    axis: int
    before: int


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


def folded_constant(constant: Constant, rank: int, fold: Fold) -> Constant:
    """A constant that broadcasts to samples of `rank` axes, if it is the same for all of the folded axis."""
    array = constant.array
    while array.ndim and array.shape[0] == 1:
        array = array[0]
    if array.ndim >= rank - fold.axis:
        raise NotCaptured("a constant tensor along a folded batch", "Keep the batch first")
    return replace(constant, array=array)


def own_axis(given: int, rank: int, fold: Fold) -> int:
    """An axis of a tensor with a folded batch, which may not be the folded one."""
    axis = given % rank
    if axis == fold.axis:
        raise NotCaptured("it works across the samples of a batch", "Keep samples independent")
    return axis
