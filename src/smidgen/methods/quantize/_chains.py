"""Consecutive layers with nothing between them that minds a positive factor per channel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from smidgen.graph import Graph, Node
from smidgen.methods.post_training import WEIGHTED

Index = npt.NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Pair:
    """Two layers: input channel j of `second` carries output channel `channels[j]` of `first` alone."""

    first: Node
    second: Node
    channels: Index


def neighbours(graph: Graph) -> tuple[Pair, ...]:
    """All pairs of float layers whose values and weights nothing else uses, in the order of the graph."""
    return tuple(_pairs(graph))


def _pairs(graph: Graph) -> Iterator[Pair]:
    for node in graph.nodes:
        if node.op in WEIGHTED and _own_float(graph, node):
            pair = _next_layer(graph, node)
            if pair and _own_float(graph, pair.second):
                yield pair


def _own_float(graph: Graph, node: Node) -> bool:
    """Whether weight and bias are float and no other layer's."""
    names = node.params.values()
    floats = graph.weights[node.params["weight"]].integers() is None
    return floats and all(len(graph.users(name)) == 1 for name in names)


def _next_layer(graph: Graph, first: Node) -> Pair | None:
    """Follow the only reader up to a layer. `index` is the channel behind each element of a value."""
    value, shape = first.output, graph.values[first.output].shape
    index: Index | None = np.broadcast_to(np.arange(shape[-1]), shape)
    while index is not None and value not in graph.outputs:
        readers = graph.consumers(value)
        if len(readers) != 1:
            return None
        if readers[0].op in WEIGHTED:
            channels = _constant(index, tuple(range(index.ndim - 1)))
            return None if channels is None else Pair(first, readers[0], channels.ravel())
        index = _through(readers[0], index, graph.values[readers[0].output].shape)
        value = readers[0].output
    return None


def _through(node: Node, index: Index, shape: tuple[int, ...]) -> Index | None:
    """The channel behind each element of the node's output; None if f(x / s) is not f(x) / s there."""
    if node.op == "relu":
        return index
    if node.op == "reshape":
        return index.reshape(shape)
    if node.op == "transpose":
        return index.transpose(node.attrs["perm"])
    if node.op == "pad" and node.attrs["value"] == 0:
        return np.pad(index, node.attrs["pads"], mode="edge")  # zeros belong to any channel
    if node.op in ("max_pool", "avg_pool"):
        channels = _constant(index, tuple(range(index.ndim - 1)))
        return None if channels is None else np.broadcast_to(channels, shape)
    if node.op == "mean":
        channels = _constant(index, tuple(node.attrs["axes"]))
        return None if channels is None else channels.reshape(shape)
    return None


def _constant(index: Index, axes: tuple[int, ...]) -> Index | None:
    """`index` with `axes` of length 1, if it is the same all along them."""
    first: Index = index.min(axis=axes, keepdims=True)
    return first if (index == first).all() else None
