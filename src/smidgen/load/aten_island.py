"""Writes an ATen operator, and the uncaptured ones that it depends on, as an island's program.

The other half is `run/aten_program.py`, which documents the encoding.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from typing import Any

import msgpack
import torch
from torch.fx import Node

from smidgen.load.source import NotCaptured

BRANCHING = ("cond", "while_loop")


class IslandWriter:
    """Collects the steps of one island. `inputs`: the fx nodes that it reads as inputs, in order."""

    def __init__(
        self,
        values: Mapping[Node, Any],
        tensors: Mapping[Node, torch.Tensor],
        batches: Callable[[Any], int | None],
        batch_axis: Callable[[Any], int | None],
    ) -> None:
        self.inputs: list[Node] = []
        self._values, self._tensors = values, tensors
        self._batches, self._batch_axis = batches, batch_axis
        self._steps: list[Any] = []
        self._numbers: dict[Node, int] = {}

    def payload(self, node: Node, items: list[int] | None) -> bytes:
        """The program that ends in `node`: its value, or these items of its tuple."""
        number = self._step(node)
        if not self.inputs:
            raise NotCaptured("it does not depend on the network's input")
        value = node.meta["val"]
        if items is None:
            outputs = [self._batch_first({"step": number}, value)]
        else:
            outputs = [self._batch_first({"item": [number, i]}, value[i]) for i in items]
        dtypes = [str(n.meta["val"].dtype).removeprefix("torch.") for n in self.inputs]
        packed: bytes = msgpack.packb({"dtypes": dtypes, "steps": self._steps, "outputs": outputs})
        return packed

    def _step(self, node: Node) -> int:
        if node not in self._numbers:
            if str(node.target) in BRANCHING:
                self._steps.append([f"smidgen::{node.target}", self._branches(node), {}])
                self._numbers[node] = len(self._steps) - 1
                return self._numbers[node]
            if not isinstance(node.target, torch._ops.OpOverload):
                raise NotCaptured(f"the operator {node.target} is not an ATen operator")
            args = [self._encode(a) for a in node.args]
            kwargs = {key: self._encode(a) for key, a in node.kwargs.items()}
            self._steps.append([operator_name(node.target), args, kwargs])
            self._numbers[node] = len(self._steps) - 1
        return self._numbers[node]

    def _branches(self, node: Node) -> list[Any]:
        """The arguments of cond or while_loop: sub-graphs as programs of their own."""
        modules = [a for a in node.args if isinstance(a, Node) and a.op == "get_attr"]
        programs = {a: self._program(getattr(a.graph.owning_module, str(a.target))) for a in modules}
        return [programs[a] if isinstance(a, Node) and a in programs else self._encode(a) for a in node.args]

    def _program(self, module: torch.fx.GraphModule) -> dict[str, Any]:
        """A sub-graph, whose inputs come as they are: {"steps": …, "outputs": …}."""
        graph = module.graph
        ports = [n for n in graph.nodes if n.op == "placeholder"]
        stored = {n: getattr(module, str(n.target)) for n in graph.nodes if n.op == "get_attr"}
        tensors = {n: t for n, t in stored.items() if isinstance(t, torch.Tensor)}
        inner = IslandWriter(dict.fromkeys(ports), tensors, self._batches, lambda value: None)
        inner.inputs = ports
        (output,) = (n for n in graph.nodes if n.op == "output")
        results = output.args[0]
        outputs = inner._encode(list(results) if isinstance(results, (list, tuple)) else [results])
        return {"program": {"steps": inner._steps, "outputs": outputs}}

    def _encode(self, argument: Any) -> Any:
        if isinstance(argument, Node):
            return self._reference(argument)
        if isinstance(argument, (list, tuple)):
            return [self._encode(a) for a in argument]
        if isinstance(argument, (torch.dtype, torch.layout, torch.memory_format)):
            return {"torch": str(argument).removeprefix("torch.")}
        if isinstance(argument, torch.device):
            return {"device": "cpu"}
        if argument is None or isinstance(argument, (bool, int, float, str)):
            return argument
        raise NotCaptured(f"an argument of type {type(argument).__name__}")

    def _reference(self, node: Node) -> Any:
        if node in self._tensors:
            return encode_tensor(self._tensors[node])
        if node in self._values:
            if node not in self.inputs:
                self.inputs.append(node)
            return self._input(node)
        value = node.meta.get("val")
        if isinstance(value, (int, torch.SymInt)):
            times = self._batches(value)
            return int(value) if times is None else {"batch": times}
        if node.target is operator.getitem:
            whole, index = node.args
            assert isinstance(whole, Node)
            return {"item": [self._step(whole), index]}
        return {"step": self._step(node)}

    def _batch_first(self, made: dict[str, Any], value: Any) -> dict[str, Any]:
        axis = self._batch_axis(value)
        if not axis:
            return made
        self._steps.append(["aten::movedim.int", [made, axis, 0], {}])
        return {"step": len(self._steps) - 1}

    def _input(self, node: Node) -> dict[str, int]:
        """Inputs come batch first: one that had its batch elsewhere gets it back there."""
        number, axis = self.inputs.index(node), self._batch_axis(node.meta["val"])
        if not axis:
            return {"in": number}
        if node not in self._numbers:
            self._steps.append(["aten::movedim.int", [{"in": number}, 0, axis], {}])
            self._numbers[node] = len(self._steps) - 1
        return {"step": self._numbers[node]}


def operator_name(target: torch._ops.OpOverload) -> str:
    """ "aten::gelu.default". A view of a tensor becomes a reshape, which works for any strides."""
    name = str(target._schema.name)
    if name in ("aten::view", "aten::_unsafe_view"):
        return "aten::reshape.default"
    return f"{name}.{target._overloadname}"


def encode_tensor(tensor: torch.Tensor) -> dict[str, Any]:
    """{"tensor": [dtype, shape, little-endian bytes]}."""
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    data = flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b""
    return {"tensor": [str(tensor.dtype).removeprefix("torch."), list(tensor.shape), data]}
