"""Layers and recurrences rewritten to read, keep and make signs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.formats import Dense, Format, Sparse
from smidgen.formats.binary import mean_sizes, signs_of
from smidgen.graph import Graph, Node, Value
from smidgen.graph.cells import GRU_GATES, bitwise_gru_cell, gate_weights
from smidgen.graph.scan import SCANS, body_of, sequences_of, states_of, with_body
from smidgen.methods.binarize._layers import SIGN_KEEPING, with_binary_input

Floats = npt.NDArray[np.float32]
SIGN_OF: Mapping[str, str] = {"tanh": "binarize", "sigmoid": "step"}
START = -1.0  # of a state: no sign is 0; training may turn it


def signs_of_largest(weight: Floats, sparsity: float) -> Format:
    """`weight`, the latents, as signs with their mean size; the share `sparsity` of the smallest is 0."""
    sizes = np.abs(weight)
    zeros = round(sparsity * sizes.size)
    if not zeros:
        return signs_of(weight, mean_sizes(sizes.reshape(1, -1)))
    kept = sizes > np.partition(sizes, zeros - 1, axis=None)[zeros - 1]
    return Sparse(kept, signs_of(weight, mean_sizes(sizes[kept].reshape(1, -1))))


def reading_signs(graph: Graph, layer: str) -> Graph:
    """The graph in which a linear or conv layer reads signs, unless it reads the network's input."""
    source = graph.node(layer).inputs[0]
    maker = maker_of(graph, source)
    if maker is None or _is_signs(graph, source):
        return graph
    if maker.op == "tanh" and len(graph.consumers(maker.output)) == 1:
        return _with_sign_of(graph, maker)
    return with_binary_input(graph, layer)


def making_signs(graph: Graph, layer: str) -> Graph:
    """The graph in which a tanh or sigmoid that alone reads a layer's sums is their sign or step."""
    readers = graph.consumers(graph.node(layer).output)
    return _with_sign_of(graph, readers[0]) if len(readers) == 1 else graph


def bitwise_recurrence(graph: Graph, name: str) -> Graph:
    """The graph in which the GRU `name`, whose states start at rest, is one of signs that start at -1."""
    node = graph.node(name)
    weights, body = _joined_weights(graph, node), body_of(node)
    if not _is_signs(graph, node.inputs[0]):
        graph = with_binary_input(graph, name)
        node = graph.node(name)
    hidden = body.values[states_of(node)[0]].shape[0]
    inputs = body.values[body.inputs[0]].shape[0]
    cell = bitwise_gru_cell(name, inputs, hidden, weights, bool(sequences_of(node)))
    start, signs = start_of(name), f"{start_of(name)}.signs"
    graph = graph.with_weights({**cell.weights, start: Dense(np.full(hidden, START, np.float32))})
    graph = graph.with_values({start: Value((hidden,)), signs: Value((hidden,))})
    attrs = {**node.attrs, "kind": "custom"}
    bitwise = with_body(replace(node, inputs=(node.inputs[0], signs), attrs=attrs), cell)
    constant = Node(start, "constant", (), (start,), {"value": start})
    return graph.replace(name, constant, Node(signs, "binarize", (start,), (signs,)), bitwise).pruned()


def start_of(name: str) -> str:
    """The weight that holds the first state of the bitwise recurrence `name`."""
    return f"{name}.start"


def _joined_weights(graph: Graph, node: Node) -> dict[str, Floats]:
    """Of each gate: the products of the input and of the state side by side, and one bias."""
    names = gate_weights(node) or {}
    arrays = {key: graph.weights[name].decode() for key, name in names.items()}
    found = {}
    for gate in GRU_GATES:
        found[f"{gate}.weight"] = np.hstack([arrays[f"{gate}.input"], arrays[f"{gate}.recurrent"]])
        biases = [arrays.get(f"{gate}.{role}", np.float32(0)) for role in ("bias", "recurrent_bias")]
        found[f"{gate}.bias"] = np.broadcast_to(sum(biases), len(found[f"{gate}.weight"])).copy()
    return found


def _with_sign_of(graph: Graph, node: Node) -> Graph:
    """`node` replaced by the sign it is a smooth form of, if it is one."""
    if node.op not in SIGN_OF:
        return graph
    return graph.replace(node.name, replace(node, op=SIGN_OF[node.op]))


def _is_signs(graph: Graph, value: str) -> bool:
    """True for a value of +1 and -1: a sign, or what a recurrence of signs makes; moved or pooled or not."""
    maker = maker_of(graph, value)
    if maker is None or maker.op not in SCANS:
        return maker is not None and maker.op == "binarize"
    body = body_of(maker)
    return all(_is_signs(body, name) for name in body.outputs)


def maker_of(graph: Graph, value: str) -> Node | None:
    """What makes `value`, past what keeps signs; None for the network's input."""
    maker = graph.producer(value)
    while maker and maker.op in SIGN_KEEPING:
        maker = graph.producer(maker.inputs[0])
    return maker
