"""Kernel calls on packed bits (lower/bits.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from smidgen.formats import Binary, BinaryPacks
from smidgen.formats.packing import pack_words
from smidgen.lower.bits import reads_packs
from smidgen.lower.calls import CONV_FIELDS, POOL_FIELDS, chosen, spatial
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite

MOST_BITS = 2**30  # of a window: twice as many, and a bias, stay within 32 bits
FIELDS = CONV_FIELDS.removesuffix(" groups")


def _binarize(site: CallSite) -> list[Call]:
    channels = site.value().shape[-1]
    threshold = _one_a_channel(site, "threshold", np.int16, channels)
    flips = np.broadcast_to(site.integers("flip", np.uint8) != 0, (channels,))
    words = site.constants.pointer(f"{site.node.params['flip']}[{channels}].words", pack_words(flips))
    args = {"rows": site.value().size // channels, "channels": channels}
    return [site.call("q_binarize", args, site.input(), threshold, words, site.output())]


def _one_a_channel(site: CallSite, role: str, dtype: type[np.generic], channels: int) -> Pointer:
    name, stored = site.node.params[role], site.integers(role, dtype)
    if stored.size == channels:
        return site.constants.pointer(name, stored)
    return site.constants.pointer(f"{name}[{channels}]", np.broadcast_to(stored, (channels,)))


def packed_weight(site: CallSite) -> Pointer:
    """The signs in words, a tap after the other."""
    name = site.node.params["weight"]
    stored = site.graph.weights[name]
    if not isinstance(stored, Binary):
        raise site.refuse(f"the weight is {stored.label}", "layers on bits multiply with binary weights")
    if math.prod(stored.shape[1:]) > MOST_BITS:
        raise site.refuse(f"sums of {math.prod(stored.shape[1:])} bits", f"kernels take {MOST_BITS}")
    return site.constants.pointer(f"{name}.words", pack_words(stored.bits))


def _product(site: CallSite) -> tuple[str, dict[str, int], tuple[Pointer, ...]]:
    """The kernel, its argument after the window, and where its weights are: all words, or those kept."""
    name = site.node.params["weight"]
    stored = site.graph.weights[name]
    if not isinstance(stored, BinaryPacks):
        return "q_binary_conv", {}, (packed_weight(site),)
    if not reads_packs(stored):
        raise site.refuse(f"packs of {stored.width} weights", "kernels of bits read words of 32, 65536 a row")
    words, places = stored.words()
    signs = site.constants.pointer(f"{name}.words", words)
    index = site.constants.pointer(f"{name}.places", places.astype(np.uint16))
    return "q_binary_packs", {"packs": stored.packs_a_row}, (signs, index)


def _shape(site: CallSite) -> dict[str, int]:
    """The arguments of a convolution; a linear layer is one of 1 x 1 over its rows."""
    out, *kernel, channels = site.weight_shape()
    if kernel:
        window = spatial(site, kernel) | {"in_c": channels, "out_c": out}
        return chosen(window, FIELDS)
    return chosen(one_row(math.prod(site.value().shape[:-1])) | {"in_c": channels, "out_c": out}, FIELDS)


def one_row(rows: int) -> dict[str, int]:
    """The window of a linear layer over `rows` vectors."""
    ones = dict.fromkeys(FIELDS.split(), 1)
    return ones | {"in_w": rows, "out_w": rows, "pad_top": 0, "pad_left": 0}


def _to_int8(site: CallSite) -> list[Call]:
    out = site.out.shape[-1]
    multiplier, shift, per_channel = site.ratio(out)
    kernel, packs, weight = _product(site)
    args = _shape(site) | packs | site.finish() | {"per_channel": per_channel}
    pointers = (site.input(), *weight, site.bias(out), multiplier, shift, site.output())
    return [site.call(kernel, args, *pointers)]


def _to_bits(site: CallSite) -> list[Call]:
    kernel, packs, weight = _product(site)
    args = _shape(site) | packs
    threshold = _one_a_channel(site, "threshold", np.int32, args["out_c"])
    return [site.call(f"{kernel}_bits", args, site.input(), *weight, threshold, site.output())]


def _max_pool(site: CallSite) -> list[Call]:
    window = spatial(site, site.node.attrs["kernel"]) | {"words": site.value().shape[-1]}
    args = chosen(window, POOL_FIELDS.replace("channels", "words"))
    return [site.call("q_binary_max_pool", args, site.input(), site.output())]


BIT_CALLS: Mapping[str, Callable[[CallSite], list[Call]]] = {
    "q.binarize": _binarize,
    "q.binary_linear": _to_int8,
    "q.binary_conv": _to_int8,
    "q.binary_linear_bits": _to_bits,
    "q.binary_conv_bits": _to_bits,
    "q.binary_max_pool": _max_pool,
}
