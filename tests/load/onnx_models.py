"""Builds small ONNX models."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


def model(
    nodes: Sequence[Any],
    weights: dict[str, np.ndarray] | None = None,
    shape: Sequence[int | str] = ("n", 4),
    opset: int = 17,
) -> Any:
    """A model from "x" of `shape` to "y", float32. IR version 8: every runtime in use reads it."""
    graph = helper.make_graph(
        list(nodes),
        "test",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, list(shape))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(array), name) for name, array in (weights or {}).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def op(kind: str, inputs: str = "x", output: str = "y", **attrs: Any) -> Any:
    """One node; `inputs` are separated by blanks, "-" is an input left out."""
    names = ["" if name == "-" else name for name in inputs.split()]
    return helper.make_node(kind, names, [output], name=f"{kind}_{output}", **attrs)


def constant(name: str, array: Any) -> Any:
    """A Constant node."""
    return helper.make_node("Constant", [], [name], value=numpy_helper.from_array(np.asarray(array)))


def integers(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.int64)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def write(made: Any, path: Any) -> Any:
    onnx.save(made, str(path))
    return path
