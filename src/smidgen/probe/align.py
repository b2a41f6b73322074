"""Which value of one network is which of another: by the names that loading, folding and lowering keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from smidgen.formats.packing import plane_count, word_count
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value

# Nodes that lowering inserts, named after a value and followed by a real node of that value's own.
INSERTED = frozenset({"q.decode", "quantize", "dequantize"})


@dataclass(frozen=True)
class Layout:
    """The values of something that runs, in the order of computing, each with the layer that makes it.

    `reads`: layer -> the values that it computes from.
    """

    values: Mapping[str, Value]
    layers: Mapping[str, str]  # value -> layer
    ops: Mapping[str, str]  # layer -> operator
    reads: Mapping[str, tuple[str, ...]]
    output: str


@dataclass(frozen=True)
class Unaligned:
    """A layer of one network that has no counterpart, and why. `where` is `A` or `B`."""

    where: str
    layer: str
    reason: str


@dataclass(frozen=True)
class Alignment:
    """`pairs`: value of B -> value of A, in B's order."""

    pairs: Mapping[str, str]
    unaligned: tuple[Unaligned, ...]


def layout_of(graph: Graph) -> Layout:
    """The layout of a graph; scans are one layer."""
    made = {name: node.name for node in graph.nodes if node.op != "q.decode" for name in node.outputs}
    ops = {node.name: node.op for node in graph.nodes}
    reads = {node.name: node.inputs for node in graph.nodes}
    values = {name: graph.values[name] for name in (*graph.inputs, *made)}
    return Layout(values, made, ops, reads, graph.outputs[0])


def align(a: Graph, b: Layout) -> Alignment:
    """Pair the values of B with those of A.

    By the value's name, else by its layer's; shapes must agree. What A computes in a layer that B fuses into
    the next (an activation into its layer's saturation) is no loss and is left out.
    """
    made = {node.name: node for node in a.nodes}
    pairs: dict[str, str] = {}
    unaligned: list[Unaligned] = []
    for name, value in b.values.items():
        layer = b.layers.get(name, name)
        wanted = name if name in a.values else _by_layer(made.get(layer))
        if wanted is None:
            if not _inserted(b, name, layer):
                unaligned.append(Unaligned("B", layer, "A has no layer of this name"))
        elif not _same_shape(a.values[wanted], value):
            found, expected = list(value.shape), list(a.values[wanted].shape)
            unaligned.append(Unaligned("B", layer, f"shape {found}, in A {expected}: channels were removed"))
        else:
            pairs[name] = wanted
    reached = {*pairs.values(), *(u.layer for u in unaligned)}
    unaligned += [
        Unaligned("A", node.name, "B has no layer of this name")
        for node in a.nodes
        if not reached & {node.name, *node.outputs} and not _fused(a, node, b)
    ]
    return Alignment(pairs, tuple(unaligned))


def _same_shape(a: Value, b: Value) -> bool:
    """Equal, or equal but for the channels that one of them has in words of bits."""
    if a.shape == b.shape or a.dtype == b.dtype:
        return a.shape == b.shape
    bits, other = (a, b) if a.dtype == "uint32" else (b, a)
    packed = (*other.shape[:-1], word_count(other.shape[-1])) if other.shape else ()
    planes = plane_count(bits.grid.bits) if bits.grid else 0
    return bits.dtype == "uint32" and bits.shape == ((planes, *packed) if planes else packed)


def _by_layer(node: Node | None) -> str | None:
    return node.output if node and len(node.outputs) == 1 else None


def _inserted(b: Layout, name: str, layer: str) -> bool:
    """What lowering puts between layers: rounding onto another grid, the borders of float islands."""
    return (
        name.endswith((".requantized", ".real", ".float", ".inside", ".levels"))
        or b.ops.get(layer) in INSERTED
    )


def _fused(a: Graph, node: Node, b: Layout) -> bool:
    """Whether B computes the node inside the layer that reads it, or under its name."""
    readers = a.consumers(node.output)
    return node.name in b.ops or (len(readers) == 1 and readers[0].output in b.values)
