"""Structured weights spelled out: a layer that means several layers becomes those, in primitive nodes.

Whatever executes, calibrates or rewrites a graph does so on the expanded one; the weight as a whole is never
multiplied out, since rounding between the factors makes that another function.
"""

from __future__ import annotations

from dataclasses import replace

from smidgen.errors import IllegalGraph
from smidgen.formats import Format, LowRank
from smidgen.graph.core import Graph, Node, Value
from smidgen.graph.names import unused
from smidgen.graph.scan import SCANS, body_of, with_body

FACTORED = ("linear", "conv")


def expand_structured(graph: Graph) -> Graph:
    """`graph` with two nodes, `<name>.factor` and `<name>`, for every one whose weight is `LowRank`.

    The bodies of scans are expanded too. The left factor keeps the weight's name, the right one gets that of
    `right_factors`. New values have no grid.

    Raises:
        IllegalGraph: a low-rank weight stands where it has no factored meaning (grouped convolutions).
    """
    rights = right_factors(graph)
    if not any(isinstance(weight, LowRank) for weight in graph.weights.values()):
        return graph
    taken = {*graph.values, *(node.name for node in graph.nodes)}
    nodes: list[Node] = []
    values: dict[str, Value] = {}
    weights: dict[str, Format] = dict(graph.weights)
    for node in graph.nodes:
        weight = graph.weights.get(node.params.get("weight", ""))
        if node.op in SCANS:
            body = expand_structured(body_of(node, graph.weights))
            weights.update(body.weights)
            nodes.append(with_body(node, body))
        elif isinstance(weight, LowRank):
            inner = unused(taken, f"{node.name}.factor")
            values[inner] = Value((*graph.values[node.output].shape[:-1], weight.rank))
            nodes += _factored(node, inner, rights[node.params["weight"]])
        else:
            nodes.append(node)
    for name, right in rights.items():
        whole = graph.weights[name]
        assert isinstance(whole, LowRank)
        weights |= {name: whole.left, right: whole.right}
    return replace(graph, nodes=tuple(nodes), values={**graph.values, **values}, weights=weights)


def right_factors(graph: Graph) -> dict[str, str]:
    """Name of each low-rank weight -> the name that its right factor gets. Tied weights stay tied.

    Those that only the bodies of scans use are not looked at.
    """
    taken, found = set(graph.weights), dict[str, str]()
    for node in graph.nodes:
        if node.op in SCANS:
            continue
        for role, name in node.params.items():
            if isinstance(graph.weights[name], LowRank):
                _check(node, role)
                if name not in found:
                    found[name] = unused(taken, f"{node.name}.factor.weight")
    return found


def _check(node: Node, role: str) -> None:
    if node.op not in FACTORED or role != "weight" or node.attrs.get("groups", 1) != 1:
        where = "a grouped convolution" if node.op == "conv" else f"the {role} of {node.op}"
        expected = "linear layers and plain convolutions have low-rank weights"
        raise IllegalGraph(node.name, f"{where} is low-rank", expected, "Store it as Dense")


def _factored(node: Node, inner: str, right: str) -> tuple[Node, Node]:
    """right: the node's own window; left: all outputs from one position."""
    before = Node(inner, node.op, node.inputs, (inner,), {"weight": right}, node.attrs)
    attrs = dict(node.attrs)
    if node.op == "conv":
        rank = len(attrs["stride"])
        point = {"stride": (1,) * rank, "padding": ((0, 0),) * rank, "dilation": (1,) * rank}
        attrs |= point
    return before, replace(node, inputs=(inner,), attrs=attrs)
