"""Streaming: a network over whole sequences becomes one over a few steps, with its states outside."""

from __future__ import annotations

from dataclasses import replace

from smidgen.errors import Unsupported
from smidgen.graph.core import Graph, Node, Value
from smidgen.graph.ops import ACTIVATIONS
from smidgen.graph.scan import SCANS, body_of, states_of

# Operators on the last axis, or on single elements: each step by itself.
_STEPWISE = frozenset(
    {
        *("linear", "batch_norm", "softmax", "add_constant", "mul_constant", "embedding", *ACTIVATIONS),
        *("quantize", "dequantize", "q.linear", "q.requantize", "q.table", "q.softmax", "q.embedding"),
        *("shift_norm", "q.binarize", "q.binary_linear", "q.binary_linear_bits", "overwrite", "q.overwrite"),
    }
)
_ANY_RANK = frozenset(
    {*ACTIVATIONS, "embedding", "quantize", "dequantize", "q.requantize", "q.table", "q.embedding"}
)
_TOGETHER = frozenset(("add", "sub", "mul", "q.add", "q.mul"))
_REMEDY = "Run it over the whole sequence"


def streaming(graph: Graph, steps: int = 1) -> Graph:
    """`graph`, over a sequence [T, ..], as a graph over [steps, ..] that is fed its own states.

    The first input is the sequence; so is every further one of its length. Every state of every scan becomes
    an input and an output: the last ones of both, in the same order. Left out, a state starts at rest. Fed
    chunk by chunk, each with the states of the one before, the network computes what it computes over the
    whole sequence: of an output along time the parts, of a final state (and what is made of it) the state so
    far. Float and integer graphs alike.

    Raises:
        Unsupported: fewer than one step, no scan, or an operator that needs the whole sequence: a scan in
            reverse or with initial states, a window, mean, slice or reshape across time, an island.
    """
    if steps < 1:
        raise Unsupported(graph.name, f"a stream of {steps} steps", "at least one", "Choose steps=1")
    if not any(node.op in SCANS for node in graph.nodes):
        raise Unsupported(graph.name, "no recurrent layer", "streaming carries a layer's state", _REMEDY)
    timed = _timed(graph)
    shorter = {
        name: replace(graph.values[name], shape=(steps, *graph.values[name].shape[1:]))
        for name in graph.inputs
        if name in timed
    }
    nodes = tuple(_fitted(node, timed, graph, steps) for node in graph.nodes)
    opened = _with_states(replace(graph, nodes=nodes).with_values(shorter)).inferred()
    opened.check()
    return opened


def _timed(graph: Graph) -> set[str]:
    """The values whose first axis is time. Raises Unsupported for a node that looks across it."""
    first, *others = graph.inputs
    shape = graph.values[first].shape
    if not shape:
        raise Unsupported(f"input {first}", "it has no axes", "the first one is time", _REMEDY)
    timed = {first} | {name for name in others if graph.values[name].shape[:1] == shape[:1]}
    late: set[str] = set()  # known only after the last step
    for node in graph.nodes:
        read = set(node.inputs)
        why = _across_time(node, timed, graph) if read & timed else ""
        if read & timed and read & late:
            why = "combines a sequence with its own end"
        elif node.op in SCANS and node.inputs[0] not in timed:
            why = "runs over something else than the sequence"
        if why:
            raise Unsupported(node.name, f"{node.op} {why}", "each step by itself can be streamed", _REMEDY)
        count = len(node.outputs) - (len(states_of(node)) if node.op in SCANS else 0)
        timed |= set(node.outputs[:count]) if read & timed else set()
        late |= set(node.outputs[count:] if read & timed else node.outputs if read & late else ())
    return timed


def _across_time(node: Node, timed: set[str], graph: Graph) -> str:
    """Why the node can't run on a few steps at a time; empty if it can."""
    shapes = [graph.values[name].shape for name in node.inputs]
    attrs, rank, together = node.attrs, len(shapes[0]), set(node.inputs) <= timed
    kind = node.op.removeprefix("q.")
    if node.op in SCANS:
        if attrs["reverse"]:
            return "runs from the last step to the first"
        return "has initial states already" if node.inputs[1:] else ""
    if kind == "softmax" and "mask" in node.params:
        return "has a mask over the whole sequence"
    if node.op in _STEPWISE:
        return "" if rank > 1 or node.op in _ANY_RANK else "works along time"
    if node.op in _TOGETHER:
        full = max(len(shape) for shape in shapes)
        fits = all(
            len(shape) == full if name in timed else len(shape) < full or shape[0] == 1
            for name, shape in zip(node.inputs, shapes, strict=True)
        )
        return "" if fits else "combines a sequence with something of fixed length"
    if kind == "reshape":
        kept = graph.values[node.output].shape[:1] == shapes[0][:1]
        return "" if kept else "joins or splits the steps"
    free = (
        (kind == "concat" and together and attrs["axis"] > 0)
        or (kind in ("slice", "gather") and attrs["axis"] > 0)
        or (kind == "spread" and attrs["steps"][0] == 1)
        or (kind in ("mean", "reduce_max", "normalize") and 0 not in attrs["axes"])
        or (kind == "transpose" and attrs["perm"][0] == 0)
        or (kind == "pad" and tuple(attrs["pads"][0]) == (0, 0))
    )
    return "" if free else "needs the whole sequence"


def _fitted(node: Node, timed: set[str], graph: Graph, steps: int) -> Node:
    """A reshape names its shape; all else follows its inputs."""
    if node.op not in ("reshape", "q.reshape") or node.output not in timed:
        return node
    shape = (steps, *graph.values[node.output].shape[1:])
    return replace(node, attrs={**node.attrs, "shape": shape})


def _with_states(graph: Graph) -> Graph:
    """Every state of every scan as an input and as an output."""
    fed: list[str] = []
    kept: list[str] = []
    values: dict[str, Value] = {}
    nodes: list[Node] = []
    copy = "q.reshape" if graph.is_integer else "reshape"
    for node in graph.nodes:
        nodes.append(node)
        if node.op not in SCANS:
            continue
        finals = node.outputs[len(node.outputs) - len(states_of(node)) :]
        given = tuple(f"{final}.before" for final in finals)
        nodes[-1] = replace(node, inputs=(node.inputs[0], *given))
        fed += given
        for name, state, final in zip(given, states_of(node), finals, strict=True):
            values[name] = body_of(node).values[state]
            kept.append(f"{final}.after" if final in graph.outputs else final)
            if final in graph.outputs:  # an output of its own, so that no tensor is two outputs
                shape = {"shape": values[name].shape}
                values[kept[-1]] = graph.values[final]
                nodes.append(Node(kept[-1], copy, (final,), (kept[-1],), {}, shape))
    whole = replace(graph, nodes=tuple(nodes)).with_values(values)
    states = tuple(zip(fed, kept, strict=True))
    return replace(whole, inputs=(*graph.inputs, *fed), outputs=(*graph.outputs, *kept), states=states)
