"""Resizing: which positions of an axis an output position reads, and with which weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from smidgen.load.source import Constant, NotCaptured, Source

Positions = npt.NDArray[np.float64]
CUBIC = -0.75  # the usual coefficient of cubic convolution, that of PyTorch and ONNX


def source_positions(size: int, out: int, scale: float, rule: str) -> Positions:
    """Where in 0..size-1 each of `out` positions lies; `scale`: output positions an input position.

    `rule` is one of ONNX's coordinate transformation modes. Raises NotCaptured for others.
    """
    i = np.arange(out, dtype=np.float64)
    if rule == "align_corners":
        length = scale * size  # not rounded: where a scale makes a broken length, ONNX computes with that
        return i * ((size - 1) / (length - 1)) if out > 1 else 0.0 * i
    if rule == "asymmetric":
        return i / scale
    if rule == "half_pixel" or (rule == "pytorch_half_pixel" and out > 1):
        return (i + 0.5) / scale - 0.5
    if rule == "pytorch_half_pixel":
        return 0.0 * i
    if rule == "half_pixel_symmetric":
        middle = size / 2 * (1 - out / (scale * size))
        return middle + (i + 0.5) / scale - 0.5
    raise NotCaptured(f"resizing with {rule} coordinates", "Use half_pixel, asymmetric or align_corners")


ROUNDINGS: Mapping[str, Callable[[Positions], Positions]] = {
    "floor": np.floor,
    "ceil": np.ceil,
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
}


def nearest(source: Source, x: str, axis: int, at: Positions, rounding: str, name: str) -> str:
    """The element nearest to each of the positions `at`; `rounding` is one of `ROUNDINGS`."""
    # Positions that are whole numbers must not fall below them by float rounding.
    whole = ROUNDINGS[rounding](np.round(at, 9)).astype(np.int64)
    return source.gather(x, axis, np.clip(whole, 0, source.shape(x)[axis] - 1), name)


def interpolated(source: Source, x: str, axis: int, at: Positions, kind: str, name: str) -> str:
    """Linear or cubic interpolation along an axis: a linear layer with constant weights."""
    weight = interpolation_matrix(source.shape(x)[axis], at, kind)
    return source.axis_last(x, axis, name, lambda v: source.linear(v, Constant(weight), None, name))


def interpolation_matrix(size: int, at: Positions, kind: str) -> npt.NDArray[np.float32]:
    """[out, size]; beyond the ends, the elements there count again."""
    taps = {"linear": _linear_taps, "cubic": _cubic_taps}
    if kind not in taps:
        raise NotCaptured(f"{kind} interpolation", "Use nearest, linear or cubic")
    first = np.floor(at)
    matrix, rows = np.zeros((len(at), size)), np.arange(len(at))
    for offset, weight in taps[kind](at - first).items():
        columns = np.clip(first + offset, 0, size - 1).astype(np.int64)
        np.add.at(matrix, (rows, columns), weight)
    return matrix.astype(np.float32)


def _linear_taps(t: Positions) -> dict[int, Positions]:
    return {0: 1 - t, 1: t}


def _cubic_taps(t: Positions) -> dict[int, Positions]:
    """Cubic convolution.

    Ref: Keys 1981, Cubic convolution interpolation for digital image processing (IEEE TASSP 29), equation 4.
    """

    def near(d: Positions) -> Positions:
        return ((CUBIC + 2) * d - (CUBIC + 3)) * d * d + 1

    def far(d: Positions) -> Positions:
        return ((CUBIC * d - 5 * CUBIC) * d + 8 * CUBIC) * d - 4 * CUBIC

    return {-1: far(t + 1), 0: near(t), 1: near(1 - t), 2: far(2 - t)}
