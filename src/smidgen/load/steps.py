"""Reads a recurrent layer's steps where they cost least: from its final state instead of its whole sequence.

Slices and reshapes move in front of the concatenation of two directions. The step that a scan computes last
(the final one forwards, the first one in reverse) is its final state; sequences that nothing reads are
dropped, so that no memory is planned for them. Every rewrite preserves values exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

from smidgen.graph import Graph, Node
from smidgen.graph.names import unused
from smidgen.graph.scan import body_of, next_states_of, sequences_of, states_of, with_body

Shape = tuple[int, ...]


def read_final_states(graph: Graph) -> Graph:
    """`graph` with as few scans that keep their sequences as its slices allow."""
    if not any(node.op == "scan" for node in graph.nodes):
        return graph
    before = None
    while before is not graph:
        before = graph
        for node in graph.nodes:
            rule = _RULES.get(node.op)
            graph = rule(graph, node) if rule else graph
            if graph is not before:
                graph = graph.pruned()
                break
    return _without_unread_sequences(graph)


def _slice(graph: Graph, node: Node) -> Graph:
    made_by = graph.producer(node.inputs[0])
    if made_by is None or made_by.op not in ("concat", "scan"):
        return graph
    return (_slice_of_concat if made_by.op == "concat" else _slice_of_scan)(graph, node, made_by)


def _slice_of_concat(graph: Graph, node: Node, concat: Node) -> Graph:
    """slice(concat(a, b)) -> concat(slice(a), slice(b)), or the slice of the one part that has it all."""
    axis, start, stop, step = (node.attrs[key] for key in ("axis", "start", "stop", "step"))
    if axis != concat.attrs["axis"]:
        return _on_parts(graph, node, concat, axis=concat.attrs["axis"])
    for part in concat.inputs:
        size = graph.values[part].shape[axis]
        if start >= 0 and stop <= size:
            attrs = {**node.attrs, "start": start, "stop": stop}
            inside = replace(node, inputs=(part,), attrs=attrs)
            if (start, stop, step) == (0, size, 1):
                return graph.replace(node.name).rename_value(node.output, part)
            return graph.replace(node.name, inside)
        start, stop = start - size, stop - size
    return graph


def _slice_of_scan(graph: Graph, node: Node, scan: Node) -> Graph:
    """The step of a scan that is computed last is the final state, where that is what the step shows."""
    shown = sequences_of(scan)
    number = scan.outputs.index(node.inputs[0])
    if node.attrs["axis"] != 0 or number >= len(shown) or shown[number] not in next_states_of(scan):
        return graph
    last = 0 if scan.attrs["reverse"] else graph.values[node.inputs[0]].shape[0] - 1
    if (node.attrs["start"], node.attrs["stop"]) != (last, last + 1):
        return graph
    state = scan.outputs[len(shown) + next_states_of(scan).index(shown[number])]
    shape = (1, *graph.values[state].shape)
    return graph.replace(node.name, Node(node.name, "reshape", (state,), node.outputs, {}, {"shape": shape}))


def _reshape(graph: Graph, node: Node) -> Graph:
    """reshape(concat(a, b)) -> concat(reshape(a), reshape(b)), where possible and nothing else reads it."""
    concat = graph.producer(node.inputs[0])
    if concat is None or concat.op != "concat":
        return graph
    if len(graph.consumers(concat.output)) > 1 or concat.output in graph.outputs:
        return graph
    axis = joined_axis(graph, concat, graph.values[node.output].shape)
    return graph if axis is None else _on_parts(graph, node, concat, axis=axis)


def joined_axis(graph: Graph, concat: Node, target: Shape) -> int | None:
    """The axis of `target` along which the reshaped parts of a concatenation lie one after another."""
    shapes = [graph.values[part].shape for part in concat.inputs]
    axis = concat.attrs["axis"]
    for found in range(len(target)):
        inner = math.prod(target[found + 1 :])
        if math.prod(target[:found]) != math.prod(shapes[0][:axis]):
            continue
        if all(math.prod(shape[axis:]) % inner == 0 for shape in shapes):
            return found
    return None


def _on_parts(graph: Graph, node: Node, concat: Node, axis: int) -> Graph:
    """`node`, applied to every part of a concatenation, then joined along `axis`."""
    taken = {*graph.values, *(inner.name for inner in graph.walk())}
    target, before = graph.values[node.output].shape, concat.attrs["axis"]
    inner, parts = math.prod(target[axis + 1 :]), []
    for part in concat.inputs:
        name, attrs = unused(taken, f"{node.name}.part"), dict(node.attrs)
        if node.op == "reshape":
            count = math.prod(graph.values[part].shape[before:]) // inner
            attrs["shape"] = (*target[:axis], count, *target[axis + 1 :])
        parts.append(Node(name, node.op, (part,), (name,), {}, attrs))
    joined = replace(concat, name=node.name, outputs=node.outputs, attrs={"axis": axis})
    joined = replace(joined, inputs=tuple(part.output for part in parts))
    return graph.replace(node.name, *parts, joined).inferred()


def _without_unread_sequences(graph: Graph) -> Graph:
    read = {*graph.outputs, *(name for node in graph.nodes for name in node.inputs)}
    for node in graph.nodes:
        if node.op != "scan":
            continue
        body, count = body_of(node, graph.weights), len(sequences_of(node))
        kept = [i for i in range(count) if node.outputs[i] in read]
        if len(kept) == count:
            continue
        finals = node.outputs[count:]
        shown = (*(body.outputs[i] for i in kept), *next_states_of(node))
        slim = with_body(node, replace(body, outputs=shown).pruned())
        slim = replace(slim, outputs=(*(node.outputs[i] for i in kept), *finals))
        assert len(states_of(slim)) == len(finals)
        graph = graph.replace(node.name, slim)
    return graph.pruned()


_RULES: dict[str, Callable[[Graph, Node], Graph]] = {"slice": _slice, "reshape": _reshape}
