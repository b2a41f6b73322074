"""Runs the msgpack program of ATen operators that an island of a PyTorch model carries. Needs torch.

    {"dtypes": [dtype of each input],
     "steps": [[operator, args, kwargs], …],          operator: "aten::gelu.default"
     "outputs": [reference, …]}

An argument is a plain number, string, list, or a map with one tag:
    {"in": i}  {"step": i}  {"item": [i, k]}  {"batch": k}  {"tensor": [dtype, shape, bytes]}
    (k times the batch size)  {"torch": "float32" | "strided" | …}  {"device": "cpu"}
Only operators of the dispatcher that change none of their arguments run, and two more, whose arguments hold
programs {"program": {"steps": …, "outputs": …}}: "smidgen::cond" (taken, yes, no, operands) and
"smidgen::while_loop" (test, body, carried, others).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack
import numpy as np
import numpy.typing as npt
import torch

MAX_STEPS = 10_000
MAX_TURNS = 100_000  # of a loop whose end the data decide


def run_program(payload: bytes, inputs: list[npt.NDArray[np.float32]]) -> list[npt.NDArray[Any]]:
    """Outputs of the program on arrays [n, ...]. Raises ValueError for a program that may not run."""
    program = msgpack.unpackb(payload)
    if len(program["dtypes"]) != len(inputs):
        raise ValueError(f"{len(inputs)} inputs do not fit the program")
    tensors = [
        torch.tensor(x).to(_constant(dtype)) for x, dtype in zip(inputs, program["dtypes"], strict=True)
    ]
    with torch.no_grad():
        outputs = _run(program, tensors, tensors[0].shape[0])
    return [tensor.to(torch.float32).numpy() for tensor in outputs]


def _run(program: dict[str, Any], inputs: Sequence[Any], batch: int) -> list[Any]:
    """The outputs of a program, or of a branch of one."""
    if len(program["steps"]) > MAX_STEPS:
        raise ValueError(f"{len(program['steps'])} steps are too many")
    decode, results = _Decoder(inputs, batch), list[Any]()
    for name, args, kwargs in program["steps"]:
        if name in _BRANCHING:
            results.append(_BRANCHING[name](decode, results, *args))
            continue
        call_args = [decode(a, results) for a in args]
        results.append(_operator(name)(*call_args, **{k: decode(a, results) for k, a in kwargs.items()}))
    return [decode(reference, results) for reference in program["outputs"]]


def _cond(decode: _Decoder, results: list[Any], taken: Any, yes: Any, no: Any, operands: Any) -> Any:
    branch = yes if bool(decode(taken, results)) else no
    return _run(branch["program"], decode(operands, results), decode.batch)


def _while_loop(
    decode: _Decoder, results: list[Any], test: Any, body: Any, carried: Any, more: Any = ()
) -> Any:
    values, fixed = decode(list(carried), results), decode(list(more), results)
    for _ in range(MAX_TURNS):
        if not bool(_run(test["program"], [*values, *fixed], decode.batch)[0]):
            return values
        values = _run(body["program"], [*values, *fixed], decode.batch)
    raise ValueError(f"a loop of more than {MAX_TURNS} turns")


_BRANCHING: dict[str, Callable[..., Any]] = {"smidgen::cond": _cond, "smidgen::while_loop": _while_loop}


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


@dataclass(frozen=True)
class _Decoder:
    """Arguments of one run: references become what the inputs and the steps so far hold."""

    inputs: Sequence[Any]
    batch: int

    def __call__(self, argument: Any, results: list[Any]) -> Any:
        if isinstance(argument, list):
            return [self(a, results) for a in argument]
        if not isinstance(argument, dict):
            return argument
        ((tag, value),) = argument.items()
        if tag == "in":
            return self.inputs[value]
        if tag == "step":
            return results[value]
        if tag == "item":
            return results[value[0]][value[1]]
        if tag == "batch":
            return value * self.batch
        return _literal(tag, value)


def _literal(tag: str, value: Any) -> Any:
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
