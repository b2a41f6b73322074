"""Kernel calls on numbers of few bits, a plane of packed bits for each (lower/bits.py)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from smidgen.formats.packing import MOST_PLANES
from smidgen.lower.bit_calls import FIELDS, MOST_BITS, one_row, packed_weight
from smidgen.lower.calls import POOL_FIELDS, chosen, window
from smidgen.lower.program import Call
from smidgen.lower.site import CallSite, grid_of


def _planes(site: CallSite) -> list[Call]:
    channels = site.value().shape[-1]
    args = {"rows": site.value().size // channels, "channels": channels}
    args |= {"planes": _plane_count(site, site.out.shape), "zero_x": site.zero()}
    return [site.call("q_planes", args, site.input(), site.output())]


def _plane_count(site: CallSite, shape: tuple[int, ...]) -> int:
    if not 1 <= shape[0] <= MOST_PLANES:
        raise site.refuse(f"numbers of {shape[0]} bits", f"kernels take 1 to {MOST_PLANES}")
    return shape[0]


def _shape(site: CallSite, out_space: tuple[int, ...]) -> dict[str, int]:
    """The arguments of a convolution; a linear layer is one of 1 x 1 over its rows."""
    planes, *space, _ = site.value().shape
    out, *kernel, channels = site.weight_shape()
    bits = math.prod(site.weight_shape()[1:]) << _plane_count(site, site.value().shape)
    if bits > MOST_BITS:
        raise site.refuse(f"sums that reach {bits}", f"kernels take {MOST_BITS}")
    found = window(site, kernel, space, out_space) if kernel else one_row(math.prod(space))
    return chosen(found | {"in_c": channels, "out_c": out}, FIELDS) | {"planes": planes}


def _to_int8(site: CallSite) -> list[Call]:
    args = _shape(site, site.out.shape[:-1]) | site.finish()
    return _product(site, "q_serial_conv", args)


def _to_planes(site: CallSite) -> list[Call]:
    _, *space, _ = site.out.shape
    if grid_of(site.out).zero != site.node.attrs["lo"]:
        raise site.refuse(f"zero point {grid_of(site.out).zero}", "numbers in planes start at 0")
    args = _shape(site, tuple(space)) | {"planes_y": _plane_count(site, site.out.shape)}
    return _product(site, "q_serial_conv_planes", args)


def _product(site: CallSite, kernel: str, args: dict[str, int]) -> list[Call]:
    multiplier, shift, per_channel = site.ratio(args["out_c"])
    pointers = (site.input(), packed_weight(site), site.bias(args["out_c"]), multiplier, shift, site.output())
    return [site.call(kernel, args | {"per_channel": per_channel}, *pointers)]


def _max_pool(site: CallSite) -> list[Call]:
    _, *space, words = site.value().shape
    found = window(site, site.node.attrs["kernel"], space, site.out.shape[1:-1]) | {"words": words}
    args = chosen(found, POOL_FIELDS.replace("channels", "words"))
    args |= {"planes": _plane_count(site, site.value().shape)}
    return [site.call("q_planes_max_pool", args, site.input(), site.output())]


SERIAL_CALLS: Mapping[str, Callable[[CallSite], list[Call]]] = {
    "q.planes": _planes,
    "q.serial_linear": _to_int8,
    "q.serial_conv": _to_int8,
    "q.serial_linear_planes": _to_planes,
    "q.serial_conv_planes": _to_planes,
    "q.planes_max_pool": _max_pool,
}
