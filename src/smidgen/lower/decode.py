"""Stored weights as constants of packed leaves: expanded to int8 by `q.decode`, or multiplied as they lie.

Argument order and meaning are those of kernels/c/smg_stored.h.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from smidgen.formats import Affine, Binary, Codebook, Format, Leaf, Sparse, Ternary
from smidgen.formats.packing import pack_bits
from smidgen.formats.sparse import INNER
from smidgen.graph.planner import scratch_of
from smidgen.lower.coded import CodedWeight
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite

BYTE = 8
SIGNS = Leaf("centroids", np.array([-1, 1], np.int8), 8, signed=True)  # what a binary weight's bits stand for
TERNARY_BITS = 2
MULTIPLES = 3
STREAMS = ("symbols", "centroids", "zero", "multiples")


def decodable(fmt: Format) -> bool:
    """Whether kernels read this format: one of these four, or `Sparse` around one."""
    return isinstance(_values(fmt), Affine | Binary | Codebook | Ternary)


def worth_expanding(fmt: Format) -> bool:
    """Whether kernels read the format and the bytes that they read are fewer than one a weight."""
    return decodable(fmt) and stream_bytes(fmt) < math.prod(fmt.shape)


def stream_bytes(fmt: Format) -> int:
    """Bytes of what kernels read of a stored weight; scales are in the layer's multipliers."""
    return sum(leaf.packed_bytes for leaf in fmt.leaves() if leaf.name.removeprefix(INNER) != "scale")


def decode_calls(site: CallSite) -> list[Call]:
    """What expands one stored weight: its coded streams first, then all of them to int8."""
    weight, shape = site.node.params["weight"], site.weight_shape()
    coded = site.coded.get(weight)
    args, streams = stored_weight(site, coded)
    args = {"rows": shape[0], "row": math.prod(shape[1:])} | args
    unpacked = [] if coded is None else [_unpack_call(site, coded, name) for name in coded.streams]
    if coded is not None and coded.in_place and not (args["entries"] or args["zeros"] or streams[MULTIPLES]):
        return unpacked  # the symbols are the weights
    return [*unpacked, site.call("decode", args, *streams, site.output())]


def _unpack_call(site: CallSite, coded: CodedWeight, name: str) -> Call:
    stream, scratch = coded.streams[name], site.pointers[scratch_of(site.node)]
    data = site.constants.pointer(f"{site.node.params['weight']}.{name}.coded", stream.data)
    data = replace(data, offset=stream.start, nbytes=data.nbytes - stream.start)
    args = {**stream.args, "work_bytes": stream.work_bytes}
    return site.call(stream.kernel, args, data, scratch, _decoded(site, coded, name))


def _decoded(site: CallSite, coded: CodedWeight, name: str) -> Pointer:
    return site.output() if coded.in_place else coded.buffer(site.pointers[scratch_of(site.node)], name)


def stored_weight(
    site: CallSite, coded: CodedWeight | None = None
) -> tuple[dict[str, int], list[Pointer | None]]:
    """What describes the node's weight to a kernel that reads it as it is stored: (arguments, streams).

    Leaves that are `coded` are decoded already, to a byte each.
    """
    fmt = site.graph.weights[site.node.params["weight"]]
    if not decodable(fmt):
        expected = "affine, binary, ternary and codebook weights, sparse or not, are read as they are stored"
        raise site.refuse(f"no kernel expands {fmt.label}", expected)
    leaves = {leaf.name.removeprefix(INNER): leaf for leaf in fmt.leaves()}
    if isinstance(_values(fmt), Binary):
        leaves["centroids"] = SIGNS
    bytes_each = {name.removeprefix(INNER) for name in coded.streams} if coded else set()
    args = _value_args(_values(fmt), fmt.shape) | {"stored": leaves["symbols"].symbols.size}
    if "symbols" in bytes_each:
        args["bits"] = BYTE
        leaves |= {"zero": replace(leaves["zero"], bits=BYTE)} if "zero" in leaves else {}
    positions = fmt.positions if isinstance(fmt, Sparse) else None
    args |= _position_args(
        positions, coded is not None and positions is not None and positions.name in bytes_each
    )
    found = [*(leaves.get(role) for role in STREAMS), positions]
    return args, [_stream(site, coded, leaf) for leaf in found]


def _position_args(positions: Leaf | None, bytes_each: bool) -> dict[str, int]:
    gaps = positions if positions is not None and positions.name == "gaps" else None
    width = 1 if positions is None else BYTE if bytes_each else positions.bits
    return {
        "gap_bits": gaps.bits if gaps else 0,
        "gap_count": gaps.symbols.size if gaps else 0,
        "position_bits": width,
    }


def _value_args(values: Format, shape: tuple[int, ...]) -> dict[str, int]:
    row = math.prod(shape[1:])
    if isinstance(values, Binary):
        return _shared_args(1, SIGNS.symbols.size)
    if isinstance(values, Codebook):
        return _shared_args(values.bits, values.centroids.size)
    if isinstance(values, Ternary):
        return {"bits": TERNARY_BITS, "entries": 0, "zeros": 0, "group": 1, "row_groups": row}
    assert isinstance(values, Affine), "checked by decodable"
    zeros = 0 if values.zero is None else values.zero.size
    group = values.group_size or 1
    return {"bits": values.bits, "entries": 0, "zeros": zeros, "group": group, "row_groups": -(-row // group)}


def _shared_args(bits: int, entries: int) -> dict[str, int]:
    return {"bits": bits, "entries": entries, "zeros": 0, "group": 1, "row_groups": 1}


def _values(fmt: Format) -> Format:
    return fmt.inner if isinstance(fmt, Sparse) else fmt


def _stream(site: CallSite, coded: CodedWeight | None, leaf: Leaf | None) -> Pointer | None:
    if leaf is None:
        return None
    if coded and leaf.name in coded.streams:
        return _decoded(site, coded, leaf.name)
    role, packed = leaf.name.removeprefix(INNER), pack_bits(leaf)
    name = f"{site.node.params['weight']}.{role}" + (f"{leaf.bits}" if role == "zero" else "")
    # Centroids are looked up as they are: a table of int8, not a stream to unpack.
    return site.constants.pointer(name, packed.view("int8") if role == "centroids" else packed)
