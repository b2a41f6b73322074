"""Channels that must be cut together, and the graph without them.

A unit is the smallest set of channels that can leave the network alone: a channel of a residual stream with
every filter that writes it and every weight that reads it; one channel of each group of a grouped
convolution. Units that lie in the same tensors form a group, of which at least one unit stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from smidgen.errors import BadInput
from smidgen.formats import Dense, Format
from smidgen.graph.channel_ids import FROZEN, ChannelIds, is_depthwise
from smidgen.graph.core import Attrs, Graph, Node
from smidgen.graph.scan import body_of, states_of


@dataclass(frozen=True)
class Slice:
    """`indices` along `axis` of a weight."""

    weight: str
    axis: int
    indices: tuple[int, ...]


@dataclass(frozen=True)
class Unit:
    """What leaves together, in the order of the graph's nodes."""

    slices: tuple[Slice, ...]


@dataclass(frozen=True)
class ChannelGroup:
    """Units of the same tensors, any of which may leave while one stays. `name`: the first of the weights."""

    name: str
    units: tuple[Unit, ...]


def channel_groups(graph: Graph) -> tuple[ChannelGroup, ...]:
    """All groups of at least two units, in the order of the graph's nodes; units in the order of channels."""
    return tuple(
        ChannelGroup(units[0].slices[0].weight, units)
        for units in _units_by_tensors(ChannelIds(graph))
        if len(units) > 1
    )


def remove(graph: Graph, cut: Iterable[Unit]) -> Graph:
    """`graph` without the channels of `cut` (units of its `channel_groups`): smaller weights and values.

    Its outputs equal those of the original with every cut slice set to zero.

    Raises:
        BadInput: a unit is not one of the graph's, a group would lose its last unit, or a weight that must
            be sliced is not Dense.
    """
    cut = frozenset(cut)
    if not cut:
        return graph
    walk = ChannelIds(graph)
    _check_cut(graph, _units_by_tensors(walk), cut)
    gone = {
        walk.classes.find(walk.weights[part.weight, part.axis][part.indices[0]])
        for unit in cut
        for part in unit.slices
    }
    smaller = replace(
        graph,
        weights={**graph.weights, **_sliced(graph, cut)},
        nodes=tuple(_adapted(node, walk, gone) for node in graph.nodes),
    ).inferred()
    smaller.check()
    return smaller


def _units_by_tensors(walk: ChannelIds) -> list[tuple[Unit, ...]]:
    """The units of each set of tensors; frozen channels are in none."""
    slices: dict[int, list[Slice]] = defaultdict(list)
    tensors: dict[int, set[object]] = defaultdict(set)
    for (weight, axis), ids in walk.weights.items():
        for root, indices in _indices(walk, ids).items():
            slices[root].append(Slice(weight, axis, indices))
            tensors[root].add((weight, axis))
    for name, tracked in walk.values.items():
        for root in {walk.classes.find(i) for i in tracked.ids}:
            tensors[root].add(name)
    found: dict[frozenset[object], list[Unit]] = defaultdict(list)
    for root, parts in slices.items():
        found[frozenset(tensors[root])].append(Unit(tuple(parts)))
    return [tuple(units) for units in found.values()]


def _indices(walk: ChannelIds, ids: tuple[int, ...]) -> Mapping[int, tuple[int, ...]]:
    """Class -> positions in `ids`, without the frozen class."""
    found: dict[int, list[int]] = defaultdict(list)
    for position, item in enumerate(ids):
        found[walk.classes.find(item)].append(position)
    return {root: tuple(positions) for root, positions in found.items() if root != FROZEN}


def _check_cut(graph: Graph, groups: list[tuple[Unit, ...]], cut: frozenset[Unit]) -> None:
    known = {unit for units in groups for unit in units}
    if stray := cut - known:
        weight = min(unit.slices[0].weight for unit in stray)
        raise BadInput(
            f"remove from {graph.name}",
            f"a unit of {weight!r} can't leave this graph alone",
            "units come from channel_groups of the same graph",
            "Compute the groups again after every removal",
        )
    for units in groups:
        if cut.issuperset(units):
            found = f"all {len(units)} channels would be removed"
            raise BadInput(units[0].slices[0].weight, found, "at least one must stay", "Lower the ratio")


def _sliced(graph: Graph, cut: frozenset[Unit]) -> Mapping[str, Format]:
    indices: dict[tuple[str, int], list[int]] = defaultdict(list)
    for unit in cut:
        for part in unit.slices:
            indices[part.weight, part.axis].extend(part.indices)
    weights: dict[str, Format] = {}
    for (name, axis), gone in indices.items():
        weight = weights.get(name, graph.weights[name])
        if not isinstance(weight, Dense):
            raise BadInput(
                name,
                f"the weight is stored as {weight.label}",
                "channels are removed from plain float weights",
                "Put channel pruning before quantization and sparsity in the recipe",
            )
        weights[name] = Dense(np.delete(weight.array, gone, axis))
    return weights


def _adapted(node: Node, walk: ChannelIds, gone: set[int]) -> Node:
    """The node with new attributes where they count channels; those of a scan's body too."""
    change = _ADAPT.get(node.op)
    return node if change is None else replace(node, attrs={**node.attrs, **change(node, walk, gone)})


def _lost(walk: ChannelIds, gone: set[int], ids: Iterable[int]) -> int:
    return sum(walk.classes.find(i) in gone for i in ids)


def _adapted_conv(node: Node, walk: ChannelIds, gone: set[int]) -> Attrs:
    tracked, groups = walk.values[node.inputs[0]], int(node.attrs["groups"])
    per_group = walk.graph.weights[node.params["weight"]].shape[-1]
    if tracked.axis != -1 or not is_depthwise(groups, per_group):
        return {}
    return {"groups": groups - _lost(walk, gone, tracked.ids)}


def _adapted_reshape(node: Node, walk: ChannelIds, gone: set[int]) -> Attrs:
    tracked = walk.values[node.output]
    lost = _lost(walk, gone, tracked.ids)
    shape = list(walk.shape(node.output))
    shape[tracked.axis] -= lost
    return {"shape": tuple(shape)} if lost else {}


def _adapted_slice(node: Node, walk: ChannelIds, gone: set[int]) -> Attrs:
    tracked = walk.values[node.inputs[0]]
    if node.attrs["axis"] - len(walk.shape(node.inputs[0])) != tracked.axis:
        return {}
    ends = {key: int(node.attrs[key]) for key in ("start", "stop")}
    return {key: end - _lost(walk, gone, tracked.ids[:end]) for key, end in ends.items()}


def _adapted_scan(node: Node, walk: ChannelIds, gone: set[int]) -> Attrs:
    """The body with smaller states; its other shapes follow from those."""
    body = body_of(node)
    values = dict(body.values)
    for state in states_of(node):
        lost = _lost(walk, gone, walk.values[state].ids)
        if lost:
            *rest, width = values[state].shape
            values[state] = replace(values[state], shape=(*rest, width - lost))
    nodes = tuple(_adapted(inner, walk, gone) for inner in body.nodes)
    return {"body": replace(body, nodes=nodes, values=values)}


_ADAPT: Mapping[str, Callable[[Node, ChannelIds, set[int]], Attrs]] = {
    "conv": _adapted_conv,
    "reshape": _adapted_reshape,
    "slice": _adapted_slice,
    "scan": _adapted_scan,
}
