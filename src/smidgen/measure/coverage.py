"""How much of a loaded network is captured, and what is left to the runtime that it came from."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from smidgen.graph import Graph
from smidgen.graph.cost import element_operations, macs
from smidgen.measure.island_cost import IslandCost, island_cost
from smidgen.run.islands import Island, islands


@dataclass(frozen=True)
class OperatorUse:
    """One operator of a network: how often, its multiply-accumulates and other operations for a sample.

    `weight_bytes` as stored in the graph. Bodies of recurrences are counted within their `scan`.
    """

    op: str
    count: int
    macs: int
    elements: int
    weight_bytes: int


@dataclass(frozen=True)
class Coverage:
    """`operators`, the costliest first, and `islands` with reason and remedy, in the order of running.

    `left`: what the islands cost all together.
    """

    operators: tuple[OperatorUse, ...]
    islands: tuple[Island, ...]
    left: IslandCost

    @property
    def captured_share(self) -> float:
        """Nodes that are no islands, 0 to 1."""
        return _share(sum(use.count for use in self.operators) - len(self.islands), len(self.islands))

    @property
    def captured_macs(self) -> float:
        """Multiply-accumulates outside of islands, 0 to 1; an upper bound where islands are ATen programs."""
        return _share(sum(use.macs for use in self.operators), self.left.macs)

    @property
    def captured_bytes(self) -> float:
        """Bytes of weights outside of islands, 0 to 1."""
        return _share(sum(use.weight_bytes for use in self.operators), self.left.weight_bytes)


def _share(captured: int, left: int) -> float:
    return captured / (captured + left) if captured + left else 1.0


def coverage(graph: Graph) -> Coverage:
    """What a float graph consists of. A weight that several operators share counts where it is used first."""
    products, others = macs(graph), element_operations(graph)
    counts: Counter[str] = Counter()
    totals: dict[str, list[int]] = {}
    seen: set[str] = set()
    for node in graph.nodes:
        fresh = [name for name in node.params.values() if name not in seen]
        seen.update(fresh)
        counts[node.op] += 1
        cost = totals.setdefault(node.op, [0, 0, 0])
        cost[0] += products.get(node.name, 0)
        cost[1] += others.get(node.name, 0)
        cost[2] += sum(graph.weights[name].stored_bytes() for name in fresh)
    uses = (OperatorUse(op, counts[op], *cost) for op, cost in totals.items())
    ordered = sorted(uses, key=lambda use: (-use.macs, -use.elements, use.op))
    costs = [island_cost(graph, node) for node in graph.nodes if node.op == "island"]
    left = IslandCost(sum(cost.macs for cost in costs), sum(cost.weight_bytes for cost in costs))
    return Coverage(tuple(ordered), tuple(islands(graph)), left)
