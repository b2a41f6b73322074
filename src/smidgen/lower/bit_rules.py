"""Layers on packed bits: binary weights and activations -> integer nodes (docs/NUMERICS.md, *Bits*)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from smidgen.formats.packing import word_count
from smidgen.graph import Node
from smidgen.lower.bits import is_packed, reads_bits, scales_channels
from smidgen.lower.rules import RULES, Lowering, Rule, affine_terms, table, weighted
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
    bits_out = is_packed(low.source, out)
    if bits_out and scales_channels(low.source, node):
        _compare(low, node, out, *_channel_thresholds(low, node))
    elif reads_bits(low.source, node):
        _to_bits(low, node, out) if bits_out else weighted(low, node, out, f"q.binary_{node.op}")
    else:
        weighted(low, node, out)


def max_pool(low: Lowering, node: Node, out: str) -> None:
    if not is_packed(low.source, out):
        RULES["max_pool"](low, node, out)
        return
    _pack(low, out)
    low.emit(node, "q.binary_max_pool", node.inputs, out, {}, **node.attrs)


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
    """`out` in words."""
    value = low.source.values[out]
    shape = (*value.shape[:-1], word_count(value.shape[-1]))
    low.values[out] = replace(value, shape=shape, dtype="uint32")


BIT_RULES: Mapping[str, Rule] = {
    "binarize": binarize,
    "linear": layer,
    "conv": layer,
    "max_pool": max_pool,
    "reshape": reshape,
}
