"""Which layers become binary, and where the signs of their inputs are taken."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from smidgen.formats import Dense
from smidgen.graph import Graph, Node, Value
from smidgen.methods.post_training import WEIGHTED

NORM_EPSILON = 1e-5
RECTIFIERS = ("relu", "relu6")
SIGN_KEEPING = ("max_pool", "reshape")  # the sign of what they make is what they make of the signs


def inner_layers(graph: Graph, suits: Callable[[Node], bool]) -> list[Node]:
    """The weighted layers between the first and the last, with float weights of their own, that suit.

    Recurrent layers stay as they are.
    """
    weighted = [node for node in graph.nodes if node.op in WEIGHTED]
    ends = [node.name for node in (*weighted[:1], *weighted[-1:])]
    return [node for node in all_layers(graph, suits) if node.name not in ends]


def all_layers(graph: Graph, suits: Callable[[Node], bool]) -> list[Node]:
    """The weighted layers with float weights that suit, those of recurrences left out."""
    weighted = [node for node in graph.nodes if node.op in WEIGHTED]
    return [n for n in weighted if isinstance(graph.weights[n.params["weight"]], Dense) and suits(n)]


def with_binary_input(graph: Graph, layer: str) -> Graph:
    """The graph in which `layer` reads signs: a BatchNorm, then `binarize`, in the place of a ReLU.

    A BatchNorm that is there already, behind a ReLU that nothing else reads, is the one; after others a new
    one is put in, whose statistics training finds: what a ReLU made has no sign.
    """
    graph = _without_rectifier(graph, graph.node(layer).inputs[0])
    source = graph.node(layer).inputs[0]
    nodes = []
    if not _is_normalized(graph, source):
        graph, norm = _batch_norm(graph, source, f"{layer}.norm")
        nodes.append(norm)
    signs = f"{layer}.signs"
    graph = graph.with_values({signs: Value(graph.values[source].shape)})
    nodes.append(Node(signs, "binarize", (nodes[-1].output if nodes else source,), (signs,)))
    node = graph.node(layer)
    return graph.replace(layer, *nodes, replace(node, inputs=(signs, *node.inputs[1:])))


def _without_rectifier(graph: Graph, value: str) -> Graph:
    """Without the ReLU behind which `value` lies, past pools and reshapes, if nothing else reads it."""
    maker = graph.producer(value)
    while maker and maker.op in SIGN_KEEPING and _is_read_once(graph, maker.output):
        maker = graph.producer(maker.inputs[0])
    if maker is None or maker.op not in RECTIFIERS or not _is_read_once(graph, maker.output):
        return graph
    return graph.replace(maker.name).rename_value(maker.output, maker.inputs[0])


def _is_read_once(graph: Graph, value: str) -> bool:
    return len(graph.consumers(value)) == 1 and value not in graph.outputs


def _is_normalized(graph: Graph, value: str) -> bool:
    maker = graph.producer(value)
    while maker and maker.op in SIGN_KEEPING:
        maker = graph.producer(maker.inputs[0])
    return maker is not None and maker.op == "batch_norm"


def _batch_norm(graph: Graph, source: str, name: str) -> tuple[Graph, Node]:
    """A BatchNorm that changes nothing yet."""
    shape = graph.values[source].shape
    ones, zeros = np.ones(shape[-1], np.float32), np.zeros(shape[-1], np.float32)
    roles = {"gamma": ones, "beta": zeros, "mean": zeros, "variance": ones}
    graph = graph.with_weights({f"{name}.{role}": Dense(array) for role, array in roles.items()})
    params = {role: f"{name}.{role}" for role in roles}
    node = Node(name, "batch_norm", (source,), (name,), params, {"epsilon": NORM_EPSILON})
    return graph.with_values({name: Value(shape)}), node
