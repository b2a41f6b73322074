"""The float flavour of ONNX: a network before or without integers, in plain float32 operators.

For people who keep their network in float, and as the alternative that integer networks are timed against.
BatchNorm and per-channel constants are folded, compressed weights decoded. Convolutions run channels first,
with Transposes only where a value enters or leaves such a stretch; ports have the graph's layout. The runtime
sums in its own order: results agree with `run_float` to about 1e-4, not bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from smidgen.emit.emitter import Emitter, Problem
from smidgen.emit.onnx_artifact import OnnxArtifact, save, target_problems
from smidgen.emit.onnx_island import embed_island, island_problems
from smidgen.emit.onnx_layout import Carried
from smidgen.emit.onnx_model import count_samples, finished, port, require_onnx
from smidgen.emit.onnx_real_ops import INTEGERS, REAL_RULES, wide_padding, write_real
from smidgen.emit.onnx_scan import at_rest, write_scan
from smidgen.emit.onnx_writer import OnnxWriter
from smidgen.formats import Dense
from smidgen.graph import Graph, Node
from smidgen.graph.scan import body_of, states_of
from smidgen.graph.structured import expand_structured
from smidgen.lower.canonical import FOLDED, canonical
from smidgen.targets.target import Target


@dataclass(frozen=True)
class FloatOnnxEmitter(Emitter):
    """Writes `model.onnx`: float32 [n, ...] in, float32 [n, ...] out; the batch size n is free."""

    exact: ClassVar[bool] = False
    takes_floats: ClassVar[bool] = True

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        problems = [
            Problem(step.name, "it still waits for training", "Add tune.fit to the recipe")
            for step in graph.pending
        ]
        problems += [problem for node in graph.nodes for problem in _node_problems(node)]
        return problems + target_problems(target)

    def emit(self, graph: Graph, target: Target, folder: Path) -> OnnxArtifact:
        """Write `folder/model.onnx`, whole or not at all.

        Raises:
            Unsupported: naming every node that has no float operator.
            MissingExtra: the package onnx is not installed.
        """
        self.require(graph, target)
        return save(float_model(graph), folder)


def float_model(graph: Graph) -> Any:
    """The graph as an `onnx.ModelProto`, without checking that it can be expressed."""
    require_onnx()
    graph = expand_structured(graph)
    # Decoded first: BatchNorm folds into real numbers only.
    graph = canonical(graph.with_weights({name: Dense(fmt.decode()) for name, fmt in graph.weights.items()}))
    w = OnnxWriter()
    carried = Carried(w)
    inputs = []
    for name in graph.inputs:
        value = graph.values[name]
        given = w.unique(name)
        carried.put(name, given)
        inputs.append(port(given, value, "float32"))
    count_samples(w, graph, inputs)
    for node in graph.nodes:
        write_float(w, graph, node, carried)
    outputs = []
    for name in graph.outputs:
        value = graph.values[name]
        made = w.op("Identity", [carried.get(name, len(value.shape), False)], name)
        outputs.append(port(made, value, "float32"))
    return finished(w, graph, inputs, outputs, "float")


def write_float(w: OnnxWriter, graph: Graph, node: Node, carried: Carried) -> None:
    """Append one operator on real numbers."""

    def operand(value: str, first: bool) -> str:
        return carried.get(value, len(graph.values[value].shape), first)

    if node.op == "scan":
        scanned = _scan(w, graph, node, [operand(name, False) for name in node.inputs])
        for value, name in zip(node.outputs, scanned, strict=True):
            carried.put(value, name)
    elif node.op == "constant":
        real = graph.weights[node.params["value"]].decode()
        carried.put(node.output, w.per_sample(real, np.float32, f"{node.output}.value"))
    elif node.op == "island":
        results = embed_island(w, node, [operand(name, False) for name in node.inputs])
        for value, name in zip(node.outputs, results, strict=True):
            carried.put(value, name)
    else:
        made, first = write_real(w, graph, node, carried, operand, _weights(w, graph, node))
        carried.put(node.output, made, first)


def _scan(w: OnnxWriter, graph: Graph, node: Node, inputs: Sequence[str]) -> tuple[str, ...]:
    body = body_of(node, graph.weights)

    def write_body(inner: OnnxWriter, given: Mapping[str, str]) -> Mapping[str, str]:
        carried = Carried(inner)
        for value, name in given.items():
            carried.put(value, name)
        for step in body.nodes:
            write_float(inner, body, step, carried)
        return {name: carried.get(name, len(body.values[name].shape), False) for name in body.outputs}

    x, *starts = inputs
    for state in states_of(node)[len(starts) :]:
        starts.append(at_rest(w, x, body.values[state].shape, np.float32(0), f"{state}.rest"))
    return write_scan(w, node, x, starts, write_body, lambda value: np.float32)


def _weights(w: OnnxWriter, graph: Graph, node: Node) -> Mapping[str, str]:
    names = {}
    for role, name in node.params.items():
        if role in INTEGERS:
            continue
        real = graph.weights[name].decode()
        if node.op == "conv" and role == "weight":
            real = np.moveaxis(real, -1, 1)
        names[role] = w.constant(real, np.float32, name)
    return names


def _node_problems(node: Node) -> list[Problem]:
    if node.op == "island":
        return island_problems(node)
    if node.op == "scan":
        return [problem for inner in body_of(node).nodes for problem in _node_problems(inner)]
    if node.op in (*FOLDED, "constant"):
        return []
    if node.op not in REAL_RULES:
        if node.op.startswith("q."):
            return [Problem(node.name, f"{node.op} computes with integers", "Export exact ONNX or QDQ ONNX")]
        return [Problem(node.name, f"no rule for {node.op}", "Emit C or .smg")]
    return pool_problems(node)


def pool_problems(node: Node) -> list[Problem]:
    """Average pools whose padding is too wide for ONNX. (A Pad in front does not help: runtimes merge it.)"""
    if node.op.endswith("avg_pool") and wide_padding(node):
        return [Problem(node.name, "its padding is as wide as its window", "Pad less, or use a wider window")]
    return []
