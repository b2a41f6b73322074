"""Which layers become binary, and where the signs of their inputs are taken."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Literal

import numpy as np

from smidgen.formats import Binary, Dense
from smidgen.graph import Graph, Node, Value
from smidgen.methods.post_training import WEIGHTED

NORM_EPSILON = 1e-5
RECTIFIERS = ("relu", "relu6")
# Normalizations: the numbers that leave what they get as it is, by role.
ROLES: Mapping[str, Mapping[str, int]] = {
    "batch_norm": {"gamma": 1, "beta": 0, "mean": 0, "variance": 1},
    "shift_norm": {"mean": 0, "variance": 1},
}
SIGN_KEEPING = ("max_pool", "reshape")  # the sign of what they make is what they make of the signs


def inner_layers(graph: Graph, suits: Callable[[Node], bool]) -> list[Node]:
    """The weighted layers between the first and the last, with float weights of their own, that suit.

    Recurrent layers stay as they are.
    """
    weighted = [node for node in graph.nodes if node.op in WEIGHTED]
    ends = [node.name for node in (*weighted[:1], *weighted[-1:])]
    return [node for node in all_layers(graph, suits) if node.name not in ends]


def leading_layers(graph: Graph, suits: Callable[[Node], bool]) -> list[Node]:
    """The same with the first one."""
    last = [node.name for node in graph.nodes if node.op in WEIGHTED][-1:]
    return [node for node in all_layers(graph, suits) if node.name not in last]


def all_layers(graph: Graph, suits: Callable[[Node], bool]) -> list[Node]:
    """The weighted layers with float weights that suit, those of recurrences left out."""
    weighted = [node for node in graph.nodes if node.op in WEIGHTED]
    return [n for n in weighted if isinstance(graph.weights[n.params["weight"]], Dense) and suits(n)]


def has_one_group(node: Node) -> bool:
    """Packed channels have no groups."""
    return int(node.attrs.get("groups", 1)) == 1


def with_signs(
    graph: Graph, layers: Sequence[Node], granularity: Literal["tensor", "channel"] = "channel"
) -> Graph:
    """The graph in which `layers` multiply signs with signs. Ref: Rastegari et al. 2016, section 3.2."""
    for node in layers:
        name = node.params["weight"]
        signs = Binary.fit(graph.weights[name].latent, granularity)
        graph = with_binary_input(graph, node.name).with_weights({name: signs})
    graph.check()
    return graph


def with_binary_input(graph: Graph, layer: str) -> Graph:
    """The graph in which `layer` reads signs: a BatchNorm, then `binarize`, in the place of a ReLU.

    A BatchNorm that is there already, behind a ReLU that nothing else reads, is the one; after others a new
    one is put in, whose statistics training finds: what a ReLU made has no sign.
    """
    return _with_input(graph, layer, "binarize", f"{layer}.signs", "batch_norm")


def with_unipolar_input(graph: Graph, layer: str, bits: int) -> Graph:
    """The graph in which `layer` reads numbers of `bits` bits: the same with an activation of so many."""
    return _with_input(graph, layer, f"unipolar{bits}", f"{layer}.levels", "batch_norm")


def with_shifted_input(graph: Graph, layer: str, bits: int, extra_scale: float) -> Graph:
    """The same behind a ShiftNorm, which takes the place of a BatchNorm that nothing else reads."""
    graph = _without_rectifier(graph, graph.node(layer).inputs[0])
    norm, attrs = _norm_of(graph, graph.node(layer).inputs[0]), {"extra_scale": extra_scale}
    if norm and norm.op == "batch_norm" and _is_read_once(graph, norm.output):
        params = {role: norm.params[role] for role in ROLES["shift_norm"]}
        shift = replace(norm, op="shift_norm", params=params, attrs={**norm.attrs, **attrs})
        graph = graph.replace(norm.name, shift).pruned()
    return _with_input(graph, layer, f"unipolar{bits}", f"{layer}.levels", "shift_norm", attrs)


def _with_input(
    graph: Graph,
    layer: str,
    activation: str,
    name: str,
    norm: str,
    attrs: Mapping[str, float] = MappingProxyType({}),
) -> Graph:
    """`layer` reads the `activation`, called `name`, of what a `norm` (with `attrs`, if it is new) makes."""
    graph = _without_rectifier(graph, graph.node(layer).inputs[0])
    source = graph.node(layer).inputs[0]
    nodes, found = list[Node](), _norm_of(graph, source)
    if found is None or found.op != norm:
        graph, made = _norm(graph, source, f"{layer}.norm", norm, attrs)
        nodes.append(made)
    graph = graph.with_values({name: Value(graph.values[source].shape)})
    nodes.append(Node(name, activation, (nodes[-1].output if nodes else source,), (name,)))
    node = graph.node(layer)
    return graph.replace(layer, *nodes, replace(node, inputs=(name, *node.inputs[1:])))


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


def _norm_of(graph: Graph, value: str) -> Node | None:
    """The normalization that makes `value`, past pools and reshapes."""
    maker = graph.producer(value)
    while maker and maker.op in SIGN_KEEPING:
        maker = graph.producer(maker.inputs[0])
    return maker if maker and maker.op in ROLES else None


def _norm(graph: Graph, source: str, name: str, op: str, attrs: Mapping[str, float]) -> tuple[Graph, Node]:
    """A normalization of `source` that changes nothing yet."""
    shape, params = graph.values[source].shape, {role: f"{name}.{role}" for role in ROLES[op]}
    arrays = {params[role]: np.full(shape[-1], number, np.float32) for role, number in ROLES[op].items()}
    graph = graph.with_weights({param: Dense(array) for param, array in arrays.items()})
    node = Node(name, op, (source,), (name,), params, {"epsilon": NORM_EPSILON, **attrs})
    return graph.with_values({name: Value(shape)}), node
