"""Which values are packed bits: signs and numbers of few bits that only layers with binary weights read.

A packed value keeps 32 channels in a word: uint32 [..., words]. Bit c % 32 of word c / 32, counted from the
least significant, is 1 for +1 and 0 for -1; bits beyond the last channel are 0. Numbers of few bits have a
plane of such words for each bit, the most significant first: uint32 [planes, ..., words]. On the way to its
readers a packed value may pass maximum pools, and reshapes that leave words whole.
"""

from __future__ import annotations

from dataclasses import replace

from smidgen.formats import Binary, BinaryPacks, Format
from smidgen.formats.binarypacks import packs_of
from smidgen.formats.packing import WORD_BITS
from smidgen.graph import Graph, Node
from smidgen.graph.activations import UNIPOLAR

PACKABLE = ("binarize", *UNIPOLAR)
MOST_PLACES = 1 << 16  # of words in a window, as numbers of 16 bits


def read_bits(graph: Graph, node: Node) -> str:
    """For a layer with binary weights on a packed input what has made that (`packed_by`), else nothing."""
    made = packed_by(graph, node.inputs[0])
    return made if made and _has_signs(graph, node, made) else ""


def is_packed(graph: Graph, value: str) -> bool:
    """True for a value of few bits that, pooled or reshaped, only layers with binary weights read."""
    return bool(packed_by(graph, value))


def packed_by(graph: Graph, value: str) -> str:
    """The operator that has made a packed value, `binarize` or one of UNIPOLAR; nothing for other values."""
    maker = graph.producer(value)
    while maker and _moves_words(graph, maker):
        value = maker.inputs[0]
        maker = graph.producer(value)
    if maker is None or maker.op not in PACKABLE:
        return ""
    return maker.op if _ends_in_layers(graph, value, maker.op) else ""


def makes_bits(graph: Graph, node: Node, reader: Node) -> bool:
    """True where `node`'s sums become packed bits by one comparison a channel, in the place of `reader`."""
    if reader.op != "binarize" or not is_packed(graph, reader.output):
        return False
    return read_bits(graph, node) == "binarize" or scales_channels(graph, node)


def scales_channels(graph: Graph, node: Node) -> bool:
    """True for a convolution that multiplies each channel by a number and adds one: a BatchNorm by itself."""
    if node.op != "conv" or any(n for pair in node.attrs["padding"] for n in pair):
        return False
    channels, *kernel, per_group = graph.weights[node.params["weight"]].shape
    steps = {*kernel, per_group, *node.attrs["stride"]}
    return steps == {1} and channels == graph.values[node.inputs[0]].shape[-1]


def with_early_signs(graph: Graph) -> Graph:
    """The same function, bits made before what only moves words: a layer's sums can then become bits."""
    for name in [node.name for node in graph.nodes if node.op in PACKABLE]:
        while mover := _mover_before(graph, graph.node(name)):
            graph = _swapped(graph, mover, graph.node(name))
    return graph


def _mover_before(graph: Graph, node: Node) -> Node | None:
    """What makes the input of an operator that makes bits, if that can come later."""
    maker = graph.producer(node.inputs[0])
    if maker is None or not _moves_words(graph, maker) or not is_packed(graph, node.output):
        return None
    read_once = len(graph.consumers(maker.output)) == 1 and maker.output not in graph.outputs
    return maker if read_once else None


def _swapped(graph: Graph, mover: Node, node: Node) -> Graph:
    source, signs, moved = mover.inputs[0], node.output, mover.output
    graph = graph.replace(node.name).rename_value(signs, moved)
    graph = graph.with_values({signs: replace(graph.values[signs], shape=graph.values[source].shape)})
    early, late = replace(node, inputs=(source,)), replace(mover, inputs=(signs,))
    return graph.replace(mover.name, early, late)


def _ends_in_layers(graph: Graph, value: str, made: str) -> bool:
    readers = graph.consumers(value)
    if value in graph.outputs or not readers:
        return False
    return all(
        _ends_in_layers(graph, node.output, made)
        if _moves_words(graph, node)
        else _has_signs(graph, node, made)
        for node in readers
    )


def _moves_words(graph: Graph, node: Node) -> bool:
    """True for a maximum over bits, and for a reshape after which no word holds what two held before."""
    if node.op == "max_pool":
        return not any(n for pair in node.attrs["padding"] for n in pair)
    shapes = (
        [graph.values[name].shape for name in (node.inputs[0], node.output)] if node.op == "reshape" else []
    )
    return bool(shapes) and all(shape and shape[-1] % WORD_BITS == 0 for shape in shapes)


def _has_signs(graph: Graph, node: Node, made: str) -> bool:
    """True for a layer that kernels compute from bits that the operator `made` makes."""
    if node.op not in ("linear", "conv") or node.attrs.get("groups", 1) != 1:
        return False
    weight = graph.weights[node.params["weight"]]
    return isinstance(weight, Binary) or (made == "binarize" and reads_packs(weight))


def reads_packs(weight: Format) -> bool:
    """True for weights of which kernels read the words that are kept: planes of bits have no such kernel."""
    if not isinstance(weight, BinaryPacks) or weight.width != WORD_BITS:
        return False
    return packs_of(weight.shape, WORD_BITS) <= MOST_PLACES * weight.shape[0]
