"""What an ONNX model would take, told before it is taken: weights, inlined functions, folded constants."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import onnx
from onnx import helper

from smidgen.errors import BadInput
from smidgen.limits import LIMIT, decoded_bytes_limit
from smidgen.units import format_bytes

MOST_NODES = 1_000_000
MOST_POOLED_BYTES = 4 << 20
# Operators on constants whose results may be any times larger: that size must be known before.
GROWING = frozenset(
    [
        "ConstantOfShape",
        "Expand",
        "Tile",
        "Range",
        "Pad",
        "Resize",
        "Upsample",
        "OneHot",
        "ConvTranspose",
        "MaxUnpool",
        "Col2Im",
        "AffineGrid",
        "EyeLike",
        "CenterCropPad",
        "HannWindow",
        "HammingWindow",
        "BlackmanWindow",
        "MelWeightMatrix",
        "Loop",
        "Scan",
        "SequenceMap",
    ]
)
# A result may have either so many bytes, or times those it is made of.
FOLDED_BYTES, FOLDED_TIMES = 8 << 20, 8


def declared_bytes(tensor: Any) -> int:
    """What a stored tensor's type and shape come to; 0 for types without a NumPy counterpart."""
    try:
        size = helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
    except (KeyError, TypeError, ValueError):
        return 0
    return int(math.prod(tensor.dims) * size)


def check_declared(path: Path, tensors: Iterable[Any]) -> None:
    """Raise BadInput for weights that declare a negative size, or together more than the limit."""
    total, allowed = 0, decoded_bytes_limit()
    for tensor in tensors:
        if min(tensor.dims, default=0) < 0:
            raise BadInput(str(path), f"the weight {tensor.name} has the shape {list(tensor.dims)}")
        total += declared_bytes(tensor)
        if total > allowed:
            shape = list(tensor.dims)
            found = f"its weights, with {tensor.name} of shape {shape}, take {format_bytes(total)}"
            raise BadInput(str(path), found, f"{format_bytes(allowed)} are allowed", LIMIT)


def check_functions(path: Path, model: Any) -> None:
    """Raise BadInput for local functions that call themselves, or that expand to over a million nodes."""
    bodies = {(f.domain, f.name): list(_all_nodes(f.node)) for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}
    for key in bodies:
        _expanded(key, bodies, sizes, (), path)
    total = sum(sizes.get((node.domain, node.op_type), 1) for node in _all_nodes(model.graph.node))
    if total > MOST_NODES:
        raise BadInput(
            str(path), f"its functions expand to {total:,} operators", f"{MOST_NODES:,} are allowed"
        )


def _expanded(
    key: tuple[str, str],
    bodies: Mapping[tuple[str, str], Sequence[Any]],
    sizes: dict[tuple[str, str], int],
    callers: tuple[tuple[str, str], ...],
    path: Path,
) -> int:
    """Operators in a function after everything it calls is written out."""
    if key in callers:
        raise BadInput(str(path), f"the function {key[1]} calls itself", "", "Export the model again")
    if len(callers) > 100:
        raise BadInput(str(path), "functions call functions over 100 deep")
    if key not in sizes:
        called = [(node.domain, node.op_type) for node in bodies[key]]
        inner = (_expanded(c, bodies, sizes, (*callers, key), path) if c in bodies else 1 for c in called)
        sizes[key] = sum(inner)
    return sizes[key]


def _all_nodes(nodes: Iterable[Any]) -> Iterable[Any]:
    """Nodes and those of their subgraphs."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)


def check_growth(model: Any, read_bytes: int) -> None:
    """Raise ValueError if running the model of constants makes something far larger than what it reads.

    `read_bytes`: of the constants it reads.
    """
    allowed = max(FOLDED_BYTES, FOLDED_TIMES * read_bytes)
    known = _inferred_bytes(model)
    for node in _all_nodes(model.graph.node):
        sizes = [known.get(name) for name in node.output if name]
        if node.op_type in GROWING and None in sizes:
            raise ValueError(f"the size of what {node.op_type} makes is not known before it is made")
        largest = max((size for size in sizes if size is not None), default=0)
        if largest > allowed:
            raise ValueError(f"it would make {format_bytes(largest)} out of {format_bytes(read_bytes)}")


def check_sizes(model: Any) -> None:
    """Raise ValueError if a tensor whose shape can be inferred is above the limit, or pooling takes minutes.

    A free batch counts as one sample.
    """
    allowed = decoded_bytes_limit()
    known = _inferred_bytes(model, free=1)
    largest = max(known.values(), default=1)
    for node in _all_nodes(model.graph.node):
        window = math.prod(next((a.ints for a in node.attribute if a.name == "kernel_shape"), ()))
        if window * max((known.get(name, largest) for name in node.output), default=1) > MOST_POOLED_BYTES:
            found = "onnx pools element by element, and these are too many"
            raise ValueError(f"{found}: over {MOST_POOLED_BYTES // 4:,} with all windows")
    for name, size in known.items():
        if size > allowed:
            raise ValueError(f"{name} would take {format_bytes(size)}; {format_bytes(allowed)} are allowed")


def _inferred_bytes(model: Any, free: int | None = None) -> dict[str, int]:
    """Bytes of the values whose shapes can be inferred; `free` stands for sizes that are not fixed."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except onnx.shape_inference.InferenceError:
        inferred = model.graph
    found: dict[str, int] = {}
    for value in (*inferred.input, *inferred.value_info, *inferred.output):
        kind = value.type.tensor_type
        dims = kind.shape.dim
        sizes = [dim.dim_value if dim.HasField("dim_value") else free for dim in dims]
        if kind.HasField("shape") and None not in sizes:
            found[value.name] = declared_bytes(onnx.TensorProto(data_type=kind.elem_type, dims=sizes))
    return found
