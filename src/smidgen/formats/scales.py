"""Scales in files: positive bfloat16 values, 2 bytes each."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile
from smidgen.formats.base import Leaf
from smidgen.formats.dense import leaf_of
from smidgen.numerics import Array


def scale_leaf(scale: npt.NDArray[np.float32]) -> Leaf:
    """The stream called `scale`: the upper halves of float32 values that are bfloat16 values."""
    return Leaf("scale", (scale.view(np.uint32) >> np.uint32(16)).astype(np.uint16), 16, signed=False)


def scales_of(leaves: Mapping[str, Array], size: int, where: str) -> npt.NDArray[np.float32]:
    """The `size` scales in `leaves`, float32. Raises BadFile unless all are finite and positive."""
    scale = (leaf_of(leaves, "scale", size).astype(np.uint32) << np.uint32(16)).view(np.float32)
    if not np.all(np.isfinite(scale) & (scale > 0)):
        raise BadFile(where, "a scale that is not a positive number")
    return scale
