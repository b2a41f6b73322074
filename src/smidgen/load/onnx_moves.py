"""ONNX operators that move elements, or take some of them: nothing is computed, so any type will do."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from smidgen.load.onnx_call import Call, Handler, Placed
from smidgen.load.onnx_folded import target_shape
from smidgen.load.source import Constant, NotCaptured


def _concat(call: Call) -> str:
    values = [call.value(i) for i in range(len(call.inputs))]
    return call.source.concat(values, call.axis(call.attrs["axis"]), call.name)


def _transpose(call: Call) -> Placed:
    """Where the batch goes makes no difference to a sample."""
    batch = call.batch_axis
    perm = list(call.attrs.get("perm", range(call.source.rank(call.x) + 1)[::-1]))
    kept = [axis - (axis > batch) for axis in perm if axis != batch]
    return Placed(call.source.transpose(call.x, kept, call.name), perm.index(batch))


def _flatten(call: Call) -> str:
    if call.attrs.get("axis", 1) % (call.source.rank(call.x) + 1) != 1:
        raise NotCaptured("it joins the batch with other axes", "Flatten from axis 1 on")
    return call.source.reshape(call.x, (math.prod(call.source.shape(call.x)),), call.name)


def _reshape(call: Call) -> Placed:
    shape = list(call.source.shape(call.x))
    shape.insert(call.batch_axis, call.batch)
    target = target_shape(call, shape)
    before = math.prod(shape[: call.batch_axis])
    likely = [i for i, n in enumerate(target) if n == call.batch]
    places = [i for i in likely if math.prod(target[:i]) == before]
    if call.batch == 1:  # a single sample: wherever the batch goes, no element moves
        places += likely
    if not places or math.prod(target) != math.prod(shape):
        raise NotCaptured("it joins the batch with other axes", "Reshape to [-1, …] or [0, …]")
    sample = [n for i, n in enumerate(target) if i != places[0]]
    return Placed(call.source.reshape(call.x, sample, call.name), places[0])


def _squeeze(call: Call) -> Placed:
    shape, axes = call.source.shape(call.x), call.integers("axes", 1)
    if axes is None:
        raise NotCaptured("it may drop the batch dimension", "Name the axes to squeeze")
    dropped = [call.axis(a) for a in axes]
    kept = [n for i, n in enumerate(shape) if i not in dropped]
    return call.without(dropped, call.source.reshape(call.x, kept, call.name))


def _unsqueeze(call: Call) -> Placed:
    axes = call.integers("axes", 1) or ()
    rank = call.source.rank(call.x) + 1 + len(axes)
    new = {axis % rank for axis in axes}
    old = [axis for axis in range(rank) if axis not in new]
    batch, sizes = old[call.batch_axis], iter(call.source.shape(call.x))
    shape = [1 if axis in new else next(sizes) for axis in range(rank) if axis != batch]
    return Placed(call.source.reshape(call.x, shape, call.name), batch)


WHOLE = 2**31 - 1  # exporters write this or more as the end of a slice that ends where its axis does


def _slice(call: Call) -> str:
    starts, ends = call.integers("starts", 1) or (), call.integers("ends", 2) or ()
    axes, steps = call.integers("axes", 3), call.integers("steps", 4)
    made, numbers = call.x, range(len(starts)) if axes is None else axes
    for axis, start, end, step in zip(numbers, starts, ends, steps or (1,) * len(starts), strict=True):
        if (start, step) == (0, 1) and end >= WHOLE:
            continue  # of any axis, the batch too
        name = f"{call.name}.{axis}" if len(starts) > 1 else call.name
        made = call.source.slice(made, call.axis(axis), start, end, step, name)
    return made


def _gather(call: Call) -> str | Placed:
    """Rows of a constant table for computed indices, or a fixed position (or stretch) of an axis."""
    axis, table = int(call.attrs.get("axis", 0)), call.operand(0)
    if isinstance(table, Constant):
        if axis != 0 or table.array.ndim != 2:
            raise NotCaptured(f"a lookup in axis {axis} of a table", "Look up rows of a matrix")
        return call.source.embedding(call.value(1), table, call.name)
    axis, index = call.axis(axis), call.needed(1).array
    size = call.source.shape(call.x)[axis]
    if index.ndim == 0:
        return call.without([axis], call.source.select(call.x, axis, int(index), call.name))
    rows = call.source.gather(call.x, axis, index.ravel() % size, call.name)
    if index.ndim == 1:
        return rows
    shape = list(call.source.shape(rows))
    shape[axis : axis + 1] = index.shape
    batch = call.batch_axis + (index.ndim - 1 if axis < call.batch_axis else 0)
    return Placed(call.source.reshape(rows, shape, f"{call.name}.shaped"), batch)


def _split(call: Call) -> list[str]:
    axis = call.axis(int(call.attrs.get("axis", 0)))
    size, sizes = call.source.shape(call.x)[axis], call.integers("split", 1)
    each = -(-size // int(call.attrs.get("num_outputs", call.outputs)))
    return call.source.split(
        call.x, axis, sizes or [min(each, size - i) for i in range(0, size, each)], call.name
    )


def _scatter_nd(call: Call) -> str:
    """A block written over a stretch of one axis at constant positions: joined with what is around it."""
    positions, shape = call.needed(1).array, list(call.source.shape(call.x))
    shape.insert(call.batch_axis, call.batch)
    sizes, first = positions.shape[:-1], positions.reshape(-1, positions.shape[-1])[0]
    ranges = [np.arange(start, start + n) for start, n in zip(first, sizes)]
    block = len(sizes) == len(first) and call.attrs.get("reduction", b"none") == b"none"
    partial = [axis for axis, n in enumerate(sizes) if block and n < shape[axis]]
    if len(partial) != 1 or not np.array_equal(positions, np.stack(np.meshgrid(*ranges, indexing="ij"), -1)):
        raise NotCaptured("it writes to scattered positions", "Write to a stretch of one axis")
    axis, start, stop = call.axis(partial[0]), int(first[partial[0]]), int(ranges[partial[0]][-1]) + 1
    parts, size = [call.value(2)], shape[partial[0]]
    if start > 0:
        parts.insert(0, call.source.slice(call.x, axis, 0, start, 1, f"{call.name}.before"))
    if stop < size:
        parts.append(call.source.slice(call.x, axis, stop, size, 1, f"{call.name}.behind"))
    return call.source.concat(parts, axis, call.name)


def _same(call: Call) -> str:
    return call.x


MOVE_HANDLERS: Mapping[str, Handler] = {
    "Concat": _concat,
    "Transpose": _transpose,
    "Flatten": _flatten,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Slice": _slice,
    "Gather": _gather,
    "Split": _split,
    "ScatterND": _scatter_nd,
    "Identity": _same,
}
