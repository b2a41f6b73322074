"""A network with real values, prepared once: kernels, packed weights and buffers outlive the calls.

Maximal runs of integer operators are native plans (`run/native.py`); every other node runs in the quickest of
its ways (`run/float_pieces.py`), which is timed here when the plan is made. `SMIDGEN_CHOOSE=off` takes the
first one. Results differ from the NumPy reference by rounding alone: docs/NUMERICS.md states how much.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import groupby
from threading import Lock
from typing import Any

import numpy as np

from smidgen.graph import Graph, Node
from smidgen.graph.structured import expand_structured
from smidgen.lower.schedule import check_schedulable
from smidgen.numerics import Array
from smidgen.run.choose import choosing
from smidgen.run.float_pieces import REAL, Run, Way, fused_clamp, ways_of
from smidgen.run.interpreter import CHUNK, check_inputs
from smidgen.run.native import native_plan
from smidgen.run.rest import with_rest

MOST_BYTES = 1 << 26  # of values of samples that are computed together
TRIALS = 5


@dataclass(frozen=True)
class Piece:
    """Nodes that run in one call.

    Attributes:
        name, ops: of the node, or of the nodes of an integer part.
        runs_on: the way that was chosen.
        inputs, outputs: values.
        seconds: of every way, where there was a choice.
    """

    name: str
    ops: str
    runs_on: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    run: Run
    seconds: Mapping[str, float] = field(default_factory=dict)


class MixedPlan:
    """A network ready to run. Calls may come from several threads; they take turns.

    Attributes:
        graph: the network.
        pieces: what it consists of, in order.
    """

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        spelled = expand_structured(graph)
        self.pieces = tuple(piece for nodes in _parts(spelled) for piece in _pieces(spelled, nodes))
        largest = sum(value.nbytes for value in spelled.values.values())
        self._samples = max(1, min(CHUNK, MOST_BYTES // max(largest, 1)))
        self._running = Lock()

    def run(self, x: Array | Sequence[Array]) -> Any:
        """Outputs [n, ...] for inputs [n, ...] of the ports' types; a tuple where there are several outputs.

        Inputs that only start a recurrence may be left out: it then starts at rest.

        Raises:
            BadInput: not one array [n, *shape] for each input.
        """
        inputs = self._typed(x)
        n = len(inputs[0])
        with self._running:
            first = self._outputs(inputs, 0)
            if n <= self._samples:
                outputs = tuple(np.array(y) for y in first)
            else:
                outputs = tuple(np.empty((n, *y.shape[1:]), y.dtype) for y in first)
                for start in range(0, n, self._samples):
                    made = self._outputs(inputs, start) if start else first
                    for whole, part in zip(outputs, made, strict=True):
                        whole[start : start + self._samples] = part
        return outputs[0] if len(outputs) == 1 else outputs

    def piece_seconds(self, x: Array | Sequence[Array], repeats: int = 50) -> list[float]:
        """Median seconds of every piece for inputs [n, ...], in the order of `pieces`."""
        inputs = self._typed(x)
        rounds = []
        with self._running:
            for _ in range(repeats):
                marks = [time.perf_counter()]
                self._outputs(inputs, 0, marks)
                rounds.append(np.diff(marks))
        return [float(s) for s in np.median(rounds, axis=0)]

    def _outputs(
        self, inputs: Sequence[Array], start: int, marks: list[float] | None = None
    ) -> tuple[Array, ...]:
        """Of the samples from `start` on that are computed together; overwritten by the next call."""
        stop = start + self._samples
        live = {name: a[start:stop] for name, a in zip(self.graph.inputs, inputs, strict=True)}
        for piece in self.pieces:
            made = piece.run([live[name] for name in piece.inputs])
            live.update(zip(piece.outputs, made, strict=True))
            if marks is not None:
                marks.append(time.perf_counter())
        return tuple(live[name] for name in self.graph.outputs)

    def _typed(self, x: Array | Sequence[Array]) -> tuple[Array, ...]:
        arrays = with_rest(self.graph, (x,) if isinstance(x, np.ndarray) else tuple(x))
        check_inputs(self.graph, arrays)
        types = [self.graph.values[name].dtype for name in self.graph.inputs]
        return tuple(
            np.ascontiguousarray(a.astype(dtype, casting="same_kind", copy=False))
            for a, dtype in zip(arrays, types, strict=True)
        )


def _parts(graph: Graph) -> Iterator[list[Node]]:
    """The nodes in order: maximal runs of integer operators, layers with their ReLU, others one by one."""
    fused: set[str] = set()
    for whole, nodes in groupby(graph.nodes, lambda node: node.op.startswith("q.")):
        if whole:
            yield list(nodes)
            continue
        for node in nodes:
            clamp = fused_clamp(graph, node)
            fused |= {clamp.name} if clamp else set()
            if node.name not in fused:
                yield [node, clamp] if clamp else [node]


def _pieces(graph: Graph, nodes: Sequence[Node]) -> list[Piece]:
    """A part as one piece, or node by node where no native plan can run an integer part."""
    if nodes[0].op.startswith("q."):
        part = _as_graph(graph, nodes)
        if not check_schedulable(part):
            return [_native(part)]
        return [_chosen(graph, node) for node in nodes]
    return [_chosen(graph, *nodes)]


def _as_graph(graph: Graph, nodes: Sequence[Node]) -> Graph:
    """The part alone: what it reads from outside are its inputs, what is read outside its outputs."""
    own = {node.name for node in nodes}
    inside = {name for node in nodes for name in node.outputs}
    reads = dict.fromkeys(name for node in nodes for name in node.inputs if name not in inside)
    others = [node for node in graph.nodes if node.name not in own]
    wanted = {*graph.outputs, *(name for node in others for name in node.inputs)}
    outputs = tuple(name for node in nodes for name in node.outputs if name in wanted)
    used = {name for node in nodes for name in node.params.values()}
    weights = {name: graph.weights[name] for name in graph.weights if name in used}
    values = {name: graph.values[name] for name in (*reads, *inside)}
    part = replace(graph, nodes=tuple(nodes), values=values, weights=weights, states=())
    return replace(part, inputs=tuple(reads), outputs=outputs)


def _native(part: Graph) -> Piece:
    plan = native_plan(part)

    def run(x: Sequence[Array]) -> Sequence[Array]:
        made = plan.run(x)
        return (made,) if isinstance(made, np.ndarray) else made

    name = part.nodes[0].name + (f" .. {part.nodes[-1].name}" if len(part.nodes) > 1 else "")
    ops = ", ".join(dict.fromkeys(node.op for node in part.nodes))
    return Piece(name, ops, "native plan", part.inputs, part.outputs, run)


def _chosen(graph: Graph, node: Node, clamp: Node | None = None) -> Piece:
    ways = ways_of(graph, node, clamp)
    seconds: dict[str, float] = {}
    if len(ways) > 1 and choosing():
        x = [_sample(graph.values[name].shape) for name in node.inputs]
        seconds = {way.name: _least_seconds(way, x) for way in ways}
    best = min(ways, key=lambda way: seconds.get(way.name, math.inf))
    ops = f"{node.op}, {clamp.op}" if clamp else node.op
    return Piece(node.name, ops, best.name, node.inputs, (clamp or node).outputs, best.run, seconds)


def _sample(shape: tuple[int, ...]) -> Array:
    return np.random.default_rng(0).standard_normal((1, *shape)).astype(REAL)


def _least_seconds(way: Way, x: Sequence[Array]) -> float:
    """What disturbs a measurement only ever adds."""
    found = []
    for _ in range(TRIALS):
        start = time.perf_counter()
        way.run(x)
        found.append(time.perf_counter() - start)
    return min(found)
