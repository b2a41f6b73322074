"""Products of two computed tensors, and operators that place elements anew, in ONNX; bit for bit."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.emit.onnx_bits import BIT_RULES
from smidgen.emit.onnx_ops import RULES, aligned, finish, padded
from smidgen.emit.onnx_site import Rule, Site
from smidgen.emit.onnx_writer import BIAS_TO_UNSIGNED, OnnxWriter
from smidgen.numerics import IntArray


def _matmul(w: OnnxWriter, site: Site) -> str:
    zeros = [w.constant(site.zero_byte(which), np.uint8, f"{site.out}.zero") for which in (0, 1)]
    return finish(w, site, w.op("MatMulInteger", [*aligned(w, site), *zeros], f"{site.out}.acc"))


def _spread(w: OnnxWriter, site: Site) -> str:
    return spread(w, site, np.uint8(site.zero + BIAS_TO_UNSIGNED))


def spread(w: OnnxWriter, site: Site, fill: np.generic) -> str:
    """Each element alone on an axis of its own, which is padded and merged; the last gap is cut off."""
    sizes, steps = site.inputs[0].shape, site.attrs["steps"]
    alone = [n for size in sizes for n in (size, 1)]
    gaps = [pair for step in steps for pair in ((0, 0), (0, step - 1))]
    x = _reshaped(w, site.names[0], alone, f"{site.out}.alone")
    x = padded(w, x, gaps, fill, f"{site.out}.apart")
    x = _reshaped(w, x, [n * step for n, step in zip(sizes, steps, strict=True)], f"{site.out}.merged")
    starts = w.constant([0] * len(sizes), np.int64, f"{site.out}.starts")
    ends = w.constant(site.output.shape, np.int64, f"{site.out}.ends")
    axes = w.constant(range(1, len(sizes) + 1), np.int64, f"{site.out}.axes")
    return w.op("Slice", [x, starts, ends, axes], site.out)


def _reshaped(w: OnnxWriter, x: str, shape: list[int], name: str) -> str:
    """A dimension of 0 keeps the batch as it is."""
    return w.op("Reshape", [x, w.constant([0, *shape], np.int64, f"{name}.shape")], name)


def gathered(w: OnnxWriter, x: str, axis: int, indices: IntArray, out: str) -> str:
    """Positions `indices` of the ONNX axis `axis`."""
    return w.op("Gather", [x, w.constant(indices, np.int64, f"{out}.indices")], out, axis=axis)


def gather(w: OnnxWriter, site: Site) -> str:
    return gathered(w, site.names[0], site.attrs["axis"] + 1, site.int64("indices"), site.out)


ALL_RULES: Mapping[str, Rule] = {
    **RULES,
    **BIT_RULES,
    "q.matmul": _matmul,
    "q.spread": _spread,
    "q.gather": gather,
}
