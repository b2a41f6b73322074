"""Scheduling of `q.decode`: stored weights are constants of packed leaves that a kernel expands to int8."""

from __future__ import annotations

import math

from smidgen.formats import Affine, Format, Leaf, Sparse
from smidgen.formats.packing import pack_bits
from smidgen.formats.sparse import INNER
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite


def decodable(fmt: Format) -> bool:
    """Whether a kernel expands this format: `Affine`, or `Sparse` around it."""
    return isinstance(fmt.inner if isinstance(fmt, Sparse) else fmt, Affine)


def worth_expanding(fmt: Format) -> bool:
    """Whether a kernel expands the format and its kernel-side bytes are fewer than one a weight."""
    if not decodable(fmt):
        return False
    read = sum(leaf.packed_bytes for leaf in fmt.leaves() if leaf.name.removeprefix(INNER) != "scale")
    return read < math.prod(fmt.shape)


def decode_calls(site: CallSite) -> list[Call]:
    """The call that expands one stored weight."""
    name = site.node.params["weight"]
    fmt = site.graph.weights[name]
    affine = fmt.inner if isinstance(fmt, Sparse) else fmt
    if not isinstance(affine, Affine):
        raise site.refuse(f"no kernel expands {fmt.label}", "affine weights, sparse or not, are expanded")
    leaves = {leaf.name.removeprefix(INNER): leaf for leaf in fmt.leaves()}
    count = math.prod(fmt.shape)
    # `scale` has one entry a row; it is folded into the layer's multipliers and stays out of the program.
    args = {
        "count": count,
        "row": count // affine.scale.size,
        "group": affine.group_size or 1,
        "bits": affine.bits,
    }
    streams = [_stream(site, name, leaves.get(role)) for role in ("symbols", "zero", "multiples")]
    if not isinstance(fmt, Sparse):
        return [site.call("decode_packed", args, *streams, site.output())]
    positions, args["stored"] = fmt.positions, leaves["symbols"].symbols.size
    kernel = "decode_mask"
    if positions.name == "gaps":
        args |= {"gap_bits": positions.bits, "gap_count": positions.symbols.size}
        kernel = "decode_gaps"
    return [site.call(kernel, args, *streams, _stream(site, name, positions), site.output())]


def _stream(site: CallSite, weight: str, leaf: Leaf | None) -> Pointer | None:
    if leaf is None:
        return None
    return site.constants.pointer(f"{weight}.{leaf.name.removeprefix(INNER)}", pack_bits(leaf))
