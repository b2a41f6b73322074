"""ONNX Runtime as a baseline: one layer, one thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper


def matmul(weight: np.ndarray, x: np.ndarray) -> Callable[[], Any]:
    """weight [out, in] times x [n, in], float32."""
    model = _model("MatMul", {"w": np.ascontiguousarray(weight.T)}, x.shape, (len(x), len(weight)))
    return session(model, x)


def matmul_few_bits(shape: tuple[int, int], x: np.ndarray, bits: int, group: int) -> Callable[[], Any]:
    """Random weights [out, in] of few bits times x (MatMulNBits), activations in int8 (accuracy level 4)."""
    out, width = shape
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 256, (out, width // group, group * bits // 8), dtype=np.uint8)
    weights = {"w": codes, "scales": rng.uniform(0.01, 0.02, (out, width // group)).astype(np.float32)}
    settings = {"K": width, "N": out, "bits": bits, "block_size": group, "accuracy_level": 4}
    model = _model("MatMulNBits", weights, x.shape, (len(x), out), domain="com.microsoft", **settings)
    return session(model, x)


def convolution(weight: np.ndarray, x: np.ndarray, padding: tuple[int, int]) -> Callable[[], Any]:
    """weight [out, in, kh, kw], x [n, in, h, w], float32, channels first as ONNX Runtime wants them."""
    y, z = padding
    sizes = [n + 2 * p - k + 1 for n, p, k in zip(x.shape[2:], padding, weight.shape[2:], strict=True)]
    shape = (len(x), len(weight), *sizes)
    return session(_model("Conv", {"w": weight}, x.shape, shape, pads=[y, z, y, z]), x)


def _model(
    op: str, weights: dict[str, np.ndarray], x: tuple[int, ...], y: tuple[int, ...], **settings: Any
) -> Any:
    node = helper.make_node(op, ["x", *weights], ["y"], **settings)
    values = [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in (("x", x), ("y", y))]
    constants = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
    graph = helper.make_graph([node], "layer", values[:1], values[1:], constants)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model


def session(model: Any, x: np.ndarray) -> Callable[[], Any]:
    """The model, ready to be run on x."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    made = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return lambda: made.run(None, {"x": x})
