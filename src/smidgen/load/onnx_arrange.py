"""ONNX operators that repeat, mirror and resize; nothing but interpolation computes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.load.arrange import depth_to_space, space_to_depth, tile
from smidgen.load.onnx_call import Call, Handler
from smidgen.load.resize import CUBIC, interpolated, nearest, source_positions
from smidgen.load.source import NotCaptured


def _tile(call: Call) -> str:
    times = [int(n) for n in call.needed(1).array]
    if times.pop(call.batch_axis) != 1:
        raise NotCaptured("it repeats the samples of a batch", "Repeat another axis")
    return tile(call.source, call.x, times, call.name)


def _depth_to_space(call: Call) -> str:
    blocks_first = call.text("mode", "DCR") == "DCR"
    return depth_to_space(call.source, call.x, int(call.attrs["blocksize"]), call.name, blocks_first)


def _space_to_depth(call: Call) -> str:
    blocks_first = call.text("mode", "DCR") == "DCR"
    return space_to_depth(call.source, call.x, int(call.attrs["blocksize"]), call.name, blocks_first)


def _resize(call: Call) -> str:
    rule = call.text("coordinate_transformation_mode", "half_pixel")
    rounding = call.text("nearest_mode", "round_prefer_floor")
    kind = call.text("mode", "nearest")
    if call.attrs.get("antialias") or call.attrs.get("exclude_outside"):
        raise NotCaptured("resizing with antialias or exclude_outside", "Leave these options out")
    if call.text("keep_aspect_ratio_policy", "stretch") != "stretch":
        raise NotCaptured("resizing that keeps the aspect ratio", "Name the sizes")
    if kind == "cubic" and not math.isclose(call.attrs.get("cubic_coeff_a", CUBIC), CUBIC):
        raise NotCaptured("cubic interpolation with a coefficient of its own", "Use -0.75")
    x = call.x
    for axis, (out, scale) in enumerate(_targets(call)):
        size, name = call.source.shape(x)[axis], f"{call.name}.{axis}"
        if out == size and scale == 1.0:
            continue
        at = source_positions(size, out, scale, rule)
        if kind == "nearest":
            x = nearest(call.source, x, axis, at, rounding, name)
        else:
            x = interpolated(call.source, x, axis, at, kind, name)
    return x


def _targets(call: Call) -> list[tuple[int, float]]:
    """(size, scale) that each axis of a sample gets."""
    shape = list(call.source.shape(call.x))
    shape.insert(call.batch_axis, call.batch)
    axes = [axis % len(shape) for axis in call.attrs.get("axes", range(len(shape)))]
    scales = _numbers(call, 2)
    found = [(n, 1.0) for n in shape]
    if scales:
        for axis, scale in zip(axes, scales, strict=True):
            found[axis] = (math.floor(shape[axis] * scale + 1e-9), float(scale))
    else:
        for axis, size in zip(axes, _numbers(call, 3), strict=True):
            found[axis] = (int(size), size / shape[axis])
    if found.pop(call.batch_axis)[0] != call.batch:
        raise NotCaptured("it resizes the batch", "Resize the spatial axes")
    return found


def _numbers(call: Call, index: int) -> Sequence[float]:
    given = call.constant(index)
    return [] if given is None else [float(n) for n in np.ravel(given.array)]


ARRANGE_HANDLERS: Mapping[str, Handler] = {
    "Tile": _tile,
    "DepthToSpace": _depth_to_space,
    "SpaceToDepth": _space_to_depth,
    "Resize": _resize,
}
