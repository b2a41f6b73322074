"""Patch-based execution: the first layers of an image or sequence network, computed strip by strip.

Maps of the first layers are the largest. Cut into strips of rows (of an image [H, W, C]; of steps in a
sequence [T, C]), only those of one strip are alive at once. Rows that neighbouring strips both need (the halo
of their windows) are computed twice. Every output is the same sum over the same window, so the integers do
not change.

Ref: Lin et al. 2021, MCUNetV2 (arXiv 2110.15352), section 3.1, with strips in the place of tiles.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.planner import plan_memory
from smidgen.lower.regions import WINDOWS, Region, first_regions


@dataclass(frozen=True)
class Rows:
    """Rows `first` to `last` - 1 of a map, and how many of padding a window adds before and behind them."""

    first: int
    last: int
    before: int = 0
    behind: int = 0

    def around(self, other: Rows) -> Rows:
        """The rows from the first of both to the last of both."""
        return Rows(min(self.first, other.first), max(self.last, other.last))


def with_patches(graph: Graph, patches: int) -> Graph:
    """`graph` with its first layers in `patches` strips, as many layers as makes the arena smallest.

    Raises:
        BadInput: fewer than 2 patches, the network does not begin with layers that can be cut, or the arena
            is not smaller then.
    """
    best = min(cuts(graph, patches), key=_arena_bytes)
    if _arena_bytes(best) >= _arena_bytes(graph):
        found = f"the arena takes {_arena_bytes(best):,} bytes in {patches} strips"
        raise BadInput("patches", found, f"it takes no more than {_arena_bytes(graph):,} whole")
    return best


def cuts(graph: Graph, patches: int) -> tuple[Graph, ...]:
    """`graph` with each of its first regions in `patches` strips, where that is possible; at least one.

    Raises:
        BadInput: as `with_patches`, whatever the arena.
    """
    regions = first_regions(graph)
    if patches < 2:
        raise BadInput("patches", f"{patches} of them", "at least 2 are possible")
    if not regions:
        expected = "images [H, W, C] and sequences [T, C] can be cut"
        raise BadInput("patches", "no first layers that work row by row and have one end", expected)
    found = tuple(cut for region in regions if (cut := _cut(graph, region, patches)) is not None)
    if not found:
        raise BadInput("patches", f"{patches} of them", "no map of the first layers has so many rows")
    return found


def _arena_bytes(graph: Graph) -> int:
    return plan_memory(graph).arena_bytes


def _cut(graph: Graph, region: Region, patches: int) -> Graph | None:
    """`region` in strips; None if one of its windows would look at nothing but padding, or have no rows."""
    height = graph.values[region.output].shape[0]
    if height < patches:
        return None
    strips = []
    for number in range(patches):
        rows = Rows(number * height // patches, (number + 1) * height // patches)
        needed = _needed(graph, region, rows)
        if needed is None:
            return None
        strips.append(_Strip(graph, number, needed))
    parts = tuple(strip.compute(region) for strip in strips)
    whole = Node(f"{region.output}.rows", "q.concat", parts, (region.output,), {}, {"axis": 0})
    inside = {node.name for node in region.nodes}
    made = {node.output for node in region.nodes} - {region.output}
    values = {name: value for name, value in graph.values.items() if name not in made}
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.name not in inside:
            nodes.append(node)
        elif node is region.nodes[-1]:  # everything that the region reads stands before its last node
            nodes += [*(node for strip in strips for node in strip.nodes), whole]
    for strip in strips:
        values |= strip.values
    return replace(graph, nodes=tuple(nodes), values=values).inferred()


def _needed(graph: Graph, region: Region, rows: Rows) -> dict[str, Rows] | None:
    """Which rows of each value in and before `region` it takes to make `rows` of its output.

    None if a window looks at nothing but padding.
    """
    needed = {region.output: rows}
    for node in reversed(region.nodes):
        for name in node.inputs:
            if region.is_cut(graph, name):
                read = _window(graph, node, needed[node.output])
                if read.first >= read.last:
                    return None
                needed[name] = needed[name].around(read) if name in needed else Rows(read.first, read.last)
    return needed


@dataclass
class _Strip:
    """The nodes and values of one strip, in the making; `needed` says which rows of a value it holds."""

    graph: Graph
    number: int
    needed: dict[str, Rows]
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)

    def compute(self, region: Region) -> str:
        """Appends all nodes; the name of the strip's rows of the region's output."""
        for node in region.nodes:
            window = _window(self.graph, node, self.needed[node.output])
            inputs = tuple(
                self._rows(name, window, name in region.sources) if name in self.needed else name
                for name in node.inputs
            )
            attrs = dict(node.attrs)
            if node.op in WINDOWS:
                attrs["padding"] = ((window.before, window.behind), *attrs["padding"][1:])
            self._append(replace(node, inputs=inputs, attrs=attrs), self._named(node.output))
        return self._named(region.output)

    def _rows(self, name: str, rows: Rows, is_source: bool) -> str:
        """The value that holds just `rows` of `name`: what the strip has of it, or a slice of that."""
        held = Rows(0, self.graph.values[name].shape[0]) if is_source else self.needed[name]
        start, stop = rows.first - held.first, rows.last - held.first
        whole = name if is_source else self._named(name)
        if (start, stop) == (0, held.last - held.first):
            return whole
        sliced = f"{self._named(name)}.{rows.first}-{rows.last}"
        if sliced not in self.values:
            attrs: dict[str, Any] = {"axis": 0, "start": start, "stop": stop, "step": 1}
            self._append(Node(sliced, "q.slice", (whole,), (name,), {}, attrs), sliced)
        return sliced

    def _append(self, node: Node, made: str) -> None:
        self.nodes.append(replace(node, name=made, outputs=(made,)))
        self.values[made] = self.graph.values[node.output]

    def _named(self, value: str) -> str:
        return f"{value}.strip{self.number}"


def _window(graph: Graph, node: Node, made: Rows) -> Rows:
    """The rows of a node's input that rows `made` of its output look at, and what is left of its padding."""
    if node.op not in WINDOWS:
        return made
    height = graph.values[node.inputs[0]].shape[0]
    kernel = node.attrs["kernel"][0] if node.op != "q.conv" else _kernel_rows(graph, node)
    span = (kernel - 1) * node.attrs.get("dilation", (1,))[0] + 1
    start = made.first * node.attrs["stride"][0] - node.attrs["padding"][0][0]
    end = (made.last - 1) * node.attrs["stride"][0] - node.attrs["padding"][0][0] + span
    return Rows(max(start, 0), min(end, height), max(-start, 0), max(end - height, 0))


def _kernel_rows(graph: Graph, node: Node) -> int:
    return graph.weights[node.params["weight"]].shape[1]
