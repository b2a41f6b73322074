"""Whether anything in a lowered network still computes with real numbers."""

from __future__ import annotations

from collections.abc import Iterator

from smidgen.formats import Format, Integer
from smidgen.graph import Graph, Node
from smidgen.graph.scan import body_of
from smidgen.lower.program import Program


def float_operations(graph: Graph) -> tuple[str, ...]:
    """What the nodes of a lowered graph, those of bodies too, have to do with real numbers, as `node: what`.

    Empty if all that is read, made and stored are integers. A weight is its integers, as kernels multiply
    with those; its scale is in a multiplier.
    """
    return tuple(f"{node.name}: {what}" for owner, node in _nodes(graph) for what in _real_parts(owner, node))


def float_constants(program: Program) -> tuple[str, ...]:
    """The constants of a schedule that are no integers; its arguments are int32 by their type."""
    return tuple(c.name for c in program.constants if c.array.dtype.kind not in "iu")


def _nodes(graph: Graph) -> Iterator[tuple[Graph, Node]]:
    for node in graph.nodes:
        yield graph, node
        if node.op == "q.scan":
            yield from _nodes(body_of(node, graph.weights))


def _real_parts(graph: Graph, node: Node) -> Iterator[str]:
    if not node.op.startswith("q."):
        yield f"{node.op} computes with real numbers"
    for verb, names in (("reads", node.inputs), ("makes", node.outputs)):
        yield from (f"{verb} {name}" for name in names if graph.values[name].dtype == "float32")
    if node.op != "q.scan":  # its params repeat those of its body
        yield from (f"stores {name}" for name in node.params.values() if _is_real(graph.weights[name]))


def _is_real(weight: Format) -> bool:
    return not isinstance(weight, Integer) and weight.integers() is None
