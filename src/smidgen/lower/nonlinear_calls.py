"""Kernel calls of softmax and normalization."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from smidgen.lower.calls import reduced_axes
from smidgen.lower.nonlinear import BIAS_LIMIT, GROUP_LIMITS, MULTIPLIER_LIMIT, group_size, normalize_ranges
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite

SOFTMAX_MAX_SIZE = 65536


def _softmax(site: CallSite) -> list[Call]:
    size = site.out.shape[-1]
    if size > SOFTMAX_MAX_SIZE:
        raise site.refuse(f"a softmax over {size} classes", f"at most {SOFTMAX_MAX_SIZE} are summed exactly")
    table = site.param("table", np.uint16, (256,))
    if site.integers("table", np.uint16)[0] == 0:
        raise site.refuse("the table of exponentials starts with 0", "the largest one is a divisor")
    args = {"rows": site.out.size // size, "size": size}
    mask = _row_mask(site) if "mask" in site.node.params else None
    masked = args | {"mask_rows": 1 if mask is None else mask.nbytes // size}
    if site.wide():
        multiplier, shift, _ = site.ratio()
        pointers = (site.input(), table, multiplier, shift, mask, site.output())
        return [site.call("q_softmax16", masked, *pointers)]
    if mask is None:
        return [site.call("q_softmax", args, site.input(), table, site.output())]
    return [site.call("q_softmax_masked", masked, site.input(), table, mask, site.output())]


def _row_mask(site: CallSite) -> Pointer:
    """A mask row for each of the last rows of the input, after which they repeat."""
    shape = site.graph.weights[site.node.params["mask"]].shape
    while shape and shape[0] == 1:
        shape = shape[1:]
    mask = site.integers("mask", np.uint8).reshape(shape)
    whole = np.broadcast_to(mask, site.out.shape[-max(len(shape), 1) :])
    name = site.node.params["mask"]
    return site.constants.pointer(f"{name}{list(whole.shape)}", whole)


def _normalize(site: CallSite) -> list[Call]:
    attrs, limit = site.node.attrs, GROUP_LIMITS[site.value().dtype]
    if (count := group_size(site.value(), site.node)) > limit:
        raise site.refuse(f"{count} values normalized together", f"at most {limit} fit 64 bits")
    for role, most in (("multiplier", MULTIPLIER_LIMIT), ("bias", BIAS_LIMIT)):
        if (found := int(np.abs(site.integers(role, np.int32).astype(np.int64)).max())) > most:
            raise site.refuse(f"{role} reaches {found}", f"at most {most} is defined")
    channels = max(site.integers(role, np.int32).size for role in ("multiplier", "bias"))
    multiplier, bias = (site.param(role, np.int32, (channels,)) for role in ("multiplier", "bias"))
    for name, (least, most) in normalize_ranges(site.value().dtype, count).items():
        if not least <= attrs[name] <= most:
            raise site.refuse(f"{name} is {attrs[name]}", f"{least} to {most} are defined")
    args = reduced_axes(site) | {"channels": channels, "zero_x": site.zero()}
    args |= {"centered": int(attrs["centered"]), "root_shift": attrs["root_shift"]}
    args |= {name: attrs[name] for name in ("epsilon", "epsilon_shift", "shift")}
    args |= site.finish() | {"wide_x": site.wide()}
    return [site.call("q_normalize", args, site.input(), multiplier, bias, site.output())]


NONLINEAR_CALLS: Mapping[str, Callable[[CallSite], list[Call]]] = {
    "q.softmax": _softmax,
    "q.normalize": _normalize,
}
