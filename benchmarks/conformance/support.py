"""What each back end can do with an operator, found by trying it on networks that a test gave."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from smidgen.emit.c import CEmitter
from smidgen.emit.c_golden import random_inputs
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.errors import SmidgenError
from smidgen.graph import Graph, GraphBuilder
from smidgen.learn.twin import TRAINABLE, GraphTwin
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import with_grids
from smidgen.methods.post_training import quantized_weights, weight_names
from smidgen.methods.quantize.affine import Affine
from smidgen.probe.calibration import calibrate
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target

SAMPLES, SEED = 8, 0
HOST = load_target("generic-c")
COLUMNS = ("torch twin", "int8", "native", "C", "ONNX, exact", "ONNX, float")


def support(graph: Graph) -> dict[str, bool]:
    """Which of COLUMNS a captured network reaches, each compared with the reference on random inputs.

    The C is checked and written, not compiled: tests/contracts compiles it.
    """
    graph = with_one_input(graph)
    shape = graph.values[graph.inputs[0]].shape
    x = [np.random.default_rng(SEED).normal(size=(SAMPLES, *shape)).astype(np.float32)]
    found = {"torch twin": _works(_twin, graph, x), "ONNX, float": _works(_float_onnx, graph, x)}
    integer = _quantized(graph, x)
    found["int8"] = integer is not None
    tries: Mapping[str, Callable[[Graph, Sequence[np.ndarray]], bool]] = {
        "native": _native,
        "C": _c,
        "ONNX, exact": _onnx,
    }
    for column, attempt in tries.items():
        found[column] = integer is not None and _works(attempt, integer, random_inputs(integer, SAMPLES))
    return {column: found[column] for column in COLUMNS}


def with_one_input(graph: Graph) -> Graph:
    """`graph` with its inputs as stretches of one vector: data sets, and so calibration, have one input."""
    if len(graph.inputs) == 1:
        return graph
    builder = GraphBuilder(graph.name)
    shapes = [graph.values[name].shape for name in graph.inputs]
    ends = np.cumsum([math.prod(shape) for shape in shapes]).tolist()
    x = builder.input("all inputs", (ends[-1],))
    given = {}
    for name, shape, stop in zip(graph.inputs, shapes, ends):
        part = builder.op("slice", [x], axis=0, start=stop - math.prod(shape), stop=stop, step=1)
        given[name] = builder.op("reshape", [part], shape=shape)
    for node in graph.nodes:
        for name in node.params.values():
            builder.weight(name, graph.weights[name])
        builder.append(replace(node, inputs=tuple(given.get(name, name) for name in node.inputs)))
    return builder.graph([given.get(name, name) for name in graph.outputs])


def _works(
    attempt: Callable[[Graph, Sequence[np.ndarray]], bool], graph: Graph, x: Sequence[np.ndarray]
) -> bool:
    try:
        return attempt(graph, x)
    except SmidgenError:
        return False


def _twin(graph: Graph, x: Sequence[np.ndarray]) -> bool:
    import torch

    if not {node.op for node in graph.walk()} <= TRAINABLE:
        return False
    with torch.no_grad():
        made = GraphTwin(graph).eval()(torch.from_numpy(x[0])).numpy()
    return np.allclose(made, run_float(graph, x), rtol=1e-4, atol=1e-5)


def _quantized(graph: Graph, x: Sequence[np.ndarray]) -> Graph | None:
    """The lowered network, int8 throughout; None where some of it stays real."""
    plain = canonical(graph)
    try:
        gridded = with_grids(plain, calibrate(plain, x, 8, "minmax", SEED))
        bits = dict.fromkeys(weight_names(plain), 8)
        weights = quantized_weights(plain, bits, lambda dense, width: Affine.fit(dense, width, "channel"))
        lowered = lower(gridded.with_weights(weights))
    except SmidgenError:
        return None
    return lowered if lowered.is_integer else None


def _native(graph: Graph, x: Sequence[np.ndarray]) -> bool:
    made = native_plan(graph).run(x)
    return np.array_equal(made if isinstance(made, np.ndarray) else made[0], run_integer(graph, x))


def _c(graph: Graph, x: Sequence[np.ndarray]) -> bool:
    return not CEmitter().check(graph, HOST)


def _onnx(graph: Graph, x: Sequence[np.ndarray]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        made = OnnxEmitter().emit(graph, HOST, Path(folder) / "out").run(x)  # type: ignore[arg-type]
    return np.array_equal(made, run_integer(graph, x))


def _float_onnx(graph: Graph, x: Sequence[np.ndarray]) -> bool:
    with tempfile.TemporaryDirectory() as folder:
        made = FloatOnnxEmitter().emit(graph, HOST, Path(folder) / "out").run(x)  # type: ignore[arg-type]
    return np.allclose(made, run_float(graph, x), rtol=1e-4, atol=1e-5)
