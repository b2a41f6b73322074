"""Which values are packed bits: those that `binarize` makes and only layers with binary weights read.

A packed value keeps 32 channels in a word: uint32 [..., words]. Bit c % 32 of word c / 32, counted from the
least significant, is 1 for +1 and 0 for -1; bits beyond the last channel are 0.
"""

from __future__ import annotations

from smidgen.formats import Binary
from smidgen.graph import Graph, Node


def reads_bits(graph: Graph, node: Node) -> bool:
    """True for a layer with binary weights whose input is packed."""
    return _has_signs(graph, node) and is_packed(graph, node.inputs[0])


def is_packed(graph: Graph, value: str) -> bool:
    """True for a value of +1 and -1 that only layers with binary weights read."""
    maker, readers = graph.producer(value), graph.consumers(value)
    if maker is None or maker.op != "binarize" or value in graph.outputs or not readers:
        return False
    return all(_has_signs(graph, node) for node in readers)


def makes_bits(graph: Graph, node: Node, reader: Node) -> bool:
    """True where `node`'s sums become packed bits by one comparison a channel, in the place of `reader`."""
    if reader.op != "binarize" or not is_packed(graph, reader.output):
        return False
    return reads_bits(graph, node) or scales_channels(graph, node)


def scales_channels(graph: Graph, node: Node) -> bool:
    """True for a convolution that multiplies each channel by a number and adds one: a BatchNorm by itself."""
    if node.op != "conv" or any(n for pair in node.attrs["padding"] for n in pair):
        return False
    channels, *kernel, per_group = graph.weights[node.params["weight"]].shape
    steps = {*kernel, per_group, *node.attrs["stride"]}
    return steps == {1} and channels == graph.values[node.inputs[0]].shape[-1]


def _has_signs(graph: Graph, node: Node) -> bool:
    if node.op not in ("linear", "conv") or node.attrs.get("groups", 1) != 1:
        return False
    return isinstance(graph.weights[node.params["weight"]], Binary)
