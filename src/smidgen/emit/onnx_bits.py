"""Operators on packed bits in ONNX: signs and numbers of few bits are carried as bytes, as int8 is."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.emit.onnx_ops import RULES, conv_sums, finish, linear_sums
from smidgen.emit.onnx_site import Rule, Site, grid_of
from smidgen.emit.onnx_writer import BIAS_TO_UNSIGNED, OnnxWriter
from smidgen.formats.packing import WORD_BITS, plane_count
from smidgen.graph import Value
from smidgen.numerics import Array

NO_FLIP = np.zeros(1, bool)
UP, DOWN = BIAS_TO_UNSIGNED + 1, BIAS_TO_UNSIGNED - 1


def _binarize(w: OnnxWriter, site: Site) -> str:
    x = w.cast(site.names[0], np.int32, f"{site.out}.wide")
    return _compared(w, site, x, site.int64("threshold") + site.bias, site.weights["flip"] != 0)


def _compared(w: OnnxWriter, site: Site, x: str, threshold: Array, flip: Array) -> str:
    """+1 where the int32 `x` reaches the threshold, the other way round where `flip`."""
    limit = w.constant(threshold, np.int32, f"{site.out}.threshold")
    above = w.op("GreaterOrEqual", [x, limit], f"{site.out}.above")
    up = w.constant(np.where(flip, DOWN, UP), np.uint8, f"{site.out}.up")
    down = w.constant(np.where(flip, UP, DOWN), np.uint8, f"{site.out}.down")
    return w.op("Where", [above, up, down], site.out)


def _linear(w: OnnxWriter, site: Site) -> str:
    return finish(w, site, linear_sums(w, site), site.int64("bias"))


def _conv(w: OnnxWriter, site: Site) -> str:
    return finish(w, site, conv_sums(w, site), site.int64("bias"))


def _linear_bits(w: OnnxWriter, site: Site) -> str:
    return _compared(w, site, linear_sums(w, site), site.int64("threshold"), NO_FLIP)


def _conv_bits(w: OnnxWriter, site: Site) -> str:
    return _compared(w, site, conv_sums(w, site), site.int64("threshold"), NO_FLIP)


def _planes(w: OnnxWriter, site: Site) -> str:
    """The numbers themselves: what their planes hold together."""
    return w.op("Identity", [site.names[0]], site.out)


def _whole_shape(value: Value) -> tuple[int, ...]:
    """The shape of packed bits without their planes."""
    return value.shape[1:] if plane_count(grid_of(value).bits) else value.shape


def _reshape(w: OnnxWriter, site: Site) -> str:
    if site.output.dtype != "uint32":
        return RULES["q.reshape"](w, site)
    *outer, words = _whole_shape(site.output)
    shape = w.constant([0, *outer, words * WORD_BITS], np.int64, f"{site.out}.shape")
    return w.op("Reshape", [site.names[0], shape], site.out)


BIT_RULES: Mapping[str, Rule] = {
    "q.binarize": _binarize,
    "q.binary_linear": _linear,
    "q.binary_conv": _conv,
    "q.binary_linear_bits": _linear_bits,
    "q.binary_conv_bits": _conv_bits,
    "q.planes": _planes,
    **dict.fromkeys(("q.serial_linear", "q.serial_linear_planes"), _linear),
    **dict.fromkeys(("q.serial_conv", "q.serial_conv_planes"), _conv),
    "q.planes_max_pool": RULES["q.max_pool"],
    "q.reshape": _reshape,
    "q.binary_max_pool": RULES["q.max_pool"],
}
