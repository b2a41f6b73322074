"""Patch-based execution: the first layers of an image network, computed strip by strip.

Maps of the first layers are the largest. Cut into strips of rows, only those of one strip are alive at once.
Rows that neighbouring strips both need (the halo of their windows) are computed twice. Every output is the
same sum over the same window, so the integers do not change.

Ref: Lin et al. 2021, MCUNetV2 (arXiv 2110.15352), section 3.1, with strips in the place of tiles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from smidgen.errors import BadInput
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.graph.ops import OPS
from smidgen.graph.planner import plan_memory

WINDOWS = ("q.conv", "q.max_pool")


@dataclass(frozen=True)
class Rows:
    """Rows `first` to `last` - 1 of a map, and how many of padding a window adds before and behind them."""

    first: int
    last: int
    before: int = 0
    behind: int = 0


def with_patches(graph: Graph, patches: int) -> Graph:
    """`graph` with its first layers in `patches` strips, as many layers as makes the arena smallest.

    Raises:
        BadInput: fewer than 2 patches, or the network does not begin with layers that can be cut.
    """
    stages = first_stages(graph)
    if patches < 2 or not stages:
        found = (
            f"{patches} patches" if patches < 2 else "the first layers are no chain of convolutions and pools"
        )
        raise BadInput("patches", found, "at least 2, for images [H, W, C], are possible")
    cuts = [_cut(graph, stages[: i + 1], patches) for i in range(len(stages))]
    possible = [cut for cut in cuts if cut is not None]
    if not possible:
        raise BadInput("patches", f"{patches} of them", "no map of the first layers has so many rows")
    return min(possible, key=lambda cut: plan_memory(cut).arena_bytes)


def first_stages(graph: Graph) -> tuple[Node, ...]:
    """The chain of convolutions, maximum pools and elementwise nodes from the only input on, over images."""
    if len(graph.inputs) != 1:
        return ()
    at, found = graph.inputs[0], []
    while len(using := graph.consumers(at)) == 1 and at not in graph.outputs:
        node = using[0]
        cuttable = node.op in WINDOWS or (OPS[node.op].elementwise and node.op.startswith("q."))
        if not cuttable or len(node.inputs) != 1 or len(graph.values[at].shape) != 3:
            break
        found.append(node)
        at = node.output
    return tuple(found)


def _cut(graph: Graph, stages: Sequence[Node], patches: int) -> Graph | None:
    """`stages` in strips; None if one of them would look at nothing but padding, or have no rows."""
    last = stages[-1]
    height = graph.values[last.output].shape[0]
    if last.output in graph.outputs or height < patches:
        return None
    nodes: list[Node] = []
    values = dict(graph.values)
    parts = []
    for strip in range(patches):
        rows = Rows(strip * height // patches, (strip + 1) * height // patches)
        windows = _windows(graph, stages, rows)
        if any(window.first >= window.last for window in windows):
            return None
        parts.append(_strip(graph, stages, strip, windows, nodes, values))
    nodes.append(Node(f"{last.name}.rows", "q.concat", tuple(parts), (last.output,), {}, {"axis": 0}))
    for node in stages[:-1]:
        del values[node.output]
    nodes += [node for node in graph.nodes if node not in stages]
    return replace(graph, nodes=tuple(nodes), values=values).inferred()


def _windows(graph: Graph, stages: Sequence[Node], rows: Rows) -> list[Rows]:
    """What each stage reads of its input to make `rows` of the last one's output."""
    found: list[Rows] = []
    for node in reversed(stages):
        rows = _window(graph, node, rows)
        found.insert(0, rows)
    return found


def _strip(
    graph: Graph,
    stages: Sequence[Node],
    number: int,
    windows: Sequence[Rows],
    nodes: list[Node],
    values: dict[str, Value],
) -> str:
    """Appends the nodes of one strip and their values; the name of the last one."""
    name = f"{stages[0].name}.{number}.input"
    attrs: dict[str, Any] = {"axis": 0, "start": windows[0].first, "stop": windows[0].last, "step": 1}
    nodes.append(Node(name, "q.slice", (graph.inputs[0],), (name,), {}, attrs))
    values[name] = graph.values[graph.inputs[0]]
    for node, window in zip(stages, windows, strict=True):
        made = f"{node.name}.{number}"
        attrs = dict(node.attrs)
        if node.op in WINDOWS:
            attrs["padding"] = ((window.before, window.behind), *attrs["padding"][1:])
        nodes.append(replace(node, name=made, inputs=(name,), outputs=(made,), attrs=attrs))
        values[made] = graph.values[node.output]
        name = made
    return name


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
