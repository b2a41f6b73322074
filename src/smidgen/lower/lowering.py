"""Float graph with declared grids -> integer graph: the only place where floats become integers.

What has no integer rule runs in float between explicit dequantize and quantize nodes.
"""

from __future__ import annotations

from dataclasses import replace

from smidgen.errors import IllegalGraph
from smidgen.graph import Graph, Node
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import fused_activation
from smidgen.lower.rules import RULES, Lowering


def lower(graph: Graph) -> Graph:
    """The integer graph of `graph`; without declared grids, the float graph in canonical form.

    Raises:
        IllegalGraph: training is pending, only some values have grids, or an accumulator could overflow.
    """
    if graph.pending:
        waiting = ", ".join(step.name for step in graph.pending)
        raise IllegalGraph(
            graph.name, f"{waiting} still waits for training", "lowering comes last", "Add tune.fit"
        )
    graph = canonical(graph)
    if all(value.grid is None for value in graph.values.values()):
        graph.check()
        return graph
    low = Lowering(graph)
    for name in graph.inputs:
        _declare(low, name)
    fused = {act.name for node in graph.nodes if (act := fused_activation(graph, node))}
    for node in graph.nodes:
        if node.name in fused:
            continue
        activation = fused_activation(graph, node)
        out = (activation or node).output
        if _is_integer(node):
            _declare(low, out)
            RULES[node.op](low, node, out)
        else:
            _island(low, node)
    lowered = Graph(graph.name, tuple(low.nodes), low.values, low.weights, graph.inputs, graph.outputs)
    lowered.check()
    return lowered


def artifact_class(graph: Graph) -> str:
    """`integer` (exact everywhere) or `weight_only` (some activations are floats). DESIGN.md, D6."""
    return "integer" if graph.is_integer else "weight_only"


def _declare(low: Lowering, name: str) -> None:
    value = low.source.values[name]
    if value.grid is None:
        raise IllegalGraph(
            name, "this value has no grid", "all values of an integer graph have one", "Calibrate again"
        )
    low.values[name] = replace(value, dtype=value.grid.dtype)


def _is_integer(node: Node) -> bool:
    """True when a rule exists; a pad with a nonzero constant has none."""
    return node.op in RULES and not (node.op == "pad" and node.attrs["value"] != 0)


def _island(low: Lowering, node: Node) -> None:
    """dequantize -> the float node -> quantize."""
    reals = []
    for name in node.inputs:
        real = f"{name}.real"
        if real not in low.values:
            low.values[real] = replace(low.source.values[name], grid=None, dtype="float32")
            low.nodes.append(Node(real, "dequantize", (name,), (real,)))
        reals.append(real)
    outs = tuple(f"{name}.float" for name in node.outputs)
    for name, out in zip(node.outputs, outs, strict=True):
        low.values[out] = replace(low.source.values[name], grid=None, dtype="float32")
    for weight in node.params.values():
        low.weights[weight] = low.source.weights[weight]
    low.nodes.append(replace(node, inputs=tuple(reals), outputs=outs))
    for name, out in zip(node.outputs, outs, strict=True):
        _declare(low, name)
        low.nodes.append(Node(f"{name}.quantized", "quantize", (out,), (name,)))
