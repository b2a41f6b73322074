"""Channels in another order: what makes and what reads them changes, what a network computes does not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from smidgen.formats import Dense, Integer
from smidgen.graph.channel_ids import FROZEN, ChannelIds
from smidgen.graph.core import Graph, Node
from smidgen.graph.ops import ACTIVATIONS

NORMS = ("batch_norm", "shift_norm")


def read_classes(walk: ChannelIds, weight: str) -> tuple[int, ...]:
    """The class of each channel that the last axis of a layer's weight reads; empty where one is read twice,
    or more than channels lie there, or one may not move.
    """
    ids = walk.weights[weight, len(walk.graph.weights[weight].shape) - 1]
    classes = tuple(walk.classes.find(i) for i in ids)
    period = len(set(classes))
    whole = classes == classes[:period] * (len(classes) // period)
    return classes[:period] if whole and FROZEN not in classes else ()


def reordered(graph: Graph, walk: ChannelIds, classes: Sequence[int], order: Sequence[int]) -> Graph | None:
    """The same function, with the channel `classes[order[i]]` where `classes[i]` was.

    `walk` is that of the graph. None where that can't be: a tensor has some of the channels only, or a weight
    that has them is stored in another form than plain floats.
    """
    source = {classes[at]: classes[now] for at, now in enumerate(order)}
    for tracked in walk.values.values():
        if _moved(walk, tracked.ids, source) is None:
            return None
    changed: dict[str, Dense] = {}
    for (name, axis), ids in walk.weights.items():
        moved = _moved(walk, ids, source)
        if moved is None:
            return None
        if moved == list(range(len(ids))):
            continue
        weight = changed.get(name, graph.weights[name])
        if not isinstance(weight, Dense):
            return None
        changed[name] = Dense(np.take(weight.array, moved, axis))
    return graph.with_weights(changed)


def _moved(walk: ChannelIds, ids: Sequence[int], source: Mapping[int, int]) -> list[int] | None:
    """For each position the one whose channel comes there: the n-th of a class from the n-th of another."""
    roots = [walk.classes.find(i) for i in ids]
    places: dict[int, list[int]] = defaultdict(list)
    for place, root in enumerate(roots):
        places[root].append(place)
    seen: dict[int, int] = defaultdict(int)
    moved = []
    for root in roots:
        comes = places.get(source.get(root, root), [])
        if len(comes) != len(places[root]):
            return None
        moved.append(comes[seen[root]])
        seen[root] += 1
    return moved


def path_from_input(graph: Graph, value: str) -> list[Node] | None:
    """The normalizations and activations, each read once, between an input of the graph and `value`, the last
    one first; None where anything else makes it.
    """
    path: list[Node] = []
    while (maker := graph.producer(value)) is not None:
        if (
            maker.op not in (*NORMS, *ACTIVATIONS)
            or len(graph.consumers(value)) > 1
            or value in graph.outputs
        ):
            return None
        path.append(maker)
        value = maker.inputs[0]
    return path


def with_gathered_input(
    graph: Graph, layer: Node, path: Sequence[Node], order: Sequence[int]
) -> Graph | None:
    """The same function: the channels of an input are put in `order` before the `path` that leads to `layer`,
    whose columns follow. None where one of the weights is stored in another form than plain floats.
    """
    moved = {layer.params["weight"]: -1} | {
        name: 0 for node in path if node.op in NORMS for name in node.params.values()
    }
    changed: dict[str, Dense | Integer] = {}
    for name, axis in moved.items():
        weight = graph.weights[name]
        if not isinstance(weight, Dense) or len(graph.users(name)) > 1:
            return None
        entries = weight.shape[axis]
        if entries != 1:
            changed[name] = Dense(np.take(weight.array, order, axis))
    first = path[-1] if path else layer
    source = first.inputs[0]
    name = f"{layer.name}.order"
    changed[f"{name}.indices"] = Integer(np.asarray(order, np.int32))
    shape = graph.values[source].shape
    gather = Node(
        name, "gather", (source,), (name,), {"indices": f"{name}.indices"}, {"axis": len(shape) - 1}
    )
    graph = graph.with_weights(changed).with_values({name: replace(graph.values[source], grid=None)})
    return graph.replace(first.name, gather, replace(first, inputs=(name, *first.inputs[1:])))
