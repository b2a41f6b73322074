"""ATen operators that repeat, mirror, shift and resize; nothing but interpolation computes."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.load.arrange import depth_to_space, expand, flip, roll, space_to_depth, tile
from smidgen.load.aten_call import Call, Handler
from smidgen.load.resize import interpolated, nearest, source_positions
from smidgen.load.source import NotCaptured


def _flip(call: Call) -> str:
    return flip(call.source, call.x, call.axes(call.args["dims"]), call.name)


def _roll(call: Call) -> str:
    return roll(call.source, call.x, call.args["shifts"], call.axes(call.args["dims"]), call.name)


def _repeat(call: Call) -> str:
    """The batch is repeated once; new axes come in front of it only with one sample each."""
    times = list(call.args["repeats"] if "repeats" in call.args else call.args["dims"])
    rank = call.source.rank(call.x) + 1
    times = [1] * (rank - len(times)) + times
    if times.pop(call.batch_axis + len(times) - rank) not in (1, None):
        raise NotCaptured("it repeats the samples of a batch", "Repeat another axis")
    return tile(call.source, call.x, times, call.name)


def _expand(call: Call) -> str:
    if call.batch_out - len(call.shape) != call.batch_axis - call.source.rank(call.x):
        raise NotCaptured("it moves the batch", "Keep the batch first")
    return expand(call.source, call.x, call.shape, call.name)


def _repeat_interleave(call: Call) -> str:
    repeats, dim = call.args["repeats"], call.args["dim"]
    if not isinstance(repeats, int) or dim is None:
        raise NotCaptured("repeats that differ between elements", "Repeat every element alike")
    axis = call.axis(dim)
    positions = np.repeat(np.arange(call.source.shape(call.x)[axis]), repeats)
    return call.source.gather(call.x, axis, positions, call.name)


def _index_select(call: Call) -> str:
    axis = call.axis(call.args["dim"])
    return call.source.gather(call.x, axis, _positions(call, axis, call.needed("index").array), call.name)


def _index(call: Call) -> str:
    """x[:, positions]: one axis, by a constant vector."""
    given = call.args["indices"]
    used = [i for i, index in enumerate(given) if index is not None]
    if len(used) != 1 or isinstance(given[used[0]], str) or given[used[0]].array.ndim != 1:
        raise NotCaptured("indices other than one constant vector", "Index one axis at a time")
    axis = call.axis(used[0])
    return call.source.gather(call.x, axis, _positions(call, axis, given[used[0]].array), call.name)


def _positions(call: Call, axis: int, array: np.ndarray) -> np.ndarray:
    """Indices count from the end where they are negative."""
    return array.astype(np.int64) % call.source.shape(call.x)[axis]


def _pixel_shuffle(call: Call) -> str:
    return depth_to_space(call.source, call.x, call.args["upscale_factor"], call.name)


def _pixel_unshuffle(call: Call) -> str:
    return space_to_depth(call.source, call.x, call.args["downscale_factor"], call.name)


def _resize(kind: str, rounding: str = "floor", rule: str = "asymmetric") -> Handler:
    def handle(call: Call) -> str:
        a, x, space = call.args, call.x, call.source.shape(call.x)[1:]
        factors = a.get("scale_factors") or [a.get(key) for key in ("scales_h", "scales_w")]
        factors = [*factors, None, None] if "scales" not in a else [a["scales"]]
        aligned = "align_corners" if a.get("align_corners") else rule
        for axis, (size, out, factor) in enumerate(zip(space, call.shape[1:], factors), 1):
            at = source_positions(size, out, factor or out / size, aligned)
            name = f"{call.name}.{axis}"
            if kind == "nearest":
                x = nearest(call.source, x, axis, at, rounding, name)
            else:
                at = np.clip(at, 0, None) if kind == "linear" else at
                x = interpolated(call.source, x, axis, at, kind, name)
        return x

    return handle


ARRANGE_HANDLERS: Mapping[str, Handler] = {
    "flip": _flip,
    "roll": _roll,
    **dict.fromkeys(("repeat", "tile"), _repeat),
    **dict.fromkeys(("expand", "expand_as"), _expand),
    "repeat_interleave": _repeat_interleave,
    "index_select": _index_select,
    "index": _index,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    **dict.fromkeys(("upsample_nearest1d", "upsample_nearest2d"), _resize("nearest")),
    **dict.fromkeys(
        ("_upsample_nearest_exact1d", "_upsample_nearest_exact2d"),
        _resize("nearest", "round_prefer_ceil", "half_pixel"),
    ),
    **dict.fromkeys(("upsample_linear1d", "upsample_bilinear2d"), _resize("linear", rule="half_pixel")),
    "upsample_bicubic2d": _resize("cubic", rule="half_pixel"),
}
ARRANGE_MOVES = frozenset(
    ("flip", "roll", "repeat", "tile", "expand", "expand_as", "repeat_interleave", "index_select", "index")
)
