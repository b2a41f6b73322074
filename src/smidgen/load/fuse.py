"""Local rewrites that exporters undo: biases added after a layer, zero padding before a convolution, factors
beside a product."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Format, Imported
from smidgen.graph import Graph, Node
from smidgen.load.fuse_normalize import fuse_normalize


def fuse(graph: Graph) -> Graph:
    """`graph` with scales, added biases and zero padding merged into the layers beside them."""
    for name in [node.name for node in graph.nodes if node.op == "mul_constant"]:
        graph = _scale(graph, graph.node(name))
    for name in [node.name for node in graph.nodes if node.op == "add_constant"]:
        graph = _bias(graph, graph.node(name))
    for name in [node.name for node in graph.nodes if node.op == "transpose"]:
        graph = _swap_padding(graph, graph.node(name))
    for name in [node.name for node in graph.nodes if node.op == "conv"]:
        graph = _padding(graph, graph.node(name))
    for name in [node.name for node in graph.nodes if node.op == "matmul"]:
        graph = _scaled_factors(_scaled_result(graph, graph.node(name)), name)
    return fuse_normalize(graph).pruned()


def _factor(graph: Graph, node: Node | None) -> float | None:
    """The one positive number that a node multiplies everything by."""
    if node is None or node.op != "mul_constant":
        return None
    numbers = np.unique(graph.weights[node.params["constant"]].decode())
    return float(numbers[0]) if numbers.size == 1 and numbers[0] > 0 else None


def _scaled(graph: Graph, product: Node, scaling: Node, factor: float) -> Graph:
    """The product times `factor`, in the place of the node that multiplied by it."""
    attrs = {**product.attrs, "scale": product.attrs["scale"] * factor}
    graph = graph.replace(product.name, replace(product, attrs=attrs)).replace(scaling.name)
    return graph.rename_value(scaling.output, scaling.inputs[0])


def _scaled_result(graph: Graph, product: Node) -> Graph:
    """matmul(a, b) * constant -> matmul(a, b, scale=constant)."""
    readers = graph.consumers(product.output)
    if len(readers) != 1 or product.output in graph.outputs:
        return graph
    factor = _factor(graph, readers[0])
    return graph if factor is None else _scaled(graph, product, readers[0], factor)


def _scaled_factors(graph: Graph, name: str) -> Graph:
    """matmul(a * constant, b) likewise, with any moves in between."""
    for which in (0, 1):
        product = graph.node(name)
        node: Node | None = replace(product, inputs=(product.inputs[which],))
        while node is not None and (node.name == name or node.op in ("transpose", "reshape")):
            node = _only_producer(graph, node, "transpose", "reshape", "mul_constant")
        factor = _factor(graph, node)
        if node is not None and factor is not None:
            graph = _scaled(graph, product, node, factor)
    return graph


def _only_producer(graph: Graph, node: Node, *ops: str) -> Node | None:
    """The producer of the node's first input, if it is one of `ops` and nothing else reads it."""
    value = node.inputs[0]
    made_by = graph.producer(value)
    shared = value in graph.outputs or len(graph.consumers(value)) > 1
    return made_by if made_by is not None and made_by.op in ops and not shared else None


def _bias(graph: Graph, node: Node) -> Graph:
    """linear(x) + constant -> linear(x, bias=constant), with one more term in between or without."""
    layer = last = _only_producer(graph, node, "linear", "conv", "add")
    if last is not None and last.op == "add":
        layer = _only_producer(graph, last, "linear", "conv")
        if layer is not None and graph.values[layer.output].shape != graph.values[last.output].shape:
            return graph
    if last is None or layer is None or "bias" in layer.params:
        return graph
    biased = replace(layer, params={**layer.params, "bias": node.params["constant"]})
    return graph.replace(layer.name, biased).replace(node.name).rename_value(node.output, last.output)


def _scale(graph: Graph, node: Node) -> Graph:
    """(q @ x) * scale -> ((scale * q) @ x) for integer weights whose scale comes after the product."""
    layer = _only_producer(graph, node, "linear", "conv")
    if layer is None or "bias" in layer.params or len(graph.users(layer.params["weight"])) > 1:
        return graph
    name = layer.params["weight"]
    scaled = _coarser(graph.weights[name], graph.weights[node.params["constant"]].decode())
    if scaled is None:
        return graph
    return graph.with_weights({name: scaled}).replace(node.name).rename_value(node.output, layer.output)


def _coarser(fmt: Format, factor: npt.NDArray[np.float32]) -> Format | None:
    """Integers on a grid that is coarser by a positive factor a channel; None for other weights."""
    if not isinstance(fmt, (Affine, Imported)) or not np.all(factor > 0):
        return None
    uniform = bool(np.all(factor == factor[0]))
    if isinstance(fmt, Affine):
        factor = factor[:1] if uniform and fmt.scale.size == 1 else factor
        size = max(factor.size, fmt.scale.size)
        zero = None if fmt.zero is None else np.broadcast_to(fmt.zero, (size,)).copy()
        return replace(fmt, scale=(fmt.scale * factor).astype(np.float32), zero=zero)
    column = (factor[:1] if uniform else factor).reshape(-1, *(1,) * (fmt.scale.ndim - 1))
    scale = (fmt.scale * column).astype(np.float32)
    zero16 = None if fmt.zero is None else np.broadcast_to(fmt.zero, scale.shape).copy()
    return replace(fmt, scale=scale, zero=zero16)


def _swap_padding(graph: Graph, transpose: Node) -> Graph:
    """transpose(pad(x)) -> pad(transpose(x)): less to move, and beside the convolution that can take it."""
    pad = _only_producer(graph, transpose, "pad")
    if pad is None:
        return graph
    pads = tuple(pad.attrs["pads"][axis] for axis in transpose.attrs["perm"])
    first = replace(transpose, inputs=pad.inputs, outputs=pad.outputs)
    second = replace(pad, inputs=pad.outputs, outputs=transpose.outputs, attrs={**pad.attrs, "pads": pads})
    swapped = {pad.name: first, transpose.name: second}
    return replace(graph, nodes=tuple(swapped.get(node.name, node) for node in graph.nodes)).inferred()


def _padding(graph: Graph, conv: Node) -> Graph:
    """conv(pad(x)) -> conv(x) with more padding, for zeros around the spatial axes."""
    pad = _only_producer(graph, conv, "pad")
    if pad is None or pad.attrs["value"] != 0 or tuple(pad.attrs["pads"][-1]) != (0, 0):
        return graph
    both = zip(conv.attrs["padding"], pad.attrs["pads"][:-1], strict=True)
    padding = tuple((a + c, b + d) for (a, b), (c, d) in both)
    merged = replace(conv, inputs=pad.inputs, attrs={**conv.attrs, "padding": padding})
    return graph.replace(conv.name, merged).replace(pad.name)
