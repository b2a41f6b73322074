"""Operation counts of a graph for one sample: what modelled latency and energy are made from."""

from __future__ import annotations

import math

from smidgen.formats import BinaryPacks, Integer, LowRank
from smidgen.graph.core import Graph, Node
from smidgen.graph.scan import SCANS, body_of, steps_of
from smidgen.graph.trees import depths

MOVES_NOTHING = ("reshape", "q.reshape")
PRODUCTS = ("matmul", "q.matmul")  # of two computed tensors
BINARY = ("q.binary_linear", "q.binary_conv", "q.binary_linear_bits", "q.binary_conv_bits")
SERIAL = ("q.serial_linear", "q.serial_conv", "q.serial_linear_planes", "q.serial_conv_planes")
MULTIPLIES = ("linear", "conv", "q.linear", "q.conv", *BINARY, *SERIAL, *PRODUCTS)


def macs(graph: Graph) -> dict[str, int]:
    """Multiply-accumulates of each convolution, linear and matmul node by name, in graph order.

    Real or integer. A scan has those of all its steps. Positions in the padding are counted, and so are zero
    weights, but for those of packs that a layer on bits leaves out: this is what kernels execute.
    """
    counted = ((node.name, _node_macs(graph, node)) for node in graph.nodes)
    return {name: count for name, count in counted if count}


def element_operations(graph: Graph) -> dict[str, int]:
    """Element operations of every other node by name: one for each element a node reads or writes, whichever
    is more; the whole window for pools; each weight for a decode; the longest walk and the leaf of every
    tree; what the other nodes of a scan's body do in all its steps. Reshapes cost nothing and are left out.
    """
    skipped = (*MOVES_NOTHING, *MULTIPLIES)
    return {node.name: _node_elements(graph, node) for node in graph.nodes if node.op not in skipped}


def _node_macs(graph: Graph, node: Node) -> int:
    if node.op in SCANS:
        return steps_of(node, graph.values) * sum(macs(body_of(node, graph.weights)).values())
    if node.op not in MULTIPLIES:
        return 0
    out = graph.values[node.output].size
    if node.op in PRODUCTS:
        return out * graph.values[node.inputs[0]].shape[-1]
    weight = node.params.get("weight")
    stored = graph.weights[weight] if weight else None
    if isinstance(stored, LowRank):
        positions = out // stored.shape[0]
        return positions * (math.prod(stored.left.shape) + math.prod(stored.right.shape))
    shape = stored.shape if stored else graph.values[node.inputs[1]].shape
    if graph.values[node.output].dtype == "uint32":
        out = _packed_positions(graph.values[node.output].shape, node) * shape[0]
    if node.op in BINARY and isinstance(stored, BinaryPacks):
        return out * stored.packs_a_row * stored.width
    return out * math.prod(shape[1:])


def _packed_positions(shape: tuple[int, ...], node: Node) -> int:
    """How many positions have a word, or a word in each plane."""
    return math.prod(shape[1:-1] if node.op in SERIAL else shape[:-1])


def _node_elements(graph: Graph, node: Node) -> int:
    if node.op in SCANS:
        steps, body = steps_of(node, graph.values), body_of(node, graph.weights)
        return steps * sum(element_operations(body).values())
    written = sum(graph.values[name].size for name in node.outputs)
    if node.op in ("trees", "q.trees"):
        return _tree_operations(graph, node)
    if "kernel" in node.attrs:
        return written * math.prod(node.attrs["kernel"])
    return max(written, sum(graph.values[name].size for name in node.inputs))


def _tree_operations(graph: Graph, node: Node) -> int:
    arrays = {
        role: fmt.array
        for role, name in node.params.items()
        if isinstance(fmt := graph.weights[name], Integer)
    }
    return int(depths(arrays).sum()) + math.prod(graph.weights[node.params["leaf"]].shape[1:]) * len(
        arrays["tree"]
    )
