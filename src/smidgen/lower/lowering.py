"""Float graph with declared grids -> integer graph: the only place where floats become integers.

What has no integer rule runs in float between explicit dequantize and quantize nodes.
"""

from __future__ import annotations

from dataclasses import replace

from smidgen.errors import IllegalGraph
from smidgen.graph import Graph, Node
from smidgen.graph.scan import body_of, next_states_of, sequences_of, states_of, with_body
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import fused_activation
from smidgen.lower.products import PRODUCT_RULES
from smidgen.lower.rules import RULES, Lowering, requantized

ALL_RULES = {**RULES, **PRODUCT_RULES}


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
    lowered = _lowered(Lowering(graph))
    lowered.check()
    return lowered


def artifact_class(graph: Graph) -> str:
    """`integer` (exact everywhere) or `weight_only` (some activations are floats). DESIGN.md, D6."""
    return "integer" if graph.is_integer else "weight_only"


def _lowered(low: Lowering) -> Graph:
    """All nodes of one scope: the graph, or a body."""
    graph = low.source
    for name in graph.inputs:
        _declare(low, name)
    fused = {act.name for node in graph.nodes if (act := fused_activation(graph, node))}
    for node in graph.nodes:
        if node.name in fused:
            continue
        activation = fused_activation(graph, node)
        out = (activation or node).output
        if node.op == "scan":
            _scan(low, node)
        elif _is_integer(node):
            _declare(low, out)
            try:
                ALL_RULES[node.op](low, node, out)
            except ValueError as ratio:
                expected = "scales of neighbours may differ by less than 2^15"
                remedy = "Calibrate on data that moves every value"
                raise IllegalGraph(node.name, str(ratio), expected, remedy) from ratio
        else:
            _island(low, node)
    return Graph(graph.name, tuple(low.nodes), low.values, low.weights, graph.inputs, graph.outputs)


def _scan(low: Lowering, node: Node) -> None:
    """The body in integers; what enters, carries over or leaves on another grid is requantized there."""
    inner = Lowering(body_of(node, low.source.weights), weights=low.weights, tables=low.tables)
    body = _lowered(inner)
    kept, states = sequences_of(node), states_of(node)
    carried = [
        inner.matched(name, inner.grid(state), node)
        for name, state in zip(next_states_of(node), states, strict=True)
    ]
    body = replace(body, nodes=tuple(inner.nodes), outputs=(*kept, *carried))
    grids = [inner.grid(name) for name in body.inputs]
    inputs = tuple(low.matched(name, grid, node) for name, grid in zip(node.inputs, grids))
    made = {}
    for out, source in zip(node.outputs, (*kept, *states), strict=True):
        _declare(low, out)
        grid = inner.grid(source)
        made[out] = out if low.grid(out) == grid else f"{out}.inside"
        low.values[made[out]] = replace(low.source.values[out], dtype=grid.dtype, grid=grid)
    low.nodes.append(with_body(Node(node.name, "q.scan", inputs, tuple(made.values()), {}, node.attrs), body))
    for out, inside in made.items():
        if out != inside:
            requantized(low, out, inside, low.grid(out))


def _declare(low: Lowering, name: str) -> None:
    value = low.source.values[name]
    if value.grid is None:
        raise IllegalGraph(
            name, "this value has no grid", "all values of an integer graph have one", "Calibrate again"
        )
    low.values[name] = replace(value, dtype=value.grid.dtype)


def _is_integer(node: Node) -> bool:
    """True when a rule exists; a pad with a nonzero constant has none."""
    return node.op in ALL_RULES and not (node.op == "pad" and node.attrs["value"] != 0)


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
