"""How far 16-bit grids reach: as far as matters, as every doubling costs a bit of what is carried on."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from smidgen.graph import Graph
from smidgen.graph.scan import sequences_of, states_of
from smidgen.lower.grids import GATE_SUM, gate_terms, grid_owners, only_gates, scopes, wide_owners
from smidgen.lower.widths import state_parts

GATE_REACH = -GATE_SUM.scale * GATE_SUM.qmin
MEMORY_REACH = (
    4 * GATE_REACH
)  # units that only count frames grow without end, and would cost others their bits


def wide_reaches(graph: Graph, most: Mapping[str, float]) -> dict[str, float]:
    """The largest size that each 16-bit owner has to hold, from the largest that was seen.

    There is room for twice as much, as sums over time may still grow. Three things need less: a memory that a
    gate reads, which is at its limit beyond its range however far that is; the larger of two terms before a
    gate; and what only holds others (stacked states, final states, parts of them).
    """
    wide = wide_owners(graph)
    found = {name: 2 * most[name] for name in wide if name in most}
    for name in _memories(graph, wide):
        seen = most.get(name, 0.0)
        found[name] = min(2 * seen, max(GATE_REACH, min(seen, MEMORY_REACH)))
    for term, other in gate_terms(graph).items():
        if most.get(other, 0.0) < most.get(term, 0.0) and term in found:
            found[term] = min(found[term], GATE_REACH + 2 * most[other])
    return _held(graph, found, most)


def _memories(graph: Graph, wide: frozenset[str]) -> Iterator[str]:
    """The 16-bit owners that are carried from step to step and read by a gate."""
    owners = grid_owners(graph)
    for scope in scopes(graph):
        for node in scope.nodes:
            owner = owners.get(node.output, "")
            gates = [r for r in scope.consumers(node.output) if only_gates(scope, r)]
            if (
                owner in wide
                and gates
                and len(gates) < len(scope.consumers(node.output)) + (node.output in scope.outputs)
            ):
                yield owner


def _held(graph: Graph, reaches: Mapping[str, float], most: Mapping[str, float]) -> dict[str, float]:
    """Reaches, where a value that holds others' numbers reaches as far as those."""
    owners, found, parts = grid_owners(graph), dict(reaches), state_parts(graph)
    for node in graph.nodes:
        if node.op == "scan":
            finals = node.outputs[len(sequences_of(node)) :]
            for out, state in zip(finals, states_of(node), strict=True):
                if owners[out] in found and owners[state] in found:
                    found[owners[out]] = found[owners[state]]
        elif node.op == "concat" and owners[node.output] in found:
            held = (owners[name] for name in node.inputs)
            found[owners[node.output]] = max(found.get(name, most.get(name, 1.0)) for name in held)
    for node in graph.nodes:
        if node.output in parts and owners[node.output] in found and node.inputs[0] in parts:
            whole = owners[node.inputs[0]]
            found[owners[node.output]] = min(found[owners[node.output]], found.get(whole, float("inf")))
    return found
