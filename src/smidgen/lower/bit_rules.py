"""Layers on packed bits: binary weights and activations -> integer nodes (docs/NUMERICS.md, *Bits*)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from smidgen.formats import Binary, BinaryPacks
from smidgen.formats.packing import word_count
from smidgen.graph import Node
from smidgen.graph.activations import UNIPOLAR
from smidgen.lower.bits import is_packed, packed_by, read_bits, scales_channels
from smidgen.lower.rules import RULES, Lowering, Rule, affine_terms, clamp, table, weighted
from smidgen.numerics import Array, FloatArray

INT8_END = 128  # as a threshold: no int8 value reaches it


def binarize(low: Lowering, node: Node, out: str) -> None:
    """Packed bits of a value, or int8 +1 and -1 where something else than a binary layer reads them."""
    if not is_packed(low.source, node.output):
        table(low, node, out)
        return
    zero = np.array([low.grid(node.inputs[0]).zero], np.int16)
    _compare(low, node, out, zero, np.zeros(1, np.uint8))


def layer(low: Lowering, node: Node, out: str) -> None:
    """linear and conv: on bits, to bits, or on int8 as any other."""
    read, made = read_bits(low.source, node), packed_by(low.source, out)
    op = {"": f"q.{node.op}", "binarize": f"q.binary_{node.op}"}.get(read, f"q.serial_{node.op}")
    if made in UNIPOLAR:
        _to_planes(low, node, out, op)
    elif made and scales_channels(low.source, node):
        _compare(low, node, out, *_channel_thresholds(low, node))
    elif made:
        _to_bits(low, node, out)
    else:
        weighted(low, node, out, op)
    if read == "binarize":
        _drop_scales(low, node.params["weight"])


def _drop_scales(low: Lowering, weight: str) -> None:
    """Thresholds and multipliers have them: a file would hold them for nobody."""
    fmt = low.weights.get(weight)
    if isinstance(fmt, Binary | BinaryPacks):
        low.weights[weight] = replace(fmt, scale=np.ones(1, np.float32))


def _to_planes(low: Lowering, node: Node, out: str, op: str) -> None:
    """At once where the layer reads planes, too; by way of int8 behind any other."""
    if not op.startswith("q.serial"):
        _split(low, node, out, lambda low, node, out: weighted(low, node, out, op))
        return
    weighted(low, node, out, f"{op}_planes")
    _pack(low, out)


def unipolar(low: Lowering, node: Node, out: str) -> None:
    """An activation of few bits that no layer could absorb."""
    _split(low, node, out, clamp) if is_packed(low.source, out) else clamp(low, node, out)


def _split(low: Lowering, node: Node, out: str, rule: Rule) -> None:
    """The numbers that `rule` makes as int8, then their planes."""
    whole = f"{out}.levels"
    low.values[whole] = low.values[out]
    low.source = low.source.with_values({whole: low.source.values[out]})
    rule(low, node, whole)
    grid = low.grid(out)
    _pack(low, out)
    low.emit(replace(node, name=f"{out}.planes"), "q.planes", (whole,), out, {}, lo=grid.qmin, hi=grid.qmax)


def max_pool(low: Lowering, node: Node, out: str) -> None:
    made = packed_by(low.source, out)
    if not made:
        RULES["max_pool"](low, node, out)
        return
    _pack(low, out)
    op = "q.planes_max_pool" if made in UNIPOLAR else "q.binary_max_pool"
    low.emit(node, op, node.inputs, out, {}, **node.attrs)


def reshape(low: Lowering, node: Node, out: str) -> None:
    if not is_packed(low.source, out):
        RULES["reshape"](low, node, out)
        return
    _pack(low, out)
    low.emit(node, "q.reshape", node.inputs, out, {}, shape=low.values[out].shape)


def _to_bits(low: Lowering, node: Node, out: str) -> None:
    """Bit o is 1 where acc * step + bias >= 0, that is where acc >= -bias / step."""
    step, bias = affine_terms(low, node)
    fmt = low.source.weights[node.params["weight"]]
    reach = int(np.prod(fmt.shape[1:]))
    threshold = np.clip(np.ceil(-bias / step), -reach, reach + 1)
    low.weights[node.params["weight"]] = fmt
    params: dict[str, Array | str] = {
        "weight": node.params["weight"],
        "threshold": threshold.astype(np.int32),
    }
    _pack(low, out)
    low.emit(node, f"q.binary_{node.op}_bits", node.inputs, out, params, **node.attrs)


def _channel_thresholds(low: Lowering, node: Node) -> tuple[Array, Array]:
    """(threshold, flip) [C] that say of an int8 x whether w * (x - zero) * scale + bias >= 0."""
    x = low.grid(node.inputs[0])
    factor = low.source.weights[node.params["weight"]].decode().reshape(-1).astype(np.float64) * x.scale
    bias = _bias(low, node, factor.size)
    crossing = x.zero - bias / np.where(factor == 0, 1.0, factor)
    # Falling: x <= crossing, which is what x >= floor(crossing) + 1 is not.
    threshold = np.where(factor < 0, np.floor(crossing) + 1, np.ceil(crossing))
    always = np.where(bias >= 0, -INT8_END, INT8_END)
    kept = np.clip(np.where(factor == 0, always, threshold), -INT8_END, INT8_END)
    return kept.astype(np.int16), (factor < 0).astype(np.uint8)


def _bias(low: Lowering, node: Node, channels: int) -> FloatArray:
    if "bias" not in node.params:
        return np.zeros(channels)
    return low.source.weights[node.params["bias"]].decode().astype(np.float64)


def _compare(low: Lowering, node: Node, out: str, threshold: Array, flip: Array) -> None:
    _pack(low, out)
    low.emit(node, "q.binarize", node.inputs[:1], out, {"threshold": threshold, "flip": flip})


def _pack(low: Lowering, out: str) -> None:
    """`out` in words, a plane for each bit of a number."""
    value, bits = low.source.values[out], UNIPOLAR.get(packed_by(low.source, out))
    shape = (*(() if bits is None else (bits,)), *value.shape[:-1], word_count(value.shape[-1]))
    low.values[out] = replace(value, shape=shape, dtype="uint32")


BIT_RULES: Mapping[str, Rule] = {
    "binarize": binarize,
    **dict.fromkeys(UNIPOLAR, unipolar),
    "linear": layer,
    "conv": layer,
    "max_pool": max_pool,
    "reshape": reshape,
}
