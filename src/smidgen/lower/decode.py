"""Scheduling of `q.decode`: stored weights are constants of packed leaves that a kernel expands to int8."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from smidgen.formats import Affine, Binary, Codebook, Format, Leaf, Sparse, Ternary
from smidgen.formats.packing import pack_bits
from smidgen.formats.sparse import INNER
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite

SIGNS = Leaf("centroids", np.array([-1, 1], np.int8), 8, signed=True)  # what a binary weight's bits stand for


@dataclass(frozen=True)
class Decoder:
    """What expands one kind of values: a kernel for all weights, for a bit mask, and for relative indices."""

    whole: str
    mask: str
    gaps: str
    args: dict[str, int]
    streams: tuple[str, ...]


def decoder_of(fmt: Format) -> Decoder | None:
    """The decoder for a format, `Sparse` or not; None where no kernel expands it."""
    values, count = _values(fmt), math.prod(fmt.shape)
    if isinstance(values, Codebook | Binary):
        bits, entries = (1, 2) if isinstance(values, Binary) else (values.bits, values.centroids.size)
        args = {"count": count, "bits": bits, "entries": entries}
        kernels = ("decode_codebook", "decode_codebook_mask", "decode_codebook_gaps")
        return Decoder(*kernels, args, ("symbols", "centroids"))
    if isinstance(values, Affine | Ternary):
        bits, group = (values.bits, values.group_size) if isinstance(values, Affine) else (2, 0)
        args = {"count": count, "row": count // values.scale.size, "group": group or 1, "bits": bits}
        streams = ("symbols", "zero", "multiples")
        return Decoder("decode_packed", "decode_mask", "decode_gaps", args, streams)
    return None


def worth_expanding(fmt: Format) -> bool:
    """Whether a kernel expands the format and its kernel-side bytes are fewer than one a weight."""
    if decoder_of(fmt) is None:
        return False
    read = sum(leaf.packed_bytes for leaf in fmt.leaves() if leaf.name.removeprefix(INNER) != "scale")
    return read < math.prod(fmt.shape)


def decode_calls(site: CallSite) -> list[Call]:
    """The call that expands one stored weight."""
    name = site.node.params["weight"]
    fmt = site.graph.weights[name]
    decoder = decoder_of(fmt)
    if decoder is None:
        expected = "affine, binary, ternary and codebook weights, sparse or not, are expanded"
        raise site.refuse(f"no kernel expands {fmt.label}", expected)
    leaves = {leaf.name.removeprefix(INNER): leaf for leaf in fmt.leaves()}
    if isinstance(_values(fmt), Binary):
        leaves["centroids"] = SIGNS
    # `scale` is folded into the layer's multipliers and stays out of the program.
    streams = [_stream(site, name, leaves.get(role)) for role in decoder.streams]
    if not isinstance(fmt, Sparse):
        return [site.call(decoder.whole, decoder.args, *streams, site.output())]
    positions = fmt.positions
    args, kernel = {**decoder.args, "stored": leaves["symbols"].symbols.size}, decoder.mask
    if positions.name == "gaps":
        args |= {"gap_bits": positions.bits, "gap_count": positions.symbols.size}
        kernel = decoder.gaps
    return [site.call(kernel, args, *streams, _stream(site, name, positions), site.output())]


def _values(fmt: Format) -> Format:
    return fmt.inner if isinstance(fmt, Sparse) else fmt


def _stream(site: CallSite, weight: str, leaf: Leaf | None) -> Pointer | None:
    if leaf is None:
        return None
    role, packed = leaf.name.removeprefix(INNER), pack_bits(leaf)
    # Centroids are looked up as they are: a table of int8, not a stream to unpack.
    return site.constants.pointer(f"{weight}.{role}", packed.view(np.int8) if role == "centroids" else packed)
