"""Which weights can do with one or two bits."""

from __future__ import annotations

from smidgen.graph import Graph, Node
from smidgen.graph.scan import walk
from smidgen.methods.post_training import WEIGHTED


def wide_weights(graph: Graph, first: bool, last: bool) -> tuple[str, ...]:
    """Weights of linear and conv layers and of the gates of recurrent ones, in order, tied ones once.

    Those of the `first` and the `last` layer (all gates of a recurrent one) only where asked for. Depthwise
    filters never: they hold few weights, and no sum over channels averages their error.
    """
    layers = [found for node in graph.nodes if (found := _weighted(node))]
    ends = [layers[i] for i, asked in ((0, first), (-1, last)) if layers and not asked]
    kept = {node.params["weight"] for nodes in ends for node in nodes}
    nodes = (node for found in layers for node in found if not _is_depthwise(graph, node))
    return tuple(dict.fromkeys(name for node in nodes if (name := node.params["weight"]) not in kept))


def _weighted(node: Node) -> list[Node]:
    return [inner for inner in walk([node]) if inner.op in WEIGHTED]


def _is_depthwise(graph: Graph, node: Node) -> bool:
    return node.attrs.get("groups", 1) > 1 and graph.weights[node.params["weight"]].shape[-1] == 1
