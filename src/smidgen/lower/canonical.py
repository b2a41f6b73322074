"""Float rewrites that leave the function unchanged and the graph ready for integers.

BatchNorm folds into the layer before it: W' = W*g, b' = beta + (b - mean)*g with g = gamma / sqrt(var + eps);
so does ShiftNorm, whose g is a power of two, and so do per-channel constants; what stands behind a
`normalize` becomes its gamma and beta. What can't fold (nothing linear before it, a shared weight, another
reader) becomes a depthwise 1x1 convolution. Structured weights are expanded first.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from smidgen.formats import Affine, Binary, BinaryPacks, Dense, Format, Ternary
from smidgen.graph import Graph, Node, Value
from smidgen.graph.scan import body_of, with_body
from smidgen.graph.shift_norm import shift_factor
from smidgen.graph.structured import expand_structured
from smidgen.lower.bits import with_early_signs

Vector = npt.NDArray[np.float32]
FOLDED = ("batch_norm", "shift_norm", "add_constant", "mul_constant")
LARGEST_RATIO = (
    2.0**16
)  # of scales in one layer: a bias, counted in steps of its channel, stays within 32 bits


FOLDS = ("linear", "conv", "normalize")


def canonical(graph: Graph) -> Graph:
    """The same function without normalizations, add_constant and mul_constant nodes and structured weights.

    Bits that layers with binary weights read are taken as early as they can be.
    """
    graph = expand_structured(graph)
    for name in [node.name for node in graph.nodes]:
        node = graph.node(name)  # what was folded before may have renamed its input
        if node.op == "scan":
            body = canonical(body_of(node, graph.weights))
            graph = graph.with_weights(body.weights).replace(name, with_body(node, body))
        elif node.op in FOLDED:
            scale, shift = _scale_and_shift(graph, node)
            before = _foldable(graph, node, scale)
            graph = (
                _fold(graph, node, before, scale, shift) if before else _depthwise(graph, node, scale, shift)
            )
    return with_early_signs(graph.pruned())


def _scale_and_shift(graph: Graph, node: Node) -> tuple[Vector, Vector]:
    """The node as y = x * scale + shift, per channel."""
    w = {role: graph.weights[name].decode().astype(np.float64) for role, name in node.params.items()}
    if node.op == "batch_norm":
        scale = w["gamma"] / np.sqrt(w["variance"] + node.attrs["epsilon"])
        shift = w["beta"] - w["mean"] * scale
    elif node.op == "shift_norm":
        scale = shift_factor(w["variance"], node.attrs["epsilon"], node.attrs["extra_scale"])
        shift = -w["mean"] * scale
    elif node.op == "mul_constant":
        scale, shift = w["constant"], np.zeros_like(w["constant"])
    else:
        scale, shift = np.ones_like(w["constant"]), w["constant"]
    return scale.astype(np.float32), shift.astype(np.float32)


def _foldable(graph: Graph, node: Node, scale: Vector) -> Node | None:
    """The layer or normalization in front that nothing else reads, with weights that nothing else uses and
    that can be scaled: float ones, or symmetric integers whose scales then still lie within LARGEST_RATIO.
    """
    before = graph.producer(node.inputs[0])
    if before is None or before.op not in FOLDS or before.output in graph.outputs:
        return None
    shared = any(len(graph.users(name)) > 1 for name in before.params.values())
    if before.op == "normalize":  # a grid in between came with the model and rounds there
        scalable = graph.values[before.output].grid is None
    else:
        scalable = _scalable(graph.weights[before.params["weight"]], scale)
    return None if shared or not scalable or len(graph.consumers(before.output)) > 1 else before


def _scalable(weight: Format, factor: Vector) -> bool:
    if isinstance(weight, Binary | BinaryPacks | Ternary) or (
        isinstance(weight, Affine) and weight.is_scalable
    ):
        sizes = np.abs(factor) * weight.scale
        return bool(sizes.min() * LARGEST_RATIO > sizes.max())
    return weight.integers() is None


def _scaled(weight: Format, factor: Vector) -> Format:
    """The weight [O, ...] with its channels multiplied."""
    if isinstance(weight, Affine | Binary | BinaryPacks | Ternary):
        return weight.scaled(factor)
    column = factor.reshape(-1, *(1,) * (len(weight.shape) - 1))
    return weight.map_dense(lambda dense: Dense(dense * column))


def _fold(graph: Graph, node: Node, before: Node, scale: Vector, shift: Vector) -> Graph:
    """`before` with its weight (gamma of a `normalize`) times `scale` and its bias (beta) moved along."""
    factor, term = ("gamma", "beta") if before.op == "normalize" else ("weight", "bias")
    params = {role: before.params.get(role, f"{before.name}.{role}") for role in (factor, term)}
    weight = graph.weights[params[factor]] if factor in before.params else Dense(np.ones_like(scale))
    old = graph.weights[params[term]].decode() if term in before.params else np.zeros_like(shift)
    changed: Mapping[str, Format] = {
        params[factor]: _scaled(weight, scale),
        params[term]: Dense(old * scale + shift),
    }
    folded = replace(before, params={**before.params, **params})
    graph = graph.with_weights(changed).replace(before.name, folded).replace(node.name)
    return graph.rename_value(node.output, before.output)


def _depthwise(graph: Graph, node: Node, scale: Vector, shift: Vector) -> Graph:
    source, channels = node.inputs[0], scale.size
    value = graph.values[node.output]
    shape = value.shape if 2 <= len(value.shape) <= 3 else (value.size // channels, channels)
    rank = len(shape) - 1
    weight, bias = f"{node.name}.weight", f"{node.name}.bias"
    graph = graph.with_weights(
        {weight: Dense(scale.reshape(channels, *(1,) * (rank + 1))), bias: Dense(shift)}
    )
    attrs = {
        "stride": (1,) * rank,
        "padding": ((0, 0),) * rank,
        "dilation": (1,) * rank,
        "groups": channels,
    }
    params = {"weight": weight, "bias": bias}
    if shape == value.shape:
        return graph.replace(node.name, Node(node.name, "conv", (source,), node.outputs, params, attrs))
    row, made = f"{node.name}.row", f"{node.name}.made"
    graph = graph.with_values({row: Value(shape), made: Value(shape)})
    return graph.replace(
        node.name,
        Node(row, "reshape", (source,), (row,), attrs={"shape": (shape[0], -1)}),
        Node(node.name, "conv", (row,), (made,), params, attrs),
        Node(made, "reshape", (made,), node.outputs, attrs={"shape": (*value.shape[:-1], -1)}),
    )
