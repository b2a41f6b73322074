"""A normalization that an exporter took apart: (x - mean) / sqrt(mean((x - mean)²) + epsilon)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from smidgen.graph import Graph, Node


def fuse_normalize(graph: Graph) -> Graph:
    """`graph` with one `normalize` node in the place of each product that completes such a pattern.

    In integers the pieces would square differences and divide by small numbers, which 8 bits do not hold.
    """
    makers = {out: node for node in graph.nodes for out in node.outputs}
    for node in graph.nodes:
        if node.op == "mul" and (found := _normalize(graph, makers, node)) is not None:
            graph = graph.replace(node.name, found)
    return graph


def _normalize(graph: Graph, makers: Mapping[str, Node], product: Node) -> Node | None:
    for centred, inverse in (product.inputs, product.inputs[::-1]):
        chain = _chain(makers, inverse, "reciprocal", "sqrt", "add_constant", "mean", "mul")
        if chain is None:
            continue
        _, _, shift, variance, square = chain
        sources = {_centred(makers, name, variance) for name in (centred, *square.inputs)}
        epsilon = np.unique(graph.weights[shift.params["constant"]].decode())
        if len(sources) == 1 and None not in sources and epsilon.size == 1:
            attrs = {"axes": variance.attrs["axes"], "epsilon": float(epsilon[0]), "centered": True}
            (source,) = sources
            assert source is not None
            return Node(product.name, "normalize", (source,), product.outputs, {}, attrs)
    return None


def _chain(makers: Mapping[str, Node], value: str, *ops: str) -> list[Node] | None:
    """The makers of `value`, of its first input, and so on, if they are of these kinds."""
    found: list[Node] = []
    for op in ops:
        node = makers.get(value)
        if node is None or node.op != op:
            return None
        found.append(node)
        value = node.inputs[0]
    return found


def _centred(makers: Mapping[str, Node], value: str, variance: Node) -> str | None:
    """x, if `value` is x minus its mean over the axes over which the variance is taken."""
    difference = makers.get(value)
    if difference is None or difference.op != "sub":
        return None
    x, subtracted = difference.inputs
    mean = makers.get(subtracted)
    alike = mean is not None and mean.op == "mean" and mean.inputs == (x,) and mean.attrs == variance.attrs
    return x if alike and variance.attrs["keepdims"] else None
