"""Scheduling of linear and convolution nodes whose weight is multiplied as it is stored, without expanding it."""

from __future__ import annotations

import math

from smidgen.lower.calls import CONV_FIELDS, chosen, conv_window
from smidgen.lower.decode import stored_weight
from smidgen.lower.program import Call
from smidgen.lower.site import CallSite


def stored_linear(site: CallSite) -> list[Call]:
    """A window of one position over an image [1][rows][in]."""
    *rows, features = site.value().shape
    count, out = math.prod(rows), site.out.shape[-1]
    window = dict.fromkeys(CONV_FIELDS.split(), 1) | {"pad_top": 0, "pad_left": 0}
    window |= {"in_w": count, "out_w": count, "in_c": features, "out_c": out}
    return _call(site, window)


def stored_conv(site: CallSite) -> list[Call]:
    """Any convolution, depthwise ones too; one of single positions runs over the whole image as one row."""
    window = chosen(conv_window(site), CONV_FIELDS)
    single = all(window[key] == 1 for key in ("k_h", "k_w", "stride_h", "stride_w"))
    whole = all(window[f"in_{axis}"] == window[f"out_{axis}"] for axis in "hw")
    if single and whole and not window["pad_top"] and not window["pad_left"]:
        count = window["in_h"] * window["in_w"]
        window |= {"in_h": 1, "out_h": 1, "in_w": count, "out_w": count}
    return _call(site, window)


def _call(site: CallSite, window: dict[str, int]) -> list[Call]:
    out = window["out_c"]
    described, streams = stored_weight(site)
    multiplier, shift, per_channel = site.ratio(out)
    args = window | {"zero_x": site.zero()} | site.finish()
    args |= {"per_channel": per_channel, "wide_y": site.wide_out} | described
    pointers = (site.input(), *streams, site.bias(out), multiplier, shift, site.output())
    return [site.call("q_conv_stored", args, *pointers)]
