"""Integer operators, exactly as docs/NUMERICS.md defines them: the oracle, written for clarity.

Sums run in float64, which is exact here: lowering proves every |accumulator| < 2^31, far below 2^53.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from smidgen.formats.packing import WORD_BITS, pack_planes, pack_words, unpack_planes, unpack_words
from smidgen.graph.overwrite import Overwrite, overwritten
from smidgen.numerics import Array, IntArray, requantize, saturate
from smidgen.run.float_ops import (
    align,
    concat,
    constant,
    gather,
    reduce_max,
    reshape,
    slice_axis,
    spread,
    transpose,
    tree_sums,
)
from smidgen.run.integer_rows import centered, grid_of, made, normalize, output_zero, softmax
from smidgen.run.interpreter import Function, Site
from smidgen.run.scan import run_scan
from smidgen.run.windows import convolve, window_counts, windows


def _finish(site: Site, acc: Array) -> Array:
    return made(site, _saturated(site, acc))


def _saturated(site: Site, acc: Array) -> IntArray:
    """Requantize by the node's (M, s), add the output's zero point, saturate to [lo, hi]."""
    y = requantize(acc, site.weights["multiplier"], site.weights["shift"]) + output_zero(site)
    return saturate(y, site.attrs["lo"], site.attrs["hi"])


def _weight(site: Site, x: Sequence[Array]) -> Array:
    """The stored weight, or the one that a q.decode node expanded (second input)."""
    return (site.weights["weight"] if "weight" in site.weights else x[1]).astype(np.float64)


def _linear(site: Site, x: Sequence[Array]) -> Array:
    acc = centered(site, x).astype(np.float64) @ _weight(site, x).T
    return _finish(site, acc.astype(np.int64) + site.weights["bias"])


def _conv(site: Site, x: Sequence[Array]) -> Array:
    a = site.attrs
    acc = convolve(
        centered(site, x).astype(np.float64),
        _weight(site, x),
        a["stride"],
        a["padding"],
        a["dilation"],
        a["groups"],
    )
    return _finish(site, acc.astype(np.int64) + site.weights["bias"])


def _signs(words: Array, channels: int) -> Array:
    """Packed bits as +1 and -1."""
    return np.where(unpack_words(words, channels), 1.0, -1.0)


def _binarize(site: Site, x: Sequence[Array]) -> Array:
    return pack_words((x[0] >= site.weights["threshold"]) != (site.weights["flip"] != 0))


def _binary_linear(site: Site, x: Sequence[Array]) -> Array:
    w = site.weights["weight"].astype(np.float64)
    return _compared(site, (_signs(x[0], w.shape[-1]) @ w.T).astype(np.int64))


def _binary_conv(site: Site, x: Sequence[Array]) -> Array:
    a, w = site.attrs, site.weights["weight"].astype(np.float64)
    signs = _signs(x[0], w.shape[-1])
    return _compared(site, convolve(signs, w, a["stride"], a["padding"], a["dilation"], 1).astype(np.int64))


def _binary_max_pool(site: Site, x: Sequence[Array]) -> Array:
    a, rank = site.attrs, len(site.attrs["kernel"])
    view = windows(x[0], a["kernel"], a["stride"], a["padding"], (1,) * rank, 0)
    return np.asarray(np.bitwise_or.reduce(view, axis=tuple(range(rank + 1, 2 * rank + 1))))


def _compared(site: Site, acc: Array) -> Array:
    """Bits by threshold, or int8 where there is none."""
    if "threshold" in site.weights:
        return pack_words(acc >= site.weights["threshold"])
    return _finish(site, acc + site.weights["bias"])


def _planes(site: Site, x: Sequence[Array]) -> Array:
    return pack_planes(centered(site, x), site.outputs[0].shape[0])


def _serial_linear(site: Site, x: Sequence[Array]) -> Array:
    w = site.weights["weight"].astype(np.float64)
    acc = unpack_planes(x[0], w.shape[-1]).astype(np.float64) @ w.T
    return _finish_levels(site, acc.astype(np.int64) + site.weights["bias"])


def _serial_conv(site: Site, x: Sequence[Array]) -> Array:
    a, w = site.attrs, site.weights["weight"].astype(np.float64)
    levels = unpack_planes(x[0], w.shape[-1]).astype(np.float64)
    acc = convolve(levels, w, a["stride"], a["padding"], a["dilation"], 1)
    return _finish_levels(site, acc.astype(np.int64) + site.weights["bias"])


def _finish_levels(site: Site, acc: Array) -> Array:
    """As `_finish`, in planes where the output is."""
    y = _saturated(site, acc)
    out = site.outputs[0]
    return pack_planes(y - site.attrs["lo"], out.shape[0]) if out.dtype == "uint32" else made(site, y)


def _planes_max_pool(site: Site, x: Sequence[Array]) -> Array:
    a, channels = site.attrs, x[0].shape[-1] * WORD_BITS
    rank = len(a["kernel"])
    view = windows(unpack_planes(x[0], channels), a["kernel"], a["stride"], a["padding"], (1,) * rank, 0)
    return pack_planes(view.max(axis=tuple(range(rank + 1, 2 * rank + 1))), x[0].shape[1])


def _max_pool(site: Site, x: Sequence[Array]) -> Array:
    a = site.attrs
    rank = len(a["kernel"])
    lowest = np.iinfo(x[0].dtype).min
    view = windows(x[0], a["kernel"], a["stride"], a["padding"], (1,) * rank, lowest)
    return np.asarray(view.max(axis=tuple(range(rank + 1, 2 * rank + 1))))


def _avg_pool(site: Site, x: Sequence[Array]) -> Array:
    a = site.attrs
    rank = len(a["kernel"])
    view = windows(centered(site, x), a["kernel"], a["stride"], a["padding"], (1,) * rank, 0)
    acc = view.sum(axis=tuple(range(rank + 1, 2 * rank + 1)))
    m, s = site.weights["multiplier"], site.weights["shift"]
    if m.size > 1:  # one ratio per number of positions inside the input
        index = window_counts(site.inputs[0].shape[:-1], a["kernel"], a["stride"], a["padding"]) - 1
        m, s = m[index][..., None], s[index][..., None]
    y = requantize(acc, m, s) + output_zero(site)
    return made(site, saturate(y, a["lo"], a["hi"]))


def _mean(site: Site, x: Sequence[Array]) -> Array:
    axes = tuple(axis + 1 for axis in site.attrs["axes"])
    return _finish(site, centered(site, x).sum(axis=axes, keepdims=site.attrs["keepdims"]))


def _add(site: Site, x: Sequence[Array]) -> Array:
    a, b = align([centered(site, x, 0), centered(site, x, 1)])
    m, s = site.weights["multiplier"].astype(np.int64), site.attrs["shift"]
    y = ((a * m[0] + b * m[1] + (1 << (s - 1))) >> s) + output_zero(site)
    return made(site, saturate(y, site.attrs["lo"], site.attrs["hi"]))


def _mul(site: Site, x: Sequence[Array]) -> Array:
    a, b = align([centered(site, x, 0), centered(site, x, 1)])
    return _finish(site, a * b)


def _matmul(site: Site, x: Sequence[Array]) -> Array:
    a, b = align([centered(site, x, which).astype(np.float64) for which in (0, 1)])
    return _finish(site, np.matmul(a, b).astype(np.int64))


def _table(site: Site, x: Sequence[Array]) -> Array:
    table, q = site.weights["table"].astype(np.int64), x[0].astype(np.int64)
    if x[0].dtype == np.int8:
        return made(site, table[q + 128])
    knot, rest = (q + 32768) >> 8, (q + 32768) & 255
    return made(site, table[knot] + (((table[knot + 1] - table[knot]) * rest + 128) >> 8))


def _embedding(site: Site, x: Sequence[Array]) -> Array:
    weight, m, s = (site.weights[role] for role in ("weight", "multiplier", "shift"))
    row = np.clip(centered(site, x), 0, len(weight) - 1)
    of_row = (m[row][..., None], s[row][..., None]) if m.size > 1 else (m, s)
    y = requantize(weight[row], *of_row) + output_zero(site)
    return made(site, saturate(y, site.attrs["lo"], site.attrs["hi"]))


def _scan(site: Site, x: Sequence[Array]) -> Sequence[Array]:
    return run_scan(site, x, INTEGER_FUNCTIONS)


def _pad(site: Site, x: Sequence[Array]) -> Array:
    zero = output_zero(site)
    return np.pad(x[0], [(0, 0), *site.attrs["pads"]], constant_values=zero)


def _overwrite(site: Site, x: Sequence[Array]) -> Array:
    zero = output_zero(site)
    return made(site, overwritten(centered(site, x), Overwrite.of(site.attrs)) + zero)


INTEGER_FUNCTIONS: Mapping[str, Function] = {
    "quantize": lambda site, x: made(site, grid_of(site.outputs[0].grid).quantize(x[0])),
    "dequantize": lambda site, x: grid_of(site.inputs[0].grid).dequantize(x[0]),
    "q.decode": lambda site, x: site.weights["weight"],
    "q.linear": _linear,
    "q.conv": _conv,
    "q.binarize": _binarize,
    **dict.fromkeys(("q.binary_linear", "q.binary_linear_bits"), _binary_linear),
    **dict.fromkeys(("q.binary_conv", "q.binary_conv_bits"), _binary_conv),
    "q.binary_max_pool": _binary_max_pool,
    "q.planes": _planes,
    **dict.fromkeys(("q.serial_linear", "q.serial_linear_planes"), _serial_linear),
    **dict.fromkeys(("q.serial_conv", "q.serial_conv_planes"), _serial_conv),
    "q.planes_max_pool": _planes_max_pool,
    "q.max_pool": _max_pool,
    "q.avg_pool": _avg_pool,
    "q.mean": _mean,
    "q.add": _add,
    "q.mul": _mul,
    "q.matmul": _matmul,
    "q.requantize": lambda site, x: _finish(site, centered(site, x)),
    "q.table": _table,
    "q.reduce_max": reduce_max,
    "q.constant": constant,
    "q.softmax": softmax,
    "q.normalize": normalize,
    "q.concat": concat,
    "q.reshape": reshape,
    "q.transpose": transpose,
    "q.pad": _pad,
    "q.slice": slice_axis,
    "q.spread": lambda site, x: spread(site, x[0], output_zero(site)),
    "q.gather": gather,
    "q.overwrite": _overwrite,
    "q.embedding": _embedding,
    "q.scan": _scan,
    "q.trees": lambda site, x: _finish(site, tree_sums(site, x[0])),
}
