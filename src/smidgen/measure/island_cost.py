"""What a float island would cost if it were captured, as far as its payload tells."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import msgpack

from smidgen.graph import Graph, Node


class IslandCost(NamedTuple):
    """Multiply-accumulates for one sample, and bytes of the tensors inside."""

    macs: int
    weight_bytes: int


def island_cost(graph: Graph, node: Node) -> IslandCost:
    """The cost of an island node. Raises ValueError for a payload that can't be read.

    Multiply-accumulates are those of ONNX's Conv, ConvTranspose, Gemm and MatMul; those inside ATen programs
    can't be told without running them, and count as one for each output element and each weight.
    """
    payload: bytes = node.attrs["payload"]
    if node.attrs["kind"] == "onnx":
        return _onnx_cost(payload)
    stored = sum(_tensor_bytes(part) for part in _parts(msgpack.unpackb(payload)))
    return IslandCost(sum(graph.values[name].size for name in node.outputs) + stored // 4, stored)


def _onnx_cost(payload: bytes) -> IslandCost:
    import onnx

    model = onnx.shape_inference.infer_shapes(onnx.load_from_string(payload))
    graph = model.graph
    sizes = {tensor.name: tuple(tensor.dims) for tensor in graph.initializer}
    stored = sum(onnx.numpy_helper.to_array(tensor).nbytes for tensor in graph.initializer)
    for port in (*graph.input, *graph.value_info, *graph.output):
        sizes[port.name] = tuple(max(dim.dim_value, 1) for dim in port.type.tensor_type.shape.dim)
    return IslandCost(sum(_node_macs(node, sizes) for node in graph.node), stored)


def _node_macs(node: Any, sizes: dict[str, tuple[int, ...]]) -> int:
    out = math.prod(sizes.get(node.output[0], ()))
    if node.op_type in ("MatMul", "Gemm"):
        transposed = any(a.name == "transA" and a.i for a in node.attribute)
        return out * sizes.get(node.input[0], (1, 1))[0 if transposed else -1]
    if node.op_type == "Conv":
        return out * math.prod(sizes.get(node.input[1], ())[1:])
    if node.op_type == "ConvTranspose":
        return math.prod(sizes.get(node.input[0], ())) * math.prod(sizes.get(node.input[1], ())[1:])
    return 0


def _parts(value: Any) -> list[Any]:
    """All maps inside a program."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [*([value] if isinstance(value, dict) else []), *(part for item in inner for part in _parts(item))]


def _tensor_bytes(part: dict[str, Any]) -> int:
    tensor = part.get("tensor")
    return len(tensor[2]) if isinstance(tensor, list) and len(tensor) == 3 else 0
