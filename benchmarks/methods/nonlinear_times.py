"""Times of one nonlinear function alone: our integer kernels, and float ones of other runtimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from smidgen.formats import Grid
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.lower.grids import FIXED, with_grids
from smidgen.measure.timing import interleaved_for
from smidgen.run.native import native_plan

SECONDS = 1.5
WIDTHS = ("8 bits", "16 bits")
EPSILON = 1e-5
# Of the network on the same page, and of BERT-base at 128 words.
SHAPES: dict[str, tuple[str, tuple[int, ...]]] = {
    "softmax [2, 28, 28]": ("softmax", (2, 28, 28)),
    "softmax [12, 128, 128]": ("softmax", (12, 128, 128)),
    "gelu [28, 64]": ("gelu", (28, 64)),
    "gelu [128, 3072]": ("gelu", (128, 3072)),
    "layernorm [28, 32]": ("normalize", (28, 32)),
    "layernorm [128, 768]": ("normalize", (128, 768)),
}


def timed(name: str) -> dict[str, float]:
    """Microseconds a call of each that computes the function: median of calls that took turns."""
    op, shape = SHAPES[name]
    x = np.random.default_rng(0).normal(0, 2, (1, *shape)).astype(np.float32)
    calls = {width: _ours(op, shape, x, bits) for width, bits in zip(WIDTHS, (8, 16), strict=True)}
    calls |= {"NumPy": _numpy(op, x), "PyTorch": _torch(op, x), "ONNX Runtime": _onnx(op, x)}
    found = interleaved_for(calls, SECONDS)
    return {who: 1e6 * float(np.median(found.seconds[who])) for who in calls}


def _ours(op: str, shape: tuple[int, ...], x: np.ndarray, bits: int) -> Callable[[], object]:
    grid = Grid.from_range(-8, 8) if bits == 8 else Grid.wide(8)
    made = {} if op in FIXED else {op: Grid.from_range(-6, 6)}
    graph = lower(with_grids(_graph(op, shape), {"x": grid, **made}))
    plan, q = native_plan(graph), grid.quantize(x).astype(grid.dtype)
    return lambda: plan.run(q)


def _graph(op: str, shape: tuple[int, ...]) -> Graph:
    b = GraphBuilder(op)
    x = b.input("x", shape)
    if op != "normalize":
        return b.graph(b.op(op, [x], name=op))
    params = {"gamma": np.ones(shape[-1]), "beta": np.zeros(shape[-1])}
    attrs = {"axes": (len(shape) - 1,), "epsilon": EPSILON, "centered": True}
    return b.graph(b.op(op, [x], params, op, **attrs))


def _numpy(op: str, x: np.ndarray) -> Callable[[], object]:
    def softmax() -> np.ndarray:
        e = np.exp(x - x.max(axis=-1, keepdims=True))
        return e / e.sum(axis=-1, keepdims=True)

    def gelu() -> np.ndarray:  # NumPy has no erf
        return 0.5 * x * (1 + np.tanh(0.7978845608 * (x + 0.044715 * x * x * x)))

    def normalize() -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt(np.square(centred).mean(axis=-1, keepdims=True) + np.float32(EPSILON))

    return {"softmax": softmax, "gelu": gelu, "normalize": normalize}[op]


def _torch(op: str, x: np.ndarray) -> Callable[[], object]:
    given = torch.from_numpy(x)
    one, zero = torch.ones(x.shape[-1]), torch.zeros(x.shape[-1])
    return {
        "softmax": lambda: F.softmax(given, -1),
        "gelu": lambda: F.gelu(given),
        "normalize": lambda: F.layer_norm(given, x.shape[-1:], one, zero, EPSILON),
    }[op]


def _onnx(op: str, x: np.ndarray) -> Callable[[], object]:
    """The runtime's own operator, on one thread."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(_model(op, x).SerializeToString(), options, ["CPUExecutionProvider"])
    return lambda: session.run(None, {"x": x})


def _model(op: str, x: np.ndarray) -> Any:
    from onnx import TensorProto, helper, numpy_helper

    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, x.shape) for name in ("x", "y")]
    vectors = [np.ones(x.shape[-1], np.float32), np.zeros(x.shape[-1], np.float32)]
    stored = [numpy_helper.from_array(v, name) for v, name in zip(vectors, ("gamma", "beta"), strict=True)]
    kinds = {"softmax": "Softmax", "gelu": "Gelu", "normalize": "LayerNormalization"}
    inputs, attrs = (["x", "gamma", "beta"], {"epsilon": EPSILON}) if op == "normalize" else (["x"], {})
    node = helper.make_node(kinds[op], inputs, ["y"], **({} if op == "gelu" else {"axis": -1}), **attrs)
    graph = helper.make_graph([node], op, ports[:1], ports[1:], stored if op == "normalize" else [])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
