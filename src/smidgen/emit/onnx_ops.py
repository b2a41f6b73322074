"""The rules of docs/NUMERICS.md in ONNX operators, bit for bit: one function per integer operator.

Values are carried as bytes q + 128 (`uint8`; 16-bit ones as int32 q + 32768): ONNX Runtime computes
uint8 x uint8 exactly on every CPU, while its uint8 x int8 kernels may saturate. Sums run in MatMulInteger or
ConvInteger (int32), the rest in int64.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from smidgen.emit.onnx_site import Rule, Site, bias_of, grid_of
from smidgen.emit.onnx_tables import write_embedding, write_softmax, write_table
from smidgen.emit.onnx_writer import BIAS_TO_UNSIGNED, OnnxWriter, carried_type, lifted_rounding
from smidgen.formats import Grid
from smidgen.numerics import Array, IntArray
from smidgen.run.windows import window_counts

# Requantization


def finish(w: OnnxWriter, site: Site, acc: str, constant: IntArray | int = 0) -> str:
    """sat(requantize(acc + constant, M, s) + z_y) for an int32 or int64 `acc`."""
    return _requantized(w, site, acc, constant, site.int64("multiplier"), site.int64("shift"))


def _requantized(
    w: OnnxWriter, site: Site, acc: str, constant: IntArray | int, m: IntArray, s: IntArray
) -> str:
    wide = w.cast(acc, np.int64, f"{site.out}.acc64")
    lifted = w.affine(wide, m, constant * m + lifted_rounding(s), site.out)
    return w.to_carried(lifted, s, site.zero, site.bounds, site.bias, site.out)


def _requantize(w: OnnxWriter, site: Site) -> str:
    return finish(w, site, site.names[0], -site.zero_byte())


# Products


def _linear(w: OnnxWriter, site: Site) -> str:
    return finish(w, site, linear_sums(w, site), site.int64("bias"))


def linear_sums(w: OnnxWriter, site: Site) -> str:
    """int32 [..., O]: products with the weight, input zero points taken off."""
    weight = _unsigned(site.weights["weight"]).T
    operands = [
        site.names[0],
        w.constant(weight, np.uint8, f"{site.node.name}.weight"),
        w.constant(site.zero_byte(), np.uint8, f"{site.out}.zero"),
        w.constant(BIAS_TO_UNSIGNED, np.uint8, "weight_zero"),
    ]
    return w.op("MatMulInteger", operands, f"{site.out}.acc")


def _conv(w: OnnxWriter, site: Site) -> str:
    return finish(w, site, conv_sums(w, site), site.int64("bias"))


def conv_sums(w: OnnxWriter, site: Site) -> str:
    """int32 [n, *out, O] of a convolution; padding adds nothing."""
    a = site.attrs
    weight = np.moveaxis(_unsigned(site.weights["weight"]), -1, 1)
    window = (a["stride"], a["padding"], a["dilation"])
    return _conv_integer(w, site, weight, BIAS_TO_UNSIGNED, *window, groups=a["groups"])


def _conv_integer(
    w: OnnxWriter,
    site: Site,
    weight: Array,
    weight_zero: int,
    stride: Sequence[int],
    padding: Sequence[Sequence[int]],
    dilation: Sequence[int],
    groups: int,
) -> str:
    """int32 sums [n, *out, O] of a channels-last input; weight [O, I/groups, *k]; padding adds nothing."""
    rank = weight.ndim - 2
    operands = [
        channels_first(w, site.names[0], rank, f"{site.out}.planes"),
        w.constant(weight, np.uint8, f"{site.node.name}.weight"),
        w.constant(site.zero_byte(), np.uint8, f"{site.out}.zero"),
        w.constant(weight_zero, np.uint8, "weight_zero"),
    ]
    sums = w.op(
        "ConvInteger",
        operands,
        f"{site.out}.acc_planes",
        kernel_shape=list(weight.shape[2:]),
        strides=list(stride),
        pads=pads(padding),
        dilations=list(dilation),
        group=groups,
    )
    return channels_last(w, sums, rank, f"{site.out}.acc")


def _unsigned(weight: Array) -> IntArray:
    return weight.astype(np.int64) + BIAS_TO_UNSIGNED


def pads(padding: Sequence[Sequence[int]]) -> list[int]:
    """(before, after) an axis, as ONNX lists it: all befores, then all afters."""
    return [before for before, _ in padding] + [after for _, after in padding]


def channels_first(w: OnnxWriter, x: str, rank: int, name: str) -> str:
    """[n, *space, C] -> [n, C, *space]."""
    return w.op("Transpose", [x], name, perm=[0, rank + 1, *range(1, rank + 1)])


def channels_last(w: OnnxWriter, x: str, rank: int, name: str) -> str:
    """[n, C, *space] -> [n, *space, C]."""
    return w.op("Transpose", [x], name, perm=[0, *range(2, rank + 2), 1])


# Pooling


def _max_pool(w: OnnxWriter, site: Site) -> str:
    a = site.attrs
    rank = len(a["kernel"])
    x = site.names[0]
    if any(n for pair in a["padding"] for n in pair):
        # The lowest value never wins; ONNX's own padding may not be as wide as the window.
        x = padded(w, x, [*a["padding"], (0, 0)], np.uint8(0), f"{site.out}.padded")
    planes = channels_first(w, x, rank, f"{site.out}.planes")
    pooled = w.op(
        "MaxPool", [planes], f"{site.out}.max", kernel_shape=list(a["kernel"]), strides=list(a["stride"])
    )
    return channels_last(w, pooled, rank, site.out)


def _avg_pool(w: OnnxWriter, site: Site) -> str:
    a = site.attrs
    channels = site.inputs[0].shape[-1]
    ones = np.ones((channels, 1, *a["kernel"]))
    window = (a["stride"], a["padding"], (1,) * len(a["kernel"]))
    acc = _conv_integer(w, site, ones, 0, *window, groups=channels)
    m, s = site.int64("multiplier"), site.int64("shift")
    if m.size > 1:  # one ratio per number of positions inside the input
        index = window_counts(site.inputs[0].shape[:-1], a["kernel"], a["stride"], a["padding"]) - 1
        m, s = m[index][..., None], s[index][..., None]
    return _requantized(w, site, acc, 0, m, s)


def _mean(w: OnnxWriter, site: Site) -> str:
    axes = [axis + 1 for axis in site.attrs["axes"]]
    count = math.prod(site.inputs[0].shape[axis - 1] for axis in axes)
    wide = w.cast(site.names[0], np.int64, f"{site.out}.x64")
    total = w.op(
        "ReduceSum",
        [wide, w.constant(axes, np.int64, f"{site.out}.axes")],
        f"{site.out}.total",
        keepdims=int(site.attrs["keepdims"]),
    )
    return finish(w, site, total, -count * site.zero_byte())


def reduce_max(w: OnnxWriter, site: Site) -> str:
    axes = [axis + 1 for axis in site.attrs["axes"]]
    return w.op("ReduceMax", [site.names[0]], site.out, axes=axes, keepdims=int(site.attrs["keepdims"]))


def _constant(w: OnnxWriter, site: Site) -> str:
    return w.per_sample(site.int64("value") + site.bias, carried_type(site.bias), site.out)


# Two inputs


def aligned(w: OnnxWriter, site: Site) -> list[str]:
    """Both inputs, broadcast per sample: missing leading axes go behind the batch axis."""
    rank = max(len(value.shape) for value in site.inputs)
    found = []
    for x, value in zip(site.names, site.inputs, strict=True):
        if missing := rank - len(value.shape):
            axes = w.constant(range(1, missing + 1), np.int64, f"{site.out}.axes")
            x = w.op("Unsqueeze", [x, axes], f"{site.out}.aligned")
        found.append(x)
    return found


def _wide(w: OnnxWriter, site: Site) -> list[str]:
    """Both inputs in int64, aligned."""
    return [w.cast(x, np.int64, f"{site.out}.x{number}") for number, x in enumerate(aligned(w, site))]


def _add(w: OnnxWriter, site: Site) -> str:
    a, b = _wide(w, site)
    (m_a, m_b), shift = site.int64("multiplier"), np.asarray(site.attrs["shift"], dtype=np.int64)
    constant = lifted_rounding(shift) - site.zero_byte(0) * m_a - site.zero_byte(1) * m_b
    scaled = w.op("Mul", [a, w.constant(m_a, np.int64, f"{site.out}.factor")], f"{site.out}.a")
    lifted = w.op("Add", [scaled, w.affine(b, m_b, constant, site.out)], f"{site.out}.lifted")
    return w.to_carried(lifted, shift, site.zero, site.bounds, site.bias, site.out)


def _mul(w: OnnxWriter, site: Site) -> str:
    centred = [
        w.op("Sub", [x, w.constant(site.zero_byte(n), np.int64, f"{site.out}.zero64")], f"{site.out}.centred")
        for n, x in enumerate(_wide(w, site))
    ]
    return finish(w, site, w.op("Mul", centred, f"{site.out}.product"))


# Moving bytes


def sliced(w: OnnxWriter, x: str, axis: int, attrs: Mapping[str, Any], out: str) -> str:
    """`x` from `start` to `stop` by `step` along the ONNX axis `axis`."""
    ends = [
        w.constant([number], np.int64, f"{out}.{name}")
        for name, number in (
            ("start", attrs["start"]),
            ("stop", attrs["stop"]),
            ("axes", axis),
            ("step", attrs["step"]),
        )
    ]
    return w.op("Slice", [x, *ends], out)


def _slice(w: OnnxWriter, site: Site) -> str:
    return sliced(w, site.names[0], site.attrs["axis"] + 1, site.attrs, site.out)


def padded(w: OnnxWriter, x: str, around: Sequence[Sequence[int]], fill: np.generic, name: str) -> str:
    """`x` with `around` = (before, after) for every axis but the batch, filled with `fill` of x's type."""
    widths = w.constant(pads([(0, 0), *around]), np.int64, f"{name}.pads")
    return w.op("Pad", [x, widths, w.constant(fill, fill.dtype, f"{name}.fill")], name)


def _pad(w: OnnxWriter, site: Site) -> str:
    return padded(w, site.names[0], site.attrs["pads"], np.uint8(site.zero + BIAS_TO_UNSIGNED), site.out)


def _concat(w: OnnxWriter, site: Site) -> str:
    return w.op("Concat", list(site.names), site.out, axis=site.attrs["axis"] + 1)


def reshape(w: OnnxWriter, site: Site) -> str:
    """A dimension of 0 keeps the batch as it is."""
    shape = w.constant([0, *site.output.shape], np.int64, f"{site.out}.shape")
    return w.op("Reshape", [site.names[0], shape], site.out)


def transpose(w: OnnxWriter, site: Site) -> str:
    return w.op("Transpose", [site.names[0]], site.out, perm=[0, *(axis + 1 for axis in site.attrs["perm"])])


# Between real numbers and integers


def quantize(w: OnnxWriter, x: str, grid: Grid, out: str) -> str:
    """`Grid.quantize` in float64, to what is carried."""
    real = w.cast(x, np.float64, f"{out}.real")
    steps = w.op("Div", [real, w.constant(grid.scale, np.float64, f"{out}.scale")], f"{out}.steps")
    raised = w.op("Add", [steps, w.constant(0.5, np.float64, "half")], f"{out}.raised")
    rounded = w.op("Floor", [raised], f"{out}.rounded")
    bias = bias_of(grid)
    zero = w.constant(grid.zero + bias, np.float64, f"{out}.zero")
    placed = w.op("Add", [rounded, zero], f"{out}.placed")
    lo, hi = (w.constant(q + bias, np.float64, f"{out}.bound") for q in (grid.qmin, grid.qmax))
    return w.cast(w.op("Clip", [placed, lo, hi], f"{out}.saturated"), carried_type(bias), out)


def dequantize(w: OnnxWriter, x: str, grid: Grid, out: str) -> str:
    """`Grid.dequantize` in float64, then to float32."""
    zero = w.constant(grid.zero + bias_of(grid), np.float64, f"{out}.zero")
    centred = w.op("Sub", [w.cast(x, np.float64, f"{out}.real"), zero], f"{out}.centred")
    scaled = w.op("Mul", [centred, w.constant(grid.scale, np.float64, f"{out}.scale")], f"{out}.scaled")
    return w.cast(scaled, np.float32, out)


RULES: Mapping[str, Rule] = {
    "quantize": lambda w, site: quantize(w, site.names[0], grid_of(site.output), site.out),
    "dequantize": lambda w, site: dequantize(w, site.names[0], grid_of(site.inputs[0]), site.out),
    "q.linear": _linear,
    "q.conv": _conv,
    "q.max_pool": _max_pool,
    "q.avg_pool": _avg_pool,
    "q.mean": _mean,
    "q.reduce_max": reduce_max,
    "q.constant": _constant,
    "q.add": _add,
    "q.mul": _mul,
    "q.requantize": _requantize,
    "q.table": write_table,
    "q.softmax": write_softmax,
    "q.concat": _concat,
    "q.reshape": reshape,
    "q.transpose": transpose,
    "q.pad": _pad,
    "q.slice": _slice,
    "q.embedding": write_embedding,
}
