"""The order of nodes that needs the smallest arena: branches are finished one by one where that is leaner.

Any topological order computes the same. A beam search over what has been done so far keeps the orders with
the lowest peak of live bytes; the best one is taken if the planner agrees that it lowers the arena.
Ref: Ahn et al. 2020 (arXiv 2003.02369) search the same space, exactly, by dynamic programming.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from smidgen.graph.core import Graph
from smidgen.graph.planner import CONSTANTS, plan_memory

BEAM = 16
WINDOW = 64  # nodes looked at ahead: ordering a huge network stays quick


def lean_order(graph: Graph) -> Graph:
    """`graph` with its nodes in the order of the smallest arena found; itself if no other is smaller."""
    found = replace(graph, nodes=tuple(graph.nodes[number] for number in _order(graph)))
    if found.nodes == graph.nodes or plan_memory(found).arena_bytes >= plan_memory(graph).arena_bytes:
        return graph
    return found


@dataclass(frozen=True)
class _Partial:
    """The first nodes of an order, the bytes alive after them, and the most that were alive at once."""

    order: tuple[int, ...]
    live: int
    peak: int


@dataclass(frozen=True)
class _Needs:
    """Of each node: the nodes it waits for, bytes it makes, values it reads; and readers of each value.

    Sets of nodes are the bits of an integer.
    """

    waits: tuple[int, ...]
    makes: tuple[int, ...]
    reads: tuple[frozenset[str], ...]
    readers: Mapping[str, int]
    nbytes: Mapping[str, int]


def _order(graph: Graph) -> tuple[int, ...]:
    """Numbers of nodes, in the leanest order found; the given one where nothing is leaner."""
    needs = _needs(graph)
    beam = {0: _Partial((), 0, 0)}
    for _ in graph.nodes:
        longer: dict[int, _Partial] = {}
        for done, partial in beam.items():
            for following in _extended(needs, done, partial):
                key = done | 1 << following.order[-1]
                longer[key] = min(longer.get(key, following), following, key=_rank)
        beam = dict(sorted(longer.items(), key=lambda item: _rank(item[1]))[:BEAM])
    return min(beam.values(), key=_rank).order


def _rank(partial: _Partial) -> tuple[int, int, tuple[int, ...]]:
    return partial.peak, partial.live, partial.order


def _needs(graph: Graph) -> _Needs:
    maker = {value: number for number, node in enumerate(graph.nodes) for value in node.outputs}
    outside = {*graph.inputs, *graph.outputs}
    outside |= {value for node in graph.nodes if node.op in CONSTANTS for value in node.outputs}
    nbytes = {name: value.nbytes for name, value in graph.values.items() if name not in outside}
    readers = dict.fromkeys(nbytes, 0)
    for number, node in enumerate(graph.nodes):
        for name in nbytes.keys() & node.inputs:
            readers[name] |= 1 << number
    return _Needs(
        tuple(sum({1 << maker[name] for name in node.inputs if name in maker}) for node in graph.nodes),
        tuple(sum(nbytes.get(name, 0) for name in node.outputs) for node in graph.nodes),
        tuple(frozenset(nbytes.keys() & node.inputs) for node in graph.nodes),
        readers,
        nbytes,
    )


def _extended(needs: _Needs, done: int, partial: _Partial) -> Iterator[_Partial]:
    """The partial order and each node that can come next, of `WINDOW` from the first open one on."""
    first = (~done & done + 1).bit_length() - 1
    for number in range(first, min(first + WINDOW, len(needs.waits))):
        waits = needs.waits[number]
        if done >> number & 1 or waits & done != waits:
            continue
        now = done | 1 << number
        live = partial.live + needs.makes[number]
        freed = sum(needs.nbytes[name] for name in needs.reads[number] if not needs.readers[name] & ~now)
        yield _Partial((*partial.order, number), live - freed, max(partial.peak, live))
