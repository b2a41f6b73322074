"""Walks an exported program: each ATen operator becomes nodes of a graph, a constant, or an island."""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load.aten_call import Call
from smidgen.load.aten_island import IslandWriter
from smidgen.load.aten_table import HANDLERS
from smidgen.load.fx_nodes import items, label, packet
from smidgen.load.source import Constant, NotCaptured, Source

_MOVES = ("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "permute", "t", "transpose", "view")
_BROADCASTING = ("add", "sub", "mul", "rsub", "div")


class Walk:
    """Turns an exported program's operators, one after another, into nodes of a graph.

    `values`: fx node -> its value in the graph, or a list of such for a tuple. `tensors`: constants. A node
    in neither is deferred: the batch is not its leading dimension, so it can only live inside an island.
    """

    def __init__(self, program: ExportedProgram, name: str) -> None:
        self.program, self.where = program.run_decompositions({}), name  # functional, else as exported
        self.source = Source(name)
        self.values: dict[Node, Any] = {}
        self.tensors: dict[Node, torch.Tensor] = {}
        self.names: dict[Node, str] = {}
        self.batch: Any = None

    def run(self) -> Graph:
        for node in self.program.graph.nodes:
            if node.op == "placeholder":
                self._placeholder(node)
            elif node.op == "call_function":
                self._call(node)
        return self.source.graph([self._output(node) for node in self._results()])

    # Inputs and outputs

    def _placeholder(self, node: Node) -> None:
        spec = next(s for s in self.program.graph_signature.input_specs if s.arg.name == node.name)
        if spec.kind is InputKind.USER_INPUT:
            self._input(node)
            return
        target = str(spec.target)
        stored = self.program.state_dict if target in self.program.state_dict else self.program.constants
        self.tensors[node] = stored[target].detach().cpu()
        self.names[node] = target

    def _input(self, node: Node) -> None:
        value = node.meta.get("val")
        if not isinstance(value, torch.Tensor):
            return  # an argument that is a plain number or None: already part of the trace
        if value.ndim < 1:
            raise BadInput(f"input {node.name}", "it has no dimensions", "the first one is the batch")
        if self.batch is None:
            self.batch = value.shape[0]
        shape = self._sample_shape(value)
        if shape is None:
            raise BadInput(
                f"input {node.name}", f"its first dimension is {value.shape[0]}", f"the batch is {self.batch}"
            )
        self.values[node] = self.source.input(node.name, shape)

    def _results(self) -> Sequence[Any]:
        (output,) = (node for node in self.program.graph.nodes if node.op == "output")
        results = output.args[0]
        return list(results) if isinstance(results, (list, tuple)) else [results]

    def _output(self, node: Any) -> str:
        value = self.values.get(node) if isinstance(node, Node) else None
        if not isinstance(value, str):
            found = f"output {node} is a constant, or its first dimension is not the batch"
            raise BadInput(self.where, found, "every output is [n, ...]", "Return only such tensors")
        return value

    # Operators

    def _call(self, node: Node) -> None:
        if node.target is operator.getitem:
            whole, index = node.args
            if isinstance(whole, Node) and whole in self.values:
                self.values[node] = self.values[whole][index]
            return
        value = node.meta.get("val")
        if not isinstance(node.target, torch._ops.OpOverload) or isinstance(value, (int, torch.SymInt)):
            return
        if value is None or self._fold(node):
            return
        try:
            self._capture(node)
        except NotCaptured as why:
            self._island(node, why)

    def _fold(self, node: Node) -> bool:
        """Compute an operator on constants now."""
        random = torch.Tag.nondeterministic_seeded in node.target.tags  # type: ignore[union-attr]
        if random or not all(n in self.tensors for n in node.all_input_nodes):
            return False
        args, kwargs = torch.fx.node.map_arg((node.args, node.kwargs), lambda n: self.tensors[n])
        made = node.target(*args, **{**kwargs, **({"device": "cpu"} if "device" in kwargs else {})})  # type: ignore[operator]
        if not isinstance(made, torch.Tensor):
            return False
        self.tensors[node] = made
        if len(node.all_input_nodes) == 1 and packet(node) in _MOVES:
            self.names[node] = self.names.get(node.all_input_nodes[0], "")
        return True

    def _capture(self, node: Node) -> None:
        operator_name, value = packet(node), node.meta["val"]
        first = value[0] if isinstance(value, (list, tuple)) else value
        shape = self._sample_shape(first)
        if operator_name in ("expand", "expand_as") and self._read_broadcasting(node):
            self.values[node] = self.values[node.args[0]]  # type: ignore[index]
            return
        if operator_name not in HANDLERS or not first.is_floating_point():
            raise NotCaptured(f"the graph has no operator for {operator_name}")
        if shape is None:
            raise NotCaptured("it moves the batch out of the first dimension", "Keep the batch first")
        if isinstance(value, (list, tuple)) and set(items(node)) - {0}:
            raise NotCaptured(f"{operator_name} with more than one result")
        made = HANDLERS[operator_name](self._bound(node, shape))
        if self.source.shape(made) != shape:
            raise NotCaptured(f"its broadcasting makes {list(shape)} of {list(self.source.shape(made))}")
        self.values[node] = [made] if isinstance(value, (list, tuple)) else made

    def _bound(self, node: Node, shape: tuple[int, ...]) -> Call:
        """The call's arguments by schema name, defaults filled in."""
        schema = node.target._schema.arguments  # type: ignore[union-attr]
        given = {a.name: v for a, v in zip(schema, node.args)} | dict(node.kwargs)
        bound = {a.name: self._resolve(given.get(a.name, a.default_value)) for a in schema}
        text = {a.name: v for a in schema if isinstance(v := given.get(a.name, a.default_value), str)}
        return Call(self.source, label(node), bound, shape, text)

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, (list, tuple)):
            return [self._resolve(a) for a in argument]
        if not isinstance(argument, Node):
            return argument
        if argument in self.tensors:
            return Constant(self.tensors[argument].to(torch.float32).numpy(), self._stored_name(argument))
        if argument in self.values:
            return self.values[argument]
        if isinstance(argument.meta.get("val"), (int, torch.SymInt)):
            return None  # a size: the output's shape says the same
        raise NotCaptured("it reads a tensor whose first dimension is not the batch", "Keep the batch first")

    def _stored_name(self, node: Node) -> str:
        """The user's name of a constant: of several names for one tensor (tied weights), the first."""
        tensor, shown = self.tensors[node], self.names.get(node, "")
        for other, name in self.names.items():
            twin = self.tensors[other]
            tied = twin.data_ptr() == tensor.data_ptr() and twin.shape == tensor.shape
            if name and tied and tensor.numel():
                return name
        return shown

    def _island(self, node: Node, why: NotCaptured) -> None:
        value = node.meta["val"]
        several = isinstance(value, (list, tuple))
        read = sorted(items(node)) if several else []
        shapes = [self._sample_shape(v) for v in ([value[i] for i in read] if several else [value])]
        if not shapes or any(shape is None for shape in shapes):
            return  # nothing reads it, or it is deferred
        writer = IslandWriter(self.values, self.tensors, self._batches)
        try:
            payload = writer.payload(node, read if several else None)
        except NotCaptured as problem:
            found = f"{packet(node)} can't be captured ({why.reason}; {problem.reason})"
            raise BadInput(label(node), found, "", why.remedy) from why
        made = self.source.island(
            [self.values[n] for n in writer.inputs],
            [shape for shape in shapes if shape is not None],
            label(node),
            kind="aten",
            source=f"aten.{packet(node)}",
            payload=payload,
            reason=why.reason,
            remedy=why.remedy,
        )
        self.values[node] = dict(zip(read, made, strict=True)) if several else made[0]

    # Shapes

    def _sample_shape(self, value: Any) -> tuple[int, ...] | None:
        """A tensor's shape without the batch; None if the batch is not its first dimension."""
        if not isinstance(value, torch.Tensor) or value.ndim < 1 or self._batches(value.shape[0]) != 1:
            return None
        for size in value.shape[1:]:
            if hasattr(size, "node"):  # symbolic
                if self._batches(size):
                    return None
                found = f"a dimension of size {size}"
                raise BadInput(self.where, found, "only the batch may vary", "Fix all others")
        return tuple(int(size) for size in value.shape[1:])

    def _batches(self, size: Any) -> int | None:
        """k for a size of k times the batch, None for a fixed size."""
        symbol, expression = (getattr(n, "node", None) for n in (self.batch, size))
        if symbol is None:
            return 1 if size == self.batch else None
        ratio = expression.expr / symbol.expr if expression is not None else None
        return int(ratio) if ratio is not None and ratio.is_Integer else None

    def _read_broadcasting(self, node: Node) -> bool:
        """Does every reader of an expanded tensor combine it with a full one, broadcasting anyway?"""
        origin = node.args[0]
        if origin not in self.values or node.meta["val"].ndim != origin.meta["val"].ndim:  # type: ignore[union-attr]
            return False
        shape = node.meta["val"].shape
        return all(
            packet(reader) in _BROADCASTING
            and any(n is not node and n.meta["val"].shape == shape for n in reader.all_input_nodes)
            for reader in node.users
        )
