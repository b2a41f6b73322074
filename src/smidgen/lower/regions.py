"""The first layers of a network that can be computed a few rows at a time: where they may end."""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.graph import Graph, Node
from smidgen.graph.ops import OPS
from smidgen.graph.planner import CONSTANTS

WINDOWS = ("q.conv", "q.max_pool")
POINTWISE = ("q.add", "q.mul")


@dataclass(frozen=True)
class Region:
    """Nodes, in order, that make `output` and nothing else that is read, out of `sources`.

    Row r of everything they make depends on rows around r, or around r times a stride, of what they read.
    """

    nodes: tuple[Node, ...]
    sources: frozenset[str]
    output: str

    def is_cut(self, graph: Graph, name: str) -> bool:
        """Whether a value that is read has rows, so that a strip needs some of them; else it needs all."""
        return name not in self.sources or _has_rows(graph, name)


def first_regions(graph: Graph) -> tuple[Region, ...]:
    """Every region that begins at inputs and constants: chains, branches and their sums, over maps."""
    sources, before = _sources(graph), dict[str, frozenset[int]]()
    found = []
    for number, node in enumerate(graph.nodes):
        if not _works_by_rows(graph, node, sources) or any(
            name not in sources and name not in before for name in node.inputs
        ):
            continue
        inside = frozenset({number}).union(*(before.get(name, frozenset()) for name in node.inputs))
        before[node.output] = inside
        nodes = tuple(graph.nodes[i] for i in sorted(inside))
        if _has_one_end(graph, nodes):
            read = {name for node in nodes for name in node.inputs}
            found.append(Region(nodes, frozenset(read & sources), node.output))
    return tuple(found)


def _sources(graph: Graph) -> set[str]:
    """Values that are there before anything is computed: inputs, constants, and both in another shape."""
    found = set(graph.inputs)
    for node in graph.nodes:
        if node.op in CONSTANTS or (OPS[node.op].alias and node.inputs[0] in found):
            found |= set(node.outputs)
    return found


def _works_by_rows(graph: Graph, node: Node, sources: set[str]) -> bool:
    """Whether a row of the node's output takes only rows of what it reads, one or those of a window."""
    if node.op in WINDOWS or (OPS[node.op].elementwise and node.op.startswith("q.")):
        return len(node.inputs) == 1 and _has_rows(graph, node.inputs[0])
    return node.op in POINTWISE and all(_matches(graph, node, name, name in sources) for name in node.inputs)


def _matches(graph: Graph, node: Node, name: str, is_source: bool) -> bool:
    """Whether an operand has a row for each of the output's, or, being a source, one row for all of them."""
    shape, out = graph.values[name].shape, graph.values[node.output].shape
    if len(shape) == len(out) and shape[0] == out[0]:
        return True
    return is_source and not _has_rows(graph, name)


def _has_rows(graph: Graph, name: str) -> bool:
    shape = graph.values[name].shape
    return len(shape) >= 2 and shape[0] > 1


def _has_one_end(graph: Graph, nodes: tuple[Node, ...]) -> bool:
    """Whether what the nodes make is read by themselves alone, but for the last value."""
    names, end = {node.name for node in nodes}, nodes[-1].output
    made = [node.output for node in nodes]
    if set(made) & set(graph.outputs):
        return False
    return all(names >= {user.name for user in graph.consumers(value)} for value in made if value != end)
