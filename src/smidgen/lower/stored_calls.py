"""Scheduling of linear and convolution nodes whose weight is multiplied as it is stored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from smidgen.lower.calls import CONV_FIELDS, chosen, conv_window
from smidgen.lower.decode import stored_weight
from smidgen.lower.program import Call
from smidgen.lower.site import CallSite


def reads_stored(site: CallSite) -> bool:
    """Whether the node's weight stays as it is stored. Several vectors with 16-bit results have no kernel."""
    name = site.node.params.get("weight")
    if site.node.op not in IN_PLACE or name is None or not site.in_place(site.graph.weights[name]):
        return False
    return not site.wide_out or site.out.size == site.out.shape[-1]


def stored_linear(site: CallSite) -> list[Call]:
    """One vector; several (of 8 bits) are a convolution with a window of one position over a row of them."""
    *rows, features = site.value().shape
    count, out = math.prod(rows), site.out.shape[-1]
    if count == 1:
        return _call(site, "q_linear_stored", {"in": features, "out": out}, {"wide_y": site.wide_out})
    window = dict.fromkeys(CONV_FIELDS.split(), 1) | {"pad_top": 0, "pad_left": 0}
    window |= {"in_w": count, "out_w": count, "in_c": features, "out_c": out}
    return _call(site, "q_conv_stored", window, {})


def stored_conv(site: CallSite) -> list[Call]:
    """Any convolution, depthwise ones too."""
    return _call(site, "q_conv_stored", chosen(conv_window(site), CONV_FIELDS), {})


def _call(site: CallSite, kernel: str, sizes: dict[str, int], width: dict[str, int]) -> list[Call]:
    out = site.out.shape[-1]
    described, streams = stored_weight(site)
    multiplier, shift, per_channel = site.ratio(out)
    args = sizes | {"zero_x": site.zero()} | site.finish() | {"per_channel": per_channel} | width | described
    pointers = (site.input(), *streams, site.bias(out), multiplier, shift, site.output())
    return [site.call(kernel, args, *pointers)]


IN_PLACE: Mapping[str, Callable[[CallSite], list[Call]]] = {"q.linear": stored_linear, "q.conv": stored_conv}
