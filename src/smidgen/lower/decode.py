"""Stored weights as constants of packed leaves: expanded to int8 by `q.decode`, or multiplied as they lie.

Argument order and meaning are those of kernels/c/smg_stored.h.
"""

from __future__ import annotations

import math

from smidgen.formats import Affine, Codebook, Format, Leaf, Sparse
from smidgen.formats.packing import pack_bits
from smidgen.formats.sparse import INNER
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite

STREAMS = ("symbols", "centroids", "zero", "multiples")


def decodable(fmt: Format) -> bool:
    """Whether kernels read this format: `Affine`, `Codebook`, or `Sparse` around one."""
    return isinstance(_values(fmt), Affine | Codebook)


def worth_expanding(fmt: Format) -> bool:
    """Whether kernels read the format and the bytes that they read are fewer than one a weight."""
    return decodable(fmt) and stream_bytes(fmt) < math.prod(fmt.shape)


def stream_bytes(fmt: Format) -> int:
    """Bytes of what kernels read of a stored weight; scales are in the layer's multipliers."""
    return sum(leaf.packed_bytes for leaf in fmt.leaves() if leaf.name.removeprefix(INNER) != "scale")


def decode_calls(site: CallSite) -> list[Call]:
    """The call that expands one stored weight."""
    args, streams = stored_weight(site)
    shape = site.weight_shape()
    args = {"rows": shape[0], "row": math.prod(shape[1:])} | args
    return [site.call("decode", args, *streams, site.output())]


def stored_weight(site: CallSite) -> tuple[dict[str, int], list[Pointer | None]]:
    """What describes the node's weight to a kernel that reads it as it is stored: (arguments, streams)."""
    name = site.node.params["weight"]
    fmt = site.graph.weights[name]
    if not decodable(fmt):
        expected = "affine and codebook weights, sparse or not, are read as they are stored"
        raise site.refuse(f"no kernel expands {fmt.label}", expected)
    leaves = {leaf.name.removeprefix(INNER): leaf for leaf in fmt.leaves()}
    args = _value_args(_values(fmt), fmt.shape) | {"stored": leaves["symbols"].symbols.size}
    positions = fmt.positions if isinstance(fmt, Sparse) else None
    gaps = positions if positions is not None and positions.name == "gaps" else None
    args |= {"gap_bits": gaps.bits if gaps else 0, "gap_count": gaps.symbols.size if gaps else 0}
    streams = [*(leaves.get(role) for role in STREAMS), positions]
    return args, [_stream(site, name, leaf) for leaf in streams]


def _value_args(values: Format, shape: tuple[int, ...]) -> dict[str, int]:
    if isinstance(values, Codebook):
        shared = {"bits": values.bits, "entries": values.centroids.size}
        return {**shared, "zeros": 0, "group": 1, "row_groups": 1}
    assert isinstance(values, Affine), "checked by decodable"
    zeros = 0 if values.zero is None else values.zero.size
    group = values.group_size or 1
    row_groups = -(-math.prod(shape[1:]) // group)
    return {"bits": values.bits, "entries": 0, "zeros": zeros, "group": group, "row_groups": row_groups}


def _values(fmt: Format) -> Format:
    return fmt.inner if isinstance(fmt, Sparse) else fmt


def _stream(site: CallSite, weight: str, leaf: Leaf | None) -> Pointer | None:
    if leaf is None:
        return None
    role, packed = leaf.name.removeprefix(INNER), pack_bits(leaf)
    # Centroids are looked up as they are: a table of int8, not a stream to unpack.
    return site.constants.pointer(f"{weight}.{role}", packed.view("int8") if role == "centroids" else packed)
