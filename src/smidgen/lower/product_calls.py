"""Kernel calls of products of two computed tensors, and of operators that place elements anew."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from smidgen.graph.overwrite import Overwrite
from smidgen.lower.calls import bytes_each, lead, merged_axes, same_grids, strides_of
from smidgen.lower.products import swing
from smidgen.lower.program import Call
from smidgen.lower.site import CallSite, grid_of

LEADING_AXES = 3  # of products, after neighbouring ones are merged
SPREAD_AXES = 3
INT32_MAX = 2**31 - 1


def _matmul(site: CallSite) -> list[Call]:
    *outer, rows, columns = site.out.shape
    inner = site.value().shape[-1]
    strides = [_outer_strides(site.value(which).shape, len(outer)) for which in (0, 1)]
    dims, merged = merged_axes(outer, *strides)
    if len(dims) > LEADING_AXES:
        raise site.refuse(f"a product over {len(dims)} leading axes", f"kernels take {LEADING_AXES}")
    if inner * math.prod(swing(grid_of(site.value(which))) for which in (0, 1)) > INT32_MAX:
        raise site.refuse(f"sums of {inner} products", "32 bits hold 2^31 - 1")
    args = {f"d{i}": size for i, size in enumerate(lead(dims, LEADING_AXES, 1))}
    for which in (0, 1):
        args |= {f"s{which}_{i}": n for i, n in enumerate(lead(merged[which], LEADING_AXES, 0))}
    args |= {"rows": rows, "inner": inner, "columns": columns}
    args |= {"zero_0": site.zero(0), "zero_1": site.zero(1)} | site.finish() | {"wide_y": site.wide_out}
    multiplier, shift, _ = site.ratio()
    return [site.call("q_matmul", args, site.input(0), site.input(1), multiplier, shift, site.output())]


def _outer_strides(shape: Sequence[int], rank: int) -> list[int]:
    """Element strides of the `rank` axes in front of the matrices, 0 where the same matrix is used again."""
    own = zip(shape[:-2], strides_of(shape))
    return lead([0 if size == 1 else step for size, step in own], rank, 0)


def _spread(site: CallSite) -> list[Call]:
    """Neighbouring axes that are not spread merge; those behind the last spread axis are one run."""
    same_grids(site)
    sizes: list[int] = []
    steps: list[int] = []
    for size, step in zip(site.value().shape, site.node.attrs["steps"], strict=True):
        if step == 1 and steps and steps[-1] == 1:
            sizes[-1] *= size
        elif size > 1:
            sizes.append(size)
            steps.append(step)
    run = sizes.pop() if steps and steps[-1] == 1 else 1
    steps = steps[: len(sizes)]
    if len(sizes) > SPREAD_AXES:
        raise site.refuse(f"{len(sizes)} runs of spread axes", f"kernels take {SPREAD_AXES}")
    args = {f"d{i}": size for i, size in enumerate(lead(sizes, SPREAD_AXES, 1))} | {"run": run}
    args |= {f"step_{i}": step for i, step in enumerate(lead(steps, SPREAD_AXES, 1))}
    args |= {"value": grid_of(site.out).zero}
    return [site.call("spread", args, site.input(), site.output())]


def _gather(site: CallSite) -> list[Call]:
    same_grids(site)
    shape, axis = site.value().shape, site.node.attrs["axis"]
    indices = site.integers("indices", np.int32)
    if indices.min(initial=0) < 0 or indices.max(initial=0) >= shape[axis]:
        raise site.refuse(f"positions up to {indices.max()}", f"the axis has {shape[axis]}")
    pointer = site.constants.pointer(site.node.params["indices"], indices)
    args = {"rows": math.prod(shape[:axis]), "size": shape[axis], "run": math.prod(shape[axis + 1 :])}
    args["run"] *= bytes_each(site)
    return [site.call("gather", args | {"count": indices.size}, site.input(), pointer, site.output())]


def _overwrite(site: CallSite) -> list[Call]:
    same_grids(site)
    rule, (*rows, channels) = Overwrite.of(site.node.attrs), site.out.shape
    if site.zero() != grid_of(site.out).qmin:
        raise site.refuse(f"codes with zero point {site.zero()}", "codes start at real 0")
    args = {"rows": math.prod(rows), "channels": channels, "bits": rule.bits, "fraction": rule.fraction}
    args |= {"reach": min(rule.reach, channels), "tile": min(rule.tile, channels)}
    return [site.call("q_overwrite", args, site.input(), site.output())]


PRODUCT_CALLS: Mapping[str, Callable[[CallSite], list[Call]]] = {
    "q.matmul": _matmul,
    "q.spread": _spread,
    "q.gather": _gather,
    "q.overwrite": _overwrite,
}
