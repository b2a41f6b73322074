"""Float graph with declared grids -> integer graph: the only place where floats become integers.

What has no integer rule, or reads or makes a value without a grid, runs in float between explicit dequantize
and quantize nodes.
"""

from __future__ import annotations

from dataclasses import replace

from smidgen.errors import IllegalGraph
from smidgen.graph import Graph, Node
from smidgen.graph.ordering import lean_order
from smidgen.graph.scan import body_of, next_states_of, sequences_of, states_of, with_body
from smidgen.lower.bit_rules import BIT_RULES
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import fused_activation, own_grid
from smidgen.lower.nonlinear import NONLINEAR_RULES, fits_integers
from smidgen.lower.products import PRODUCT_RULES
from smidgen.lower.rules import RULES, Lowering, requantized
from smidgen.lower.widths import WIDE_MAKERS, WIDE_MOVES, WIDE_READERS

ALL_RULES = {**RULES, **PRODUCT_RULES, **NONLINEAR_RULES, **BIT_RULES}
WIDE_OUTSIDE = frozenset({"trees", "embedding", "reshape"})  # rules that take 16 bits outside a recurrence


def lower(graph: Graph) -> Graph:
    """The integer graph of `graph`; without declared grids, the float graph in canonical form.

    Raises:
        IllegalGraph: training is pending, or an accumulator could overflow.
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
    lowered = lean_order(_lowered(Lowering(graph)))
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
    fused: set[str] = set()
    for node in graph.nodes:
        if node.name in fused:
            continue
        activation = fused_activation(graph, node)
        out = (activation or node).output
        if node.op == "scan" and _has_grids(low, node):
            _scan(low, node)
        elif _is_integer(low, node, out):
            _declare(low, out)
            fused |= {activation.name} if activation else set()
            try:
                _integer(low, node, out)
            except ValueError as ratio:
                expected = "scales of neighbours may differ by less than 2^15"
                remedy = "Calibrate on data that moves every value"
                raise IllegalGraph(node.name, str(ratio), expected, remedy) from ratio
        else:
            _island(low, node)
    whole = replace(graph, nodes=tuple(low.nodes), pending=())
    return replace(whole, values=low.values, weights=low.weights)


def _integer(low: Lowering, node: Node, out: str) -> None:
    """The node's rule. What it makes on a grid of its own is requantized where the model asks for another."""
    grid = low.grid(out)
    own = own_grid(low.source, node)
    if own is None or own == grid:
        ALL_RULES[node.op](low, node, out)
        return
    inside = f"{out}.inside"
    low.values[inside] = replace(low.values[out], grid=own, dtype=own.dtype)
    low.source = low.source.with_values({inside: replace(low.source.values[out], grid=own)})
    ALL_RULES[node.op](low, replace(node, name=inside, outputs=(inside,)), inside)
    requantized(low, out, inside, grid)


def _scan(low: Lowering, node: Node) -> None:
    """The body in integers; what enters, carries over or leaves on another grid is requantized there."""
    body = body_of(node, low.source.weights)
    inner = Lowering(body, weights=low.weights, tables=low.tables, in_body=True)
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
    """A value of the integer graph; without a grid it stays a real number."""
    value = low.source.values[name]
    low.values[name] = value if value.grid is None else replace(value, dtype=value.grid.dtype)


def _has_grids(low: Lowering, node: Node) -> bool:
    """Is the scan quantized, inside and outside?"""
    body = body_of(node)
    inside = (body.values[name].grid for name in (*body.inputs, *body.outputs))
    return all(grid is not None for grid in inside) and all(
        low.source.values[name].grid is not None for name in (*node.inputs, *node.outputs)
    )


def _is_integer(low: Lowering, node: Node, out: str) -> bool:
    """True when a rule exists, and all it reads and makes is on grids that the rule takes."""
    if node.op not in ALL_RULES or (node.op == "pad" and node.attrs["value"] != 0):
        return False
    if node.op == "normalize" and not fits_integers(low.source.values[node.inputs[0]], node):
        return False
    grids = [low.source.values[name].grid for name in (*node.inputs, out)]
    if any(grid is None for grid in grids):
        return False
    if _takes_wide(low, node):
        return True
    *read, made = (grid is not None and grid.bits > 8 for grid in grids)
    return (not any(read) or node.op in WIDE_READERS) and (not made or node.op in WIDE_MAKERS)


def _takes_wide(low: Lowering, node: Node) -> bool:
    streamed = bool(low.source.states) and node.op in {"scan", *WIDE_MAKERS, *WIDE_MOVES}
    return low.in_body or node.op in WIDE_OUTSIDE or streamed


def _island(low: Lowering, node: Node) -> None:
    """The float node: dequantize what it reads from a grid, quantize what it makes for one."""
    reals = []
    for name in node.inputs:
        if low.source.values[name].grid is None:
            reals.append(name)
            continue
        real = f"{name}.real"
        if real not in low.values:
            low.values[real] = replace(low.source.values[name], grid=None, dtype="float32")
            low.nodes.append(Node(real, "dequantize", (name,), (real,)))
        reals.append(real)
    on_grid = [name for name in node.outputs if low.source.values[name].grid is not None]
    outs = tuple(f"{name}.float" if name in on_grid else name for name in node.outputs)
    for name, out in zip(node.outputs, outs, strict=True):
        low.values[out] = replace(low.source.values[name], grid=None, dtype="float32")
    for weight in node.params.values():
        low.weights[weight] = low.source.weights[weight]
    low.nodes.append(replace(node, inputs=tuple(reals), outputs=outs))
    for name in on_grid:
        _declare(low, name)
        low.nodes.append(Node(f"{name}.quantized", "quantize", (f"{name}.float",), (name,)))
