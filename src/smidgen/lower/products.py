"""Rules for a product of two computed tensors, for picking positions of an axis, and for overwriting."""

from __future__ import annotations

from collections.abc import Mapping

from smidgen.errors import IllegalGraph
from smidgen.formats import Grid
from smidgen.graph import Node
from smidgen.graph.overwrite import code_grid
from smidgen.lower.rules import ACCUMULATOR_LIMIT, Lowering, Rule, bounds, requantization


def swing(grid: Grid) -> int:
    """The largest distance of a stored value from the zero point."""
    return max(grid.qmax - grid.zero, grid.zero - grid.qmin)


def matmul(low: Lowering, node: Node, out: str) -> None:
    a, b = (low.grid(name) for name in node.inputs)
    terms = low.source.values[node.inputs[0]].shape[-1]
    worst = terms * swing(a) * swing(b)
    if worst > ACCUMULATOR_LIMIT:
        raise IllegalGraph(
            node.name,
            f"the accumulator may reach {worst:.3g} over {terms} terms",
            "32 bits hold 2^31 - 1",
            "Use fewer activation bits or split the inner axis",
        )
    ratio = requantization(_positive(node) * a.scale * b.scale / low.grid(out).scale)
    low.emit(node, "q.matmul", node.inputs, out, dict(ratio), **bounds(low, node, out))


def _positive(node: Node) -> float:
    """The factor of a product: multipliers have no sign."""
    scale = float(node.attrs["scale"])
    if scale <= 0:
        raise IllegalGraph(node.name, f"a product times {scale:g}", "integers are scaled by positive numbers")
    return scale


def gather(low: Lowering, node: Node, out: str) -> None:
    """Bytes move, the grid stays."""
    name = node.params["indices"]
    low.weights[name] = low.source.weights[name]
    low.emit(node, "q.gather", node.inputs, out, {"indices": name}, **node.attrs)


def overwrite(low: Lowering, node: Node, out: str) -> None:
    """Codes of the node's own grid, whichever grid the input has."""
    codes = low.matched(node.inputs[0], code_grid(node.attrs), node)
    attrs = {key: value for key, value in node.attrs.items() if key != "scale"}
    low.emit(node, "q.overwrite", (codes,), out, {}, **attrs)


PRODUCT_RULES: Mapping[str, Rule] = {"matmul": matmul, "gather": gather, "overwrite": overwrite}
