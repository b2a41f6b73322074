"""ATen operators that move elements, or take some of them: nothing is computed, so any type will do."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

from smidgen.load.aten_call import Call, Handler
from smidgen.load.source import NotCaptured


def _concat(call: Call) -> str:
    values = call.args["tensors"]
    if not all(isinstance(v, str) for v in values):
        raise NotCaptured("concatenation with a constant")
    rank = call.source.rank(values[0]) + 1
    axis, batch = call.args["dim"] % rank, call.batch_axis
    if axis == batch:
        raise NotCaptured("it joins along the batch dimension", "Concatenate another axis")
    return call.source.concat(values, axis - (axis > batch), call.name)


def _permute(call: Call) -> str:
    rank = call.source.rank(call.x) + 1
    perm = [axis % rank for axis in call.args["dims"]]
    return _moved(call, perm)


def _transpose(call: Call) -> str:
    rank = call.source.rank(call.x) + 1
    perm = list(range(rank))
    a, b = (call.args[key] % rank for key in ("dim0", "dim1")) if "dim0" in call.args else (0, 1)
    perm[a], perm[b] = perm[b], perm[a]
    return _moved(call, perm)


def _moved(call: Call, perm: Sequence[int]) -> str:
    """Where the batch goes makes no difference to a sample."""
    batch = call.batch_axis
    kept = [axis - (axis > batch) for axis in perm if axis != batch]
    return call.source.transpose(call.x, kept, call.name)


def _reshape(call: Call) -> str:
    """Samples stay whole where as many elements as before lie in front of the batch."""
    before = math.prod(call.source.shape(call.x)[: call.batch_axis])
    if before != math.prod(call.shape[: call.batch_out]):
        raise NotCaptured("it mixes the samples of a batch", "Transpose the batch to the front first")
    return call.source.reshape(call.x, call.shape, call.name)


def _slice(call: Call) -> str:
    a = call.args
    if a["dim"] % (call.source.rank(call.x) + 1) == call.batch_axis and not a["start"] and a["step"] == 1:
        return call.x  # the end lies behind the last sample: the output has as many
    start, stop = a["start"] or 0, sys.maxsize if a["end"] is None else a["end"]
    return call.source.slice(call.x, call.axis(a["dim"]), start, stop, a["step"], call.name)


def _select(call: Call) -> str:
    return call.source.select(call.x, call.axis(call.args["dim"]), call.args["index"], call.name)


def _unbind(call: Call) -> list[str]:
    axis = call.axis(call.args["dim"])
    steps = range(call.source.shape(call.x)[axis])
    return [call.source.select(call.x, axis, step, f"{call.name}.{step}") for step in steps]


def _split(call: Call) -> list[str]:
    axis = call.axis(call.args["dim"])
    size = call.source.shape(call.x)[axis]
    given = call.args["split_size"] if "split_size" in call.args else call.args["split_sizes"]
    sizes = [min(given, size - i) for i in range(0, size, given)] if isinstance(given, int) else given
    return call.source.split(call.x, axis, sizes, call.name)


def _stack(call: Call) -> str:
    values = call.args["tensors"]
    if not all(isinstance(v, str) for v in values):
        raise NotCaptured("stacking with a constant")
    shape = list(call.source.shape(values[0]))
    axis = call.args["dim"] % (len(shape) + 2)
    axis -= axis > call.batch_out
    rows = [
        call.source.reshape(v, [*shape[:axis], 1, *shape[axis:]], f"{call.name}.{i}")
        for i, v in enumerate(values)
    ]
    return call.source.concat(rows, axis, call.name)


_RESHAPES = ("view", "_unsafe_view", "reshape", "flatten", "unflatten", "squeeze", "unsqueeze")

MOVE_HANDLERS: Mapping[str, Handler] = {
    "cat": _concat,
    "permute": _permute,
    **dict.fromkeys(("transpose", "t"), _transpose),
    **dict.fromkeys(_RESHAPES, _reshape),
    "slice": _slice,
    "select": _select,
    "unbind": _unbind,
    **dict.fromkeys(("split", "split_with_sizes"), _split),
    "stack": _stack,
}
MOVES = frozenset({*MOVE_HANDLERS, "alias", "clone", "contiguous", "detach"})
