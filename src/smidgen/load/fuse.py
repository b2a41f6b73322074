"""Local rewrites that exporters undo: a bias added after its layer, zero padding before a convolution."""

from __future__ import annotations

from dataclasses import replace

from smidgen.graph import Graph, Node


def fuse(graph: Graph) -> Graph:
    """`graph` with added biases and zero padding merged into the linear and conv nodes beside them."""
    for name in [node.name for node in graph.nodes if node.op == "add_constant"]:
        graph = _bias(graph, graph.node(name))
    for name in [node.name for node in graph.nodes if node.op == "transpose"]:
        graph = _swap_padding(graph, graph.node(name))
    for name in [node.name for node in graph.nodes if node.op == "conv"]:
        graph = _padding(graph, graph.node(name))
    return graph.pruned()


def _only_producer(graph: Graph, node: Node, *ops: str) -> Node | None:
    """The producer of the node's input, if it is one of `ops` and nothing else reads it."""
    value = node.inputs[0]
    made_by = graph.producer(value)
    shared = value in graph.outputs or len(graph.consumers(value)) > 1
    return made_by if made_by is not None and made_by.op in ops and not shared else None


def _bias(graph: Graph, node: Node) -> Graph:
    """linear(x) + constant -> linear(x, bias=constant)."""
    layer = _only_producer(graph, node, "linear", "conv")
    if layer is None or "bias" in layer.params:
        return graph
    biased = replace(layer, params={**layer.params, "bias": node.params["constant"]})
    return graph.replace(layer.name, biased).replace(node.name).rename_value(node.output, layer.output)


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
