"""Scales in files: positive bfloat16 values, 2 bytes each, or float32 ones that another tool chose."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Leaf
from smidgen.formats.dense import leaf_of
from smidgen.numerics import Array, FloatArray, bfloat16_up, power_of_two


def is_bfloat16(scale: npt.NDArray[np.float32]) -> bool:
    """True if the lower half of every float32 value is zero."""
    return not np.any(scale.view(np.uint32) & np.uint32(0xFFFF))


def scale_leaf(scale: npt.NDArray[np.float32]) -> Leaf:
    """The stream called `scale`: the upper halves of float32 values where those suffice, else all of them."""
    words = np.ascontiguousarray(scale).ravel().view(np.uint32)
    if is_bfloat16(words.view(np.float32)):
        return Leaf("scale", (words >> np.uint32(16)).astype(np.uint16), 16, signed=False)
    return Leaf("scale", words, 32, signed=False)


def scales_of(
    leaves: Mapping[str, Array], size: int, where: str, whole: bool = False
) -> npt.NDArray[np.float32]:
    """The `size` scales in `leaves`, float32; `whole`: stored in 32 bits.

    Raises BadFile unless all are finite and positive.
    """
    words = leaf_of(leaves, "scale", size).astype(np.uint32)
    scale = (words if whole else words << np.uint32(16)).view(np.float32)
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise BadFile(where, "a scale that is not a positive number")
    return scale


def floored(sizes: FloatArray) -> npt.NDArray[np.float32]:
    """Stored scales [rows] for the `sizes` wanted, at least 2^-20 and 2^-10 of the largest."""
    return bfloat16_up(_not_too_small(sizes))


def floored_powers(sizes: FloatArray) -> npt.NDArray[np.float32]:
    """The same as the nearest powers of two, which are bfloat16 values."""
    return power_of_two(_not_too_small(sizes)).astype(np.float32)


def are_powers(scale: Array) -> bool:
    """True if every entry is a power of two, or the negative of one."""
    return bool(np.all(np.abs(np.frexp(scale)[0]) == 0.5))


def _not_too_small(sizes: FloatArray) -> FloatArray:
    """What a nearly dead channel loses is nothing, and its bias, counted in its own steps, would not fit
    int32.
    """
    least = max(float(sizes.max(initial=0.0)) * 2.0**-10, 2.0**-20)
    return np.maximum(sizes, least)
