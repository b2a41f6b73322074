"""Integer operators that read whole rows, exactly as docs/NUMERICS.md defines them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from smidgen.formats import Grid
from smidgen.numerics import Array, IntArray, requantize, saturate
from smidgen.run.interpreter import Site


def grid_of(value_grid: Grid | None) -> Grid:
    assert value_grid is not None, "integer values carry a grid"
    return value_grid


def output_zero(site: Site) -> int:
    return grid_of(site.outputs[0].grid).zero


def centered(site: Site, x: Sequence[Array], which: int = 0) -> IntArray:
    """Input minus its zero point."""
    return x[which].astype(np.int64) - grid_of(site.inputs[which].grid).zero


def made(site: Site, y: Array) -> Array:
    """`y` in the type of the node's output."""
    return y.astype(site.outputs[0].dtype)


def softmax(site: Site, x: Sequence[Array]) -> Array:
    q = x[0].astype(np.int64)
    kept = site.weights["mask"] != 0 if "mask" in site.weights else np.True_
    top = np.where(kept, q, np.iinfo(x[0].dtype).min).max(axis=-1, keepdims=True)
    e = np.where(kept, _exponentials(site, np.maximum(top - q, 0)), 0)
    total = np.maximum(e.sum(axis=-1, keepdims=True), 1)  # 0 where nothing is kept
    return made(site, np.minimum((256 * e + total // 2) // total - 128, 127))


def _exponentials(site: Site, distance: IntArray) -> IntArray:
    table: IntArray = site.weights["table"].astype(np.int64)
    if site.inputs[0].dtype == "int8":
        return np.asarray(table[distance])
    u = requantize(distance, site.weights["multiplier"], site.weights["shift"])
    return np.asarray(table[u & 255] >> np.minimum(u >> 8, 16))


def normalize(site: Site, x: Sequence[Array]) -> Array:
    a, w = site.attrs, site.weights
    axes = tuple(axis + 1 for axis in a["axes"])
    count = math.prod(site.inputs[0].shape[axis] for axis in a["axes"])
    d = centered(site, x)
    total = d.sum(axis=axes, keepdims=True) * int(a["centered"])
    spread = count * np.square(d).sum(axis=axes, keepdims=True) - np.square(total)
    root = integer_root((spread << 2 * a["root_shift"]) + (a["epsilon"] << a["epsilon_shift"]))
    inverse = (1 << (a["root_shift"] + 43)) // root
    normal = ((count * d - total) * inverse + (1 << 26)) >> 27
    m, b = (w[role].astype(np.int64) for role in ("multiplier", "bias"))
    y = (normal * m + (b << (a["shift"] - 8)) + (1 << (a["shift"] - 1))) >> a["shift"]
    return made(site, saturate(y + output_zero(site), a["lo"], a["hi"]))


def integer_root(v: IntArray) -> IntArray:
    """floor(sqrt(v)) for 0 <= v < 2^62: float64 is off by one at most."""
    root = np.sqrt(v.astype(np.float64)).astype(np.int64)
    root -= root * root > v
    return np.asarray(root + ((root + 1) * (root + 1) <= v))
