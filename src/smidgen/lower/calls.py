"""One rule an integer operator: the kernel calls that compute it. Argument orders are those of smidgen.h."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from smidgen.graph.trees import problem_of
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite, grid_of, stored_constant
from smidgen.numerics import MAX_SHIFT

RANK = 4  # of element-wise kernels, after neighbouring axes are merged
ADD_MAX_MULTIPLIER = 65535
TABLE_KNOTS = 257
ADD_MAX_SHIFT = 30  # |a M0 + b M1| < 2^25: any longer shift rounds to 0, as this one does
DEPTHWISE_MAX_TAPS = 256  # SMG_DEPTHWISE_TAPS
MEAN_MAX_COUNT = (1 << 31) // 256


def _linear(site: CallSite) -> list[Call]:
    *rows, features = site.value().shape
    out = site.out.shape[-1]
    multiplier, shift, per_channel = site.ratio(out)
    args = {"rows": math.prod(rows), "in": features, "out": out, "zero_x": site.zero()}
    args |= site.finish() | {"per_channel": per_channel}
    pointers = (site.input(), site.weight(), site.bias(out), multiplier, shift, site.output())
    return [site.call("q_linear16" if site.wide_out else "q_linear", args, *pointers)]


def _pair(site: CallSite, values: Sequence[int], lead: int) -> tuple[int, int]:
    """A spatial attribute as (height, width); a sequence is an image with one row."""
    if len(values) > 2:
        raise site.refuse(f"{len(values)} spatial axes", "kernels take one or two")
    return (lead, int(values[0])) if len(values) == 1 else (int(values[0]), int(values[1]))


def spatial(site: CallSite, kernel: Sequence[int]) -> dict[str, int]:
    """Arguments that all sliding windows share, by name."""
    return window(site, kernel, site.value().shape[:-1], site.out.shape[:-1])


def window(site: CallSite, kernel: Sequence[int], space: Sequence[int], out: Sequence[int]) -> dict[str, int]:
    """The same for an input and an output of the spatial sizes `space` and `out`."""
    attrs = site.node.attrs
    found = {
        "in": _pair(site, space, 1),
        "out": _pair(site, out, 1),
        "k": _pair(site, kernel, 1),
        "stride": _pair(site, attrs["stride"], 1),
        "pad": _pair(site, [before for before, _ in attrs["padding"]], 0),
        "dilation": _pair(site, attrs.get("dilation", (1,) * len(kernel)), 1),
    }
    axes = {"pad": ("top", "left")}
    return {
        f"{what}_{axis}": size
        for what, sizes in found.items()
        for axis, size in zip(axes.get(what, ("h", "w")), sizes, strict=True)
    }


STEPS = "k_h k_w stride_h stride_w pad_top pad_left"
CONV_FIELDS = f"in_h in_w in_c out_h out_w out_c {STEPS} dilation_h dilation_w groups"
DEPTHWISE_FIELDS = f"in_h in_w channels out_h out_w {STEPS} dilation_h dilation_w"
POOL_FIELDS = f"in_h in_w channels out_h out_w {STEPS}"


def chosen(values: Mapping[str, int], fields: str) -> dict[str, int]:
    """The arguments of a kernel in its order: `fields` of `values`."""
    return {key: values[key] for key in fields.split()}


def conv_window(site: CallSite) -> dict[str, int]:
    """All of CONV_FIELDS and DEPTHWISE_FIELDS."""
    out, *kernel, _ = site.weight_shape()
    channels = {key: site.value().shape[-1] for key in ("in_c", "channels")}
    return spatial(site, kernel) | channels | {"out_c": out, "groups": site.node.attrs["groups"]}


def _conv(site: CallSite) -> list[Call]:
    window = conv_window(site)
    out, channels, taps = window["out_c"], window["channels"], window["k_h"] * window["k_w"]
    multiplier, shift, per_channel = site.ratio(out)
    depthwise = window["groups"] == channels == out and taps <= DEPTHWISE_MAX_TAPS
    args = chosen(window, DEPTHWISE_FIELDS if depthwise else CONV_FIELDS)
    args |= {"zero_x": site.zero()} | site.finish() | {"per_channel": per_channel}
    pointers = (site.input(), site.weight(), site.bias(out), multiplier, shift, site.output())
    return [site.call("q_depthwise" if depthwise else "q_conv", args, *pointers)]


def _pool_args(site: CallSite) -> dict[str, int]:
    window = spatial(site, site.node.attrs["kernel"]) | {"channels": site.value().shape[-1]}
    return chosen(window, POOL_FIELDS)


def _max_pool(site: CallSite) -> list[Call]:
    return [site.call("q_max_pool", _pool_args(site), site.input(), site.output())]


def _avg_pool(site: CallSite) -> list[Call]:
    count = math.prod(site.node.attrs["kernel"])
    if count >= MEAN_MAX_COUNT:
        raise site.refuse(f"an average of {count} values", f"fewer than {MEAN_MAX_COUNT} fit the accumulator")
    multiplier, shift, by_count = site.ratio(count)
    args = _pool_args(site) | {"zero_x": site.zero()} | site.finish() | {"by_count": by_count}
    return [site.call("q_avg_pool", args, site.input(), multiplier, shift, site.output())]


def reduced_axes(site: CallSite) -> dict[str, int]:
    """k0 r0 k1 r1 k2: neighbouring axes of one kind merge, so that kept and reduced ones alternate."""
    sizes, kept = [1], True
    for axis, size in enumerate(site.value().shape):
        if size == 1:
            continue
        if kept == (axis not in site.node.attrs["axes"]):
            sizes[-1] *= size
        else:
            sizes.append(size)
            kept = not kept
    if len(sizes) > 5:
        raise site.refuse(
            f"a reduction of axes {tuple(site.node.attrs['axes'])}", "kernels reduce two runs of axes"
        )
    if len(sizes) % 2 == 0:
        sizes.append(1)
    sizes = [1] * (5 - len(sizes)) + sizes  # reductions that are not there go to the front
    return dict(zip(("k0", "r0", "k1", "r1", "k2"), sizes, strict=True))


def _mean(site: CallSite) -> list[Call]:
    args = reduced_axes(site)
    if args["r0"] * args["r1"] >= MEAN_MAX_COUNT:
        raise site.refuse("a mean of too many values", f"fewer than {MEAN_MAX_COUNT} fit the accumulator")
    multiplier, shift, _ = site.ratio()
    args |= {"zero_x": site.zero()} | site.finish()
    return [site.call("q_mean", args, site.input(), multiplier, shift, site.output())]


def _reduce_max(site: CallSite) -> list[Call]:
    same_grids(site)
    return [site.call("q_reduce_max", reduced_axes(site), site.input(), site.output())]


def _constant(site: CallSite) -> list[Call]:
    """Read where it is stored, unless the caller wants it as an output."""
    stored = stored_constant(site.graph, site.node, site.constants)
    if site.node.name not in site.copies:
        return []
    args = {"rows": 1, "run": site.out.nbytes, "stride_x": 0, "stride_y": 0}
    return [site.call("copy", args, stored, site.output())]


def strides_of(shape: Sequence[int]) -> list[int]:
    """Element strides of a contiguous array."""
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]


def merged_axes(dims: Sequence[int], *strides: Sequence[int]) -> tuple[list[int], list[list[int]]]:
    """Fewer axes that visit the same elements in the same order: neighbours merge where all strides allow."""
    kept: list[tuple[int, ...]] = []  # (size, stride of each operand)
    for size, *steps in zip(dims, *strides, strict=True):
        if size == 1:
            continue
        if kept and all(outer == size * inner for outer, inner in zip(kept[-1][1:], steps, strict=True)):
            kept[-1] = (kept[-1][0] * size, *steps)
        else:
            kept.append((size, *steps))
    return [axis[0] for axis in kept], [[axis[i + 1] for axis in kept] for i in range(len(strides))]


def lead(values: Sequence[int], rank: int, fill: int) -> list[int]:
    """`values` as the last of `rank` ones, the others `fill`."""
    return [fill] * (rank - len(values)) + list(values)


def _broadcast(site: CallSite) -> dict[str, int]:
    """d0..d3, s0_0..s0_3, s1_0..s1_3 of a binary operator."""
    shape = site.out.shape
    strides = []
    for which in (0, 1):
        own = site.value(which).shape
        steps = [0 if size == 1 else step for size, step in zip(own, strides_of(own), strict=True)]
        strides.append(lead(steps, len(shape), 0))
    dims, merged = merged_axes(shape, *strides)
    if len(dims) > RANK:
        raise site.refuse(f"broadcasting over {len(dims)} axes", f"kernels take {RANK}")
    args = {f"d{i}": size for i, size in enumerate(lead(dims, RANK, 1))}
    for which in (0, 1):
        args |= {f"s{which}_{i}": step for i, step in enumerate(lead(merged[which], RANK, 0))}
    return args | {"zero_0": site.zero(0), "zero_1": site.zero(1)}


def _widths(site: CallSite) -> dict[str, int]:
    """Which values of an elementwise operator have 16 bits; empty if none: the kernel for int8 then does."""
    inputs = [site.wide(which) for which in range(len(site.node.inputs))]
    names = ["wide_x"] if len(inputs) == 1 else [f"wide_{which}" for which in range(len(inputs))]
    widths = dict(zip(names, inputs, strict=True)) | {"wide_y": site.wide_out}
    return widths if any(widths.values()) else {}


def _elementwise(site: CallSite, kernel: str, args: dict[str, int], *pointers: Pointer) -> list[Call]:
    widths = _widths(site)
    return [site.call(f"{kernel}16" if widths else kernel, args | widths, *pointers, site.output())]


def _add(site: CallSite) -> list[Call]:
    # Op-set 1 knew sums alone, with uint16 multipliers.
    multiplier = site.integers("multiplier", np.int32, np.uint16).astype(np.int64)
    shift, most = int(site.node.attrs["shift"]), MAX_SHIFT if _widths(site) else ADD_MAX_SHIFT
    if multiplier.size != 2 or np.abs(multiplier).max() > ADD_MAX_MULTIPLIER or not 1 <= shift <= MAX_SHIFT:
        expected = f"2 of at most {ADD_MAX_MULTIPLIER} in size and a shift of 1 to {MAX_SHIFT} are defined"
        raise site.refuse(f"multipliers {multiplier.tolist()} and shift {shift}", expected)
    args = _broadcast(site) | {"multiplier_0": int(multiplier[0]), "multiplier_1": int(multiplier[1])}
    args |= {"shift": min(shift, most)} | site.finish()
    return _elementwise(site, "q_add", args, site.input(0), site.input(1))


def _mul(site: CallSite) -> list[Call]:
    multiplier, shift, _ = site.ratio()
    args = _broadcast(site) | site.finish()
    return _elementwise(site, "q_mul", args, site.input(0), site.input(1), multiplier, shift)


def _requantize(site: CallSite) -> list[Call]:
    channels = site.out.shape[-1] if site.out.shape else 1
    multiplier, shift, per_channel = site.ratio(channels)
    args = {"rows": site.out.size // channels, "channels": channels, "zero_x": site.zero()}
    args |= site.finish() | {"per_channel": per_channel}
    return _elementwise(site, "q_requantize", args, site.input(), multiplier, shift)


def _table(site: CallSite) -> list[Call]:
    args = {"count": site.out.size}
    if site.wide():
        table = site.param("table", np.int16, (TABLE_KNOTS,))
        args |= {"wide_y": site.wide_out}
        return [site.call("q_table16", args, site.input(), table, site.output())]
    table = site.param("table", np.int8, (256,))
    return [site.call("q_table", args, site.input(), table, site.output())]


def _embedding(site: CallSite) -> list[Call]:
    entries, features = site.weight_shape()
    multiplier, shift, per_row = site.ratio(entries)
    args = {"count": site.value().size, "entries": entries, "features": features, "zero_x": site.zero()}
    args |= site.finish() | {"per_row": per_row, "wide_x": site.wide()}
    return [site.call("q_embedding", args, site.input(), site.weight(), multiplier, shift, site.output())]


def _slice(site: CallSite) -> list[Call]:
    """Strided rows of the elements behind the axis, from the first one on."""
    same_grids(site)
    axis, start, step = (site.node.attrs[key] for key in ("axis", "start", "step"))
    strides = strides_of(site.value().shape)
    first, whole = start * strides[axis] * bytes_each(site), site.input()
    source = replace(whole, offset=whole.offset + first, nbytes=whole.nbytes - first)
    strides[axis] *= step
    return _strided(site, source, site.out.shape, strides)


def same_grids(site: CallSite) -> None:
    """Operators that only move bytes: a byte must mean the same number before and after."""
    for which in range(len(site.node.inputs)):
        if grid_of(site.value(which)) != grid_of(site.out):
            raise site.refuse(
                f"input {which + 1} has another grid than the output", "bytes are moved unchanged"
            )


def bytes_each(site: CallSite) -> int:
    """Bytes of one element of the output."""
    return site.out.nbytes // site.out.size


def _copy(site: CallSite) -> list[Call]:
    """A reshape moves nothing, unless both its ends belong to the caller."""
    same_grids(site)
    if site.node.name not in site.copies:
        return []
    args = {"rows": 1, "run": site.out.nbytes, "stride_x": 0, "stride_y": 0}
    return [site.call("copy", args, site.input(), site.output())]


def _concat(site: CallSite) -> list[Call]:
    same_grids(site)
    axis = site.node.attrs["axis"]
    inner = math.prod(site.out.shape[axis + 1 :]) * bytes_each(site)
    whole, calls, start = site.out.shape[axis] * inner, [], 0
    for which in range(len(site.node.inputs)):
        run = site.value(which).shape[axis] * inner
        rows = math.prod(site.out.shape[:axis])
        to = site.output()
        part = replace(to, offset=to.offset + start, nbytes=to.nbytes - start)
        args = {"rows": rows, "run": run, "stride_x": run, "stride_y": whole}
        calls.append(site.call("copy", args, site.input(which), part))
        start += run
    return calls


def _transpose(site: CallSite) -> list[Call]:
    same_grids(site)
    strides = strides_of(site.value().shape)
    steps = [strides[axis] for axis in site.node.attrs["perm"]]
    return _strided(site, site.input(), site.out.shape, steps)


def _strided(site: CallSite, source: Pointer, sizes: Sequence[int], strides: Sequence[int]) -> list[Call]:
    """The output, contiguous, from elements at `strides`; the bytes of an element are an axis."""
    each = bytes_each(site)
    dims, (steps,) = merged_axes((*sizes, each), (*(each * step for step in strides), 1))
    if len(dims) > 5:
        raise site.refuse(f"{len(dims)} axes that do not lie together", "kernels take 5")
    args = {f"d{i}": size for i, size in enumerate(lead(dims, 5, 1))}
    args |= {f"s{i}": step for i, step in enumerate(lead(steps, 5, 0))}
    return [site.call("transpose", args, source, site.output())]


def _pad(site: CallSite) -> list[Call]:
    same_grids(site)
    sizes, pads = site.value().shape, site.node.attrs["pads"]
    if len(sizes) > RANK:
        raise site.refuse(f"padding of {len(sizes)} axes", f"kernels take {RANK}")
    args = {f"d{i}": size for i, size in enumerate(lead(sizes, RANK, 1))}
    args |= {f"before_{i}": n for i, n in enumerate(lead([a for a, _ in pads], RANK, 0))}
    args |= {f"after_{i}": n for i, n in enumerate(lead([b for _, b in pads], RANK, 0))}
    return [site.call("pad", args | {"value": grid_of(site.out).zero}, site.input(), site.output())]


def _trees(site: CallSite) -> list[Call]:
    """A split is one row of int16: feature, threshold, both steps."""
    narrow = ("feature", "threshold", "children", "leaf")
    arrays = {role: site.integers(role, np.int16) for role in narrow}
    arrays |= {role: site.integers(role, np.int32) for role in ("tree", "bias")}
    shaped = {role: a.reshape(site.graph.weights[site.node.params[role]].shape) for role, a in arrays.items()}
    features, out = site.value().size, site.out.size
    if problem := problem_of(shaped, features):
        raise site.refuse(problem, "trees lead forward and stay inside their arrays")
    rows = np.column_stack([shaped["feature"], shaped["threshold"], shaped["children"]])
    splits = site.constants.pointer(f"{site.node.name}.splits", rows)
    leaf, tree, bias = (
        site.constants.pointer(site.node.params[role], arrays[role]) for role in ("leaf", "tree", "bias")
    )
    multiplier, shift, _ = site.ratio()
    leaves, width = shaped["leaf"].shape
    args = {"features": features, "bytes_x": site.value().nbytes // features, "splits": len(rows)}
    args |= {"trees": len(shaped["tree"]), "leaves": leaves, "width": width, "out": out} | site.finish()
    pointers = (site.input(), splits, tree, leaf, bias, multiplier, shift, site.output())
    return [site.call("q_trees", args, *pointers)]


RULES: Mapping[str, Callable[[CallSite], list[Call]]] = {
    "q.linear": _linear,
    "q.conv": _conv,
    "q.max_pool": _max_pool,
    "q.avg_pool": _avg_pool,
    "q.mean": _mean,
    "q.reduce_max": _reduce_max,
    "q.constant": _constant,
    "q.add": _add,
    "q.mul": _mul,
    "q.requantize": _requantize,
    "q.table": _table,
    "q.concat": _concat,
    "q.reshape": _copy,
    "q.transpose": _transpose,
    "q.pad": _pad,
    "q.slice": _slice,
    "q.embedding": _embedding,
    "q.trees": _trees,
}
