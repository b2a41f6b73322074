"""A network as `.smg` files, written and read again: int8, and 4-bit weights (`quantize.weights`)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.pretrained_models import Arrays, Pretrained
from smidgen.codec.container import read_smg, write_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.emit.c import CEmitter
from smidgen.emit.emitter import Emitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.formats import Affine
from smidgen.formats.ranges import RangeRule
from smidgen.graph import Graph, Node
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import with_grids
from smidgen.lower.lowering import lower
from smidgen.lower.schedule import check_schedulable
from smidgen.methods.post_training import quantized_weights, weight_names
from smidgen.methods.quantize.bias_correction import BiasCorrection
from smidgen.methods.quantize.weights import WeightQuantization
from smidgen.methods.step import Context
from smidgen.probe.calibration import Batch, calibrate
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer_all
from smidgen.targets import load_target

WEIGHT_ONLY = WeightQuantization(4, "group", "mse", group_size=16, depthwise_bits=8)


@dataclass(frozen=True)
class Form:
    """An artifact: real outputs for real inputs, size, what runs it, in which languages it can be had."""

    run: Callable[[Arrays], Arrays]
    nbytes: int
    backend: str
    emitted: str


def int8(
    network: Pretrained,
    batches: Iterable[Batch],
    rule: RangeRule = "minmax",
    real: Callable[[Graph], set[str]] = lambda graph: set(),
) -> Form:
    """All weights and activations in 8 bits, calibrated on `batches` (tuples if there are several inputs).

    `real` names the values of the canonical graph that stay real numbers.
    """
    graph = canonical(network.graph)
    gridded = with_grids(graph, calibrate(graph, batches, 8, rule))
    kept = {name: replace(graph.values[name], grid=None) for name in real(graph)}
    gridded = gridded.with_values(kept)
    weights = quantized_weights(graph, dict.fromkeys(weight_names(graph), 8), Affine.fit)
    return stored(lower(gridded.with_weights(weights)))


def ends(graph: Graph) -> set[str]:
    """The values between the stream's ports and the convolutions over several positions inside."""
    inside = {node.name for node in graph.nodes if node.op == "scan" or _spans_positions(graph, node)}
    constants = {node.output for node in graph.nodes if node.op == "constant"}
    before, after = {graph.inputs[0]}, {graph.outputs[0]}
    for node in graph.nodes:
        if node.name not in inside and node.inputs and set(node.inputs) <= before | constants:
            before.update(node.outputs)
    for node in reversed(graph.nodes):
        if node.name not in inside and after & set(node.outputs):
            after.update(node.inputs)
    return before | after


def _spans_positions(graph: Graph, node: Node) -> bool:
    return node.op == "conv" and math.prod(graph.weights[node.params["weight"]].shape[1:]) > 1


def four_bit(network: Pretrained, samples: Arrays) -> Form:
    """4-bit weights, float activations; biases corrected on `samples` where there are some."""
    graph = WEIGHT_ONLY.apply(network.graph, Context(None, network.graph))
    if samples:
        data = Dataset(samples[0], np.zeros(len(samples[0]), np.int64))
        ctx = Context(Splits(data, data, data, 1), network.graph)
        graph = BiasCorrection(samples=len(data)).apply(graph, ctx)
    return stored(lower(graph))


def stored(graph: Graph) -> Form:
    """What was written and read again is what runs."""
    with TemporaryDirectory() as scratch:
        file = Path(scratch) / "model.smg"
        write_smg(file, [graph])
        size, read = file.stat().st_size, read_smg(file).graph
    plan = None if check_schedulable(read) else native_plan(read)

    def run(x: Arrays) -> Arrays:
        given = [_stored_values(read, name, array) for name, array in zip(read.inputs, x, strict=True)]
        one = given[0] if len(given) == 1 else given
        made = run_all(one)
        return tuple(_real(read, name, y) for name, y in zip(read.outputs, made, strict=True))

    def run_all(given: object) -> tuple[np.ndarray, ...]:
        made = run_integer_all(read, given) if plan is None else plan.run(given)
        return made if isinstance(made, tuple) else (made,)

    return Form(run, size, "reference" if plan is None else "native", emitted(read))


def emitted(graph: Graph) -> str:
    """C and ONNX, or what stands in the way."""
    host = load_target("generic-c")
    found = []
    for name, emitter in (("C", CEmitter()), _onnx(graph)):
        problems = emitter.check(graph, host)
        found.append(f"no {name} ({len(problems)}: {problems[0].reason})" if problems else name)
    return ", ".join(found)


def _onnx(graph: Graph) -> tuple[str, Emitter]:
    """The flavour that suits: exact for integers, QDQ where real numbers come in between."""
    if graph.is_integer:
        return "ONNX", OnnxEmitter()
    if any(value.grid for value in graph.values.values()):
        return "ONNX (QDQ)", QdqOnnxEmitter(float_boundary=True)
    return "ONNX", FloatOnnxEmitter()


def _stored_values(graph: Graph, name: str, x: np.ndarray) -> np.ndarray:
    port = graph.values[name]
    return x if port.grid is None else np.ascontiguousarray(port.grid.quantize(x).astype(port.dtype))


def _real(graph: Graph, name: str, y: np.ndarray) -> np.ndarray:
    grid = graph.values[name].grid
    return y if grid is None else grid.dequantize(y)
