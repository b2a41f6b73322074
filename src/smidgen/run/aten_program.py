"""Runs the msgpack program of ATen operators that an island of a PyTorch model carries. Needs torch.

    {"dtypes": [dtype of each input],
     "steps": [[operator, args, kwargs], …],          operator: "aten::gelu.default"
     "outputs": [reference, …]}

An argument is a plain number, string, list, or a map with one tag:
    {"in": i}  {"step": i}  {"item": [i, k]}  {"batch": k}  {"tensor": [dtype, shape, bytes]}
    (k times the batch size)  {"torch": "float32" | "strided" | …}  {"device": "cpu"}
Only operators of the dispatcher that change none of their arguments run.
"""

from __future__ import annotations

from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt
import torch

MAX_STEPS = 10_000


def run_program(payload: bytes, inputs: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
    """Outputs of the program on arrays [n, ...]. Raises ValueError for a program that may not run."""
    program = msgpack.unpackb(payload)
    if len(program["dtypes"]) != len(inputs) or len(program["steps"]) > MAX_STEPS:
        raise ValueError(f"{len(inputs)} inputs and {len(program['steps'])} steps do not fit the program")
    tensors = [
        torch.tensor(x).to(_constant(dtype)) for x, dtype in zip(inputs, program["dtypes"], strict=True)
    ]
    results: list[Any] = []
    with torch.no_grad():
        for name, args, kwargs in program["steps"]:
            call_args = [_decode(a, tensors, results) for a in args]
            call_kwargs = {k: _decode(a, tensors, results) for k, a in kwargs.items()}
            results.append(_operator(name)(*call_args, **call_kwargs))
    outputs = [_decode(reference, tensors, results) for reference in program["outputs"]]
    return [tensor.to(torch.float32).numpy() for tensor in outputs]


def _operator(name: str) -> Any:
    """The ATen overload called e.g. "aten::gelu.default", if it is functional."""
    namespace, _, qualified = name.partition("::")
    packet, _, overload = qualified.partition(".")
    schema_name = f"aten::{packet}" + ("" if overload == "default" else f".{overload}")
    if namespace != "aten" or not torch._C._dispatch_has_kernel(schema_name):
        raise ValueError(f"{name!r} is not an ATen operator")
    found = getattr(getattr(torch.ops.aten, packet), overload)
    files = any(argument.name == "filename" for argument in found._schema.arguments)
    if found._schema.is_mutable or files:
        raise ValueError(f"{name!r} has side effects")
    return found


def _decode(argument: Any, tensors: list[torch.Tensor], results: list[Any]) -> Any:
    if isinstance(argument, list):
        return [_decode(a, tensors, results) for a in argument]
    if not isinstance(argument, dict):
        return argument
    ((tag, value),) = argument.items()
    if tag == "in":
        return tensors[value]
    if tag == "step":
        return results[value]
    if tag == "item":
        return results[value[0]][value[1]]
    if tag == "batch":
        return value * tensors[0].shape[0]
    if tag == "tensor":
        dtype, shape, data = value
        flat = torch.frombuffer(bytearray(data), dtype=_constant(dtype)) if data else torch.empty(0)
        return flat.reshape(shape)
    if tag == "torch":
        return _constant(value)
    if tag == "device":
        return torch.device("cpu")
    raise ValueError(f"unknown argument tag {tag!r}")


def _constant(name: str) -> Any:
    """torch.float32, torch.strided, torch.contiguous_format …"""
    found = getattr(torch, name, None)
    if not isinstance(found, (torch.dtype, torch.layout, torch.memory_format)):
        raise ValueError(f"torch.{name} is no data type or layout")
    return found
