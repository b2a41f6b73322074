"""Scheduling of `q.scan`: the body's calls in a loop, on the scan's working memory.

The final states' own bytes hold the running states. A turn makes the next states beside them and copies them
over at its end, so that every node of the body sees the states it started with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from smidgen.graph.core import Value
from smidgen.graph.planner import MemoryPlan, next_at, plan_memory, scratch_of
from smidgen.graph.scan import body_of, next_states_of, sequences_of, states_of, steps_of
from smidgen.lower.program import Call, Pointer
from smidgen.lower.site import CallSite, grid_of, stored_constant


def scan_calls(site: CallSite, calls_of: Callable[[CallSite], list[Call]]) -> list[Call]:
    """Set the states, then run the body's nodes (`calls_of` each) once a step."""
    node, body = site.node, body_of(site.node, site.graph.weights)
    states, turns = states_of(node), steps_of(node, site.graph.values)
    if nested := [inner.name for inner in body.nodes if inner.op == node.op]:
        raise site.refuse(f"{nested[0]} is a recurrence inside one", "loops are not nested")
    plan = plan_memory(body)
    at = _body_pointers(site, plan)
    calls: list[Call] = []
    for inner in body.nodes:
        calls += calls_of(CallSite(body, at, plan.copies, site.constants, inner, site.in_place, {}))
    for state, following in zip(states, next_states_of(node), strict=True):
        if following in states and following != state:
            raise site.refuse(f"state {state!r} becomes {following!r}", "a next state is computed")
        if following != state:
            calls.append(_copy(site, at[following], at[state]))
    whole = site.pointers[node.output]
    looped = [replace(call, node=node.name, output=whole, turns=turns) for call in calls]
    return [*_starts(site, at), *looped]


def _starts(site: CallSite, at: Mapping[str, Pointer]) -> list[Call]:
    """The initial states: given ones are copied, others are zeros."""
    given, body = site.node.inputs[1:], body_of(site.node)
    if given:
        pairs = zip(states_of(site.node), given, strict=True)
        return [_copy(site, site.pointers[name], at[state]) for state, name in pairs]
    return [_rest(site, body.values[state], at[state]) for state in states_of(site.node)]


def _rest(site: CallSite, value: Value, to: Pointer) -> Call:
    zero = grid_of(value).zero
    if zero and value.dtype != "int8":
        raise site.refuse(f"a 16-bit state with zero point {zero}", "16-bit states have zero point 0")
    return site.call("fill", {"count": value.nbytes, "value": zero}, to)


def _copy(site: CallSite, source: Pointer, to: Pointer) -> Call:
    args = {"rows": 1, "run": to.nbytes, "stride_x": 0, "stride_y": 0}
    return site.call("copy", args, source, to)


def _body_pointers(site: CallSite, plan: MemoryPlan) -> dict[str, Pointer]:
    """Where the body's values are during a turn."""
    node, body = site.node, body_of(site.node)
    scratch, kept = site.pointers[scratch_of(node)], sequences_of(node)
    outside = [_row(site, node.inputs[0])]
    outside += [site.pointers[name] for name in node.outputs[len(kept) :]]
    results = [_row(site, name) for name in node.outputs[: len(kept)]]
    for which, name in enumerate(next_states_of(node)):
        offset = scratch.offset + next_at(node, which)
        results.append(replace(scratch, offset=offset, nbytes=body.values[name].nbytes))
    found = {}
    for name, place in plan.places.items():
        if place.where == "constant":
            found[name] = stored_constant(body, body.nodes[place.index], site.constants)
        elif place.where == "arena":
            nbytes = body.values[name].nbytes
            found[name] = replace(scratch, offset=scratch.offset + place.offset, nbytes=nbytes)
        else:
            found[name] = (outside if place.where == "input" else results)[place.index]
    return found


def _row(site: CallSite, name: str) -> Pointer:
    """One step of a sequence, moving with the loop."""
    whole, value = site.pointers[name], site.graph.values[name]
    row = value.nbytes // value.shape[0]
    if value.shape[0] == 1:
        return whole
    first, step = (whole.nbytes - row, -row) if site.node.attrs["reverse"] else (0, row)
    return replace(whole, offset=whole.offset + first, nbytes=row, step=step)
