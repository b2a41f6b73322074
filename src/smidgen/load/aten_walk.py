"""Walks an exported program: each ATen operator becomes nodes of a graph, a constant, or an island."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export.graph_signature import InputKind
from torch.fx import Node

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load.aten_call import Call
from smidgen.load.aten_elementwise import COMPARISONS, LOGIC_HANDLERS
from smidgen.load.aten_folded import (
    PRODUCTS,
    TURNS,
    VIEWS,
    FoldedCall,
    folded_plain,
    folded_product,
    turn_of,
)
from smidgen.load.aten_island import IslandWriter
from smidgen.load.aten_moves import MOVES
from smidgen.load.aten_recurrent import RECURRENT_HANDLERS
from smidgen.load.aten_table import BATCH_ANYWHERE, HANDLERS
from smidgen.load.folded import Fold, folded_turn, folded_view
from smidgen.load.fx_nodes import items, label, packet
from smidgen.load.source import Constant, NotCaptured, Source

_MOVES = ("alias", "clone", "contiguous", "detach", "lift_fresh_copy", "permute", "t", "transpose", "view")
_FILLS = {"zeros": 0.0, "zeros_like": 0.0, "new_zeros": 0.0, "ones": 1.0, "ones_like": 1.0, "new_ones": 1.0}
_BROADCASTING = ("add", "sub", "mul", "rsub", "div", "where", "maximum", "minimum", *LOGIC_HANDLERS)


class Walk:
    """Turns an exported program's operators, one after another, into nodes of a graph.

    `values`: fx node -> its value in the graph, or a list of such for a tuple. Wherever a tensor has its
    batch axis, the graph's value is the same sample without it. `tensors`: constants; `fills`: tensors of
    one number throughout whose size depends on the batch's. A node in none of them is deferred: it has no
    batch axis, so it can only live inside an island.
    """

    def __init__(self, program: ExportedProgram, name: str) -> None:
        self.program, self.where = program.run_decompositions({}), name  # functional, else as exported
        self.source = Source(name)
        self.values: dict[Node, Any] = {}
        self.tensors: dict[Node, torch.Tensor] = {}
        self.fills: dict[Node, float] = {}
        self.names: dict[Node, str] = {}
        self.folds: dict[Node, Fold] = {}
        self.batch: Any = self._batch_size()

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
        shape = self._sample_shape(value)
        if shape is None:
            found = f"none of its dimensions {[str(n) for n in value.shape]} is the batch"
            raise BadInput(f"input {node.name}", found, f"the batch is {self.batch}")
        self.values[node] = self.source.input(node.name, shape)

    def _batch_size(self) -> Any:
        """The first size of an input that is left open, else the first dimension of the first input."""
        signature = {
            s.arg.name for s in self.program.graph_signature.input_specs if s.kind is InputKind.USER_INPUT
        }
        ports = [
            n.meta.get("val")
            for n in self.program.graph.nodes
            if n.op == "placeholder" and n.name in signature
        ]
        sizes = [size for port in ports if isinstance(port, torch.Tensor) for size in port.shape]
        firsts = [port.shape[0] for port in ports if isinstance(port, torch.Tensor) and port.ndim]
        return next((n for n in sizes if hasattr(n, "node")), firsts[0] if firsts else None)

    def _results(self) -> Sequence[Any]:
        (output,) = (node for node in self.program.graph.nodes if node.op == "output")
        results = output.args[0]
        return list(results) if isinstance(results, (list, tuple)) else [results]

    def _output(self, node: Any) -> str:
        value = self.values.get(node) if isinstance(node, Node) else None
        if not isinstance(value, str):
            found = f"output {node} is a constant, or none of its dimensions is the batch"
            raise BadInput(self.where, found, "every output holds n samples", "Return only such tensors")
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
        if value is None or self._fold(node) or self._fill(node):
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

    def _fill(self, node: Node) -> bool:
        """A tensor of equal numbers, as many as the batch asks for: made so, or moved from one."""
        operator_name = packet(node)
        if operator_name in _FILLS and isinstance(node.meta["val"], torch.Tensor):
            self.fills[node] = _FILLS[operator_name]
            return True
        origins = node.all_input_nodes[:1]
        same = operator_name in (*MOVES, "to", "_to_copy", "expand") and operator_name not in ("cat", "stack")
        if same and origins and origins[0] in self.fills and isinstance(node.meta["val"], torch.Tensor):
            self.fills[node] = self.fills[origins[0]]
            return True
        return False

    def _capture(self, node: Node) -> None:
        operator_name, value = packet(node), node.meta["val"]
        first = value[0] if isinstance(value, (list, tuple)) else value
        shape = self._sample_shape(first)
        folded = shape is None and self._fold_axis(first) is not None
        if folded or any(n in self.folds for n in node.all_input_nodes):
            self._capture_folded(node, first)
            return
        if operator_name in ("expand", "expand_as") and self._read_broadcasting(node):
            self.values[node] = self.values[node.args[0]]  # type: ignore[index]
            return
        if operator_name not in HANDLERS or not _is_expressible(operator_name, node, first):
            raise NotCaptured(f"the graph has no operator for {operator_name}")
        if shape is None:
            raise NotCaptured("it mixes the batch with another dimension", "Keep samples independent")
        made = HANDLERS[operator_name](self._bound(node, shape))
        several = [made] if isinstance(made, str) else list(made)
        if isinstance(value, (list, tuple)) and max(items(node), default=0) >= len(several):
            raise NotCaptured(f"{operator_name} with more than one result")
        for tensor, name in zip(value if isinstance(value, (list, tuple)) else [value], several):
            if self.source.shape(name) != self._sample_shape(tensor):
                found = f"{self._sample_shape(tensor)} of {self.source.shape(name)}"
                raise NotCaptured(f"its broadcasting makes {found}")
        self.values[node] = several if isinstance(value, (list, tuple)) else several[0]

    def _capture_folded(self, node: Node, made: torch.Tensor) -> None:
        """An operator that reads or makes a tensor with a folded batch: see aten_folded.py."""
        name, source = packet(node), self.source
        origin = next((n for n in node.all_input_nodes if n in self.values), None)
        if origin is None or (name not in HANDLERS and name not in PRODUCTS):
            raise NotCaptured("it mixes the batch with another dimension", "Keep samples independent")
        x, fold = self.values[origin], self.folds.get(origin)
        if name in VIEWS:
            shape, axis, whole = self._batch_once(made)
            value = origin.meta["val"]
            place = self._batch_axis(value) if fold is None else fold.axis
            before = math.prod(source.shape(x)[:place]) * (1 if fold is None else fold.before)
            result, after = folded_view(source, x, before, shape, axis, label(node), whole)
        else:
            call = self._folded_call(node, fold)
            folds = [self.folds[n] for n in node.all_input_nodes if n in self.folds]
            if name in TURNS:
                perm = turn_of(name, call.args, source.rank(x))
                result, after = folded_turn(source, x, call.fold, perm, call.name)
            elif name in PRODUCTS:
                result, after = folded_product(call, name, folds), call.fold
            else:
                plain = [n for n in node.all_input_nodes if n in self.values and n not in self.folds]
                if len(set(folds)) > 1 or plain:
                    raise NotCaptured("it combines tensors with different batches", "Keep the batch first")
                result, after = folded_plain(call, name, HANDLERS[name]), call.fold
        self.values[node] = result
        if after is not None:
            self.folds[node] = after

    def _folded_call(self, node: Node, fold: Fold | None) -> FoldedCall:
        if fold is None:
            raise NotCaptured("it mixes the batch with another dimension", "Keep samples independent")
        schema = node.target._schema.arguments  # type: ignore[union-attr]
        given = {a.name: v for a, v in zip(schema, node.args)} | dict(node.kwargs)
        bound = {a.name: self._resolve(given.get(a.name, a.default_value)) for a in schema}
        text = {a.name: v for a in schema if isinstance(v := given.get(a.name, a.default_value), str)}
        return FoldedCall(self.source, label(node), bound, (), text, {"self": 0}, 0, fold)

    def _bound(self, node: Node, shape: tuple[int, ...]) -> Call:
        """The call's arguments by schema name, defaults filled in."""
        schema = node.target._schema.arguments  # type: ignore[union-attr]
        given = {a.name: v for a, v in zip(schema, node.args)} | dict(node.kwargs)
        bound = {a.name: self._resolve(given.get(a.name, a.default_value)) for a in schema}
        text = {a.name: v for a in schema if isinstance(v := given.get(a.name, a.default_value), str)}
        axes = {a.name: self._axes(given.get(a.name)) for a in schema if self._axes(given.get(a.name))}
        places = {axis - rank for found in axes.values() for axis, rank in found}
        name = packet(node)
        if name not in RECURRENT_HANDLERS and len(places) > 1:
            raise NotCaptured(
                "it combines tensors with the batch in different places", "Keep the batch first"
            )
        if name not in BATCH_ANYWHERE and any(axis for found in axes.values() for axis, _ in found):
            raise NotCaptured("it needs the batch as the first dimension", "Keep the batch first")
        if not axes:
            raise NotCaptured("an operation on a constant")
        first = {key: found[0][0] for key, found in axes.items()}
        value = node.meta["val"]
        out = self._batch_axis(value[0] if isinstance(value, (list, tuple)) else value)
        return Call(self.source, label(node), bound, shape, text, first, 0 if out is None else out)

    def _axes(self, argument: Any) -> list[tuple[int, int]]:
        """(batch axis, rank) of the values in an argument."""
        nodes = argument if isinstance(argument, (list, tuple)) else [argument]
        tensors = [n.meta["val"] for n in nodes if isinstance(n, Node) and n in self.values]
        return [(self._batch_axis(t), t.ndim) for t in tensors]  # type: ignore[misc]  # values have one

    def _resolve(self, argument: Any) -> Any:
        if isinstance(argument, (list, tuple)):
            return [self._resolve(a) for a in argument]
        if not isinstance(argument, Node):
            return argument
        if argument in self.tensors:
            tensor = self.tensors[argument]
            array = tensor if tensor.dtype == torch.bool else tensor.to(torch.float32)
            return Constant(array.numpy(), self._stored_name(argument))
        if argument in self.values:
            return self.values[argument]
        if argument in self.fills:
            shape = [1 if hasattr(n, "node") else n for n in argument.meta["val"].shape]
            return Constant(np.full(shape, self.fills[argument], np.float32))
        if isinstance(argument.meta.get("val"), (int, torch.SymInt)):
            return None  # a size: the output's shape says the same
        raise NotCaptured("it reads a tensor without a batch dimension", "Keep samples independent")

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
        tensors = [value[i] for i in read] if several else [value]
        shapes = [self._sample_shape(tensor) for tensor in tensors]
        if not shapes or any(shape is None for shape in shapes):
            return  # nothing reads it, or it is deferred
        whole = {n: value for n, value in self.values.items() if n not in self.folds}
        writer = IslandWriter(whole, self.tensors, self._batches, self._batch_axis)
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
        """A tensor's shape without the batch; None if it has no batch axis."""
        axis = self._batch_axis(value)
        return None if axis is None else tuple(int(n) for i, n in enumerate(value.shape) if i != axis)

    def _batch_axis(self, value: Any) -> int | None:
        """Which dimension of a tensor is the batch; None if none is, or several are."""
        if not isinstance(value, torch.Tensor) or value.ndim < 1:
            return None
        if not hasattr(self.batch, "node"):
            return 0 if value.shape[0] == self.batch else None
        open_axes = [axis for axis, size in enumerate(value.shape) if hasattr(size, "node")]
        for axis in open_axes:
            if self._batches(value.shape[axis]) is None:
                found = f"a dimension of size {value.shape[axis]}"
                raise BadInput(self.where, found, "only the batch may vary", "Fix all others")
        whole = len(open_axes) == 1 and self._batches(value.shape[open_axes[0]]) == 1
        return open_axes[0] if whole else None

    def _fold_axis(self, value: Any) -> int | None:
        """The dimension of a tensor that is the batch together with other axes."""
        if not isinstance(value, torch.Tensor) or not hasattr(self.batch, "node"):
            return None
        open_axes = [axis for axis, size in enumerate(value.shape) if hasattr(size, "node")]
        if len(open_axes) != 1 or not (self._batches(value.shape[open_axes[0]]) or 0) > 1:
            return None
        return open_axes[0]

    def _batch_once(self, value: torch.Tensor) -> tuple[list[int], int, bool]:
        """A tensor's shape with a batch of one, where the batch is, and whether it is alone there."""
        axis, folded = self._batch_axis(value), self._fold_axis(value)
        place = folded if axis is None else axis
        if place is None:
            raise NotCaptured("it reads a tensor without a batch dimension", "Keep samples independent")
        sizes = [int(n) if i != place else self._batches(n) or 1 for i, n in enumerate(value.shape)]
        return sizes, place, axis is not None

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


def _is_expressible(operator_name: str, node: Node, made: torch.Tensor) -> bool:
    """Real numbers, truth values out of comparisons and logic, or elements that only move."""
    is_truth = made.dtype is torch.bool and operator_name in (*LOGIC_HANDLERS, "where", "masked_fill")
    if is_truth and operator_name not in COMPARISONS:
        is_truth = all(n.meta["val"].dtype is torch.bool for n in node.all_input_nodes)
    return made.is_floating_point() or operator_name in MOVES or is_truth
