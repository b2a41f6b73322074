"""Walks an ONNX model: each operator becomes nodes of a graph, a constant, or an island."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.load.onnx_call import Call, Placed
from smidgen.load.onnx_island import Cutting, fold, infer, needs
from smidgen.load.onnx_limits import FOLDED_BYTES, FOLDED_TIMES, declared_bytes
from smidgen.load.onnx_moves import MOVE_HANDLERS
from smidgen.load.onnx_recurrent import RECURRENT_HANDLERS
from smidgen.load.onnx_table import BATCH_ANYWHERE, HANDLERS
from smidgen.load.source import Constant, NotCaptured, Operand, Source, same_array
from smidgen.numerics import Array
from smidgen.units import format_bytes

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_RANDOM = (
    "RandomNormal",
    "RandomUniform",
    "RandomNormalLike",
    "RandomUniformLike",
    "Bernoulli",
    "Multinomial",
)
_BROADCASTING = ("Add", "Sub", "Mul", "Div")


class Walk:
    """One pass over a model whose batch size is taken to be `batch`.

    `values`: name in the file -> value in the graph, where `batch_axes` tells at which place, if not the
    first, the tensor in the file has the batch. `constants`: arrays known now; `of_batch`: those that
    depend on the batch size, as they would be for one sample more. A name in neither is deferred: the batch
    is not its first dimension, so that it can only live inside an island, which then holds its producer too.
    """

    def __init__(
        self,
        model: Any,
        name: str,
        shapes: Mapping[str, Sequence[int]],
        batch: int,
        batch_axes: Mapping[str, int],
    ) -> None:
        self.batch_axes = dict(batch_axes)
        self.model, self.where, self.shapes, self.batch = model, name, shapes, batch
        self.opset = max(o.version for o in model.opset_import if o.domain in ("", "ai.onnx"))
        self.source = Source(name)
        self.values: dict[str, str] = {}
        self.types: dict[str, int] = {}
        self.constants: dict[str, Array] = {}
        self.of_batch: dict[str, Array] = {}
        self.named: set[str] = set()
        self.producers: dict[str, Any] = {}
        self.folded_bytes = 0
        stored = sum(declared_bytes(tensor) for tensor in model.graph.initializer)
        self.most_folded_bytes = 2 * FOLDED_BYTES + FOLDED_TIMES * stored

    def run(self) -> Graph:
        graph = self.model.graph
        for tensor in graph.initializer:
            self.constants[tensor.name] = _array(tensor)
            self.named.add(tensor.name)
        for port in graph.input:
            if port.name not in self.constants:
                self.values[port.name] = self.source.input(port.name, self.shapes[port.name])
                self.types[port.name] = port.type.tensor_type.elem_type
        for node in graph.node:
            self._node(node)
        return self.source.graph([self._output(port.name) for port in graph.output])

    def _output(self, name: str) -> str:
        if name in self.values:
            return self.values[name]
        found = f"output {name} is a constant, or none of its dimensions is the batch"
        raise BadInput(self.where, found, "every output holds n samples")

    def _node(self, node: Any) -> None:
        self.producers.update({name: node for name in node.output if name})
        if self._sizes(node) or self._fold(node):
            return
        try:
            self._capture(node)
        except NotCaptured as why:
            self._island(node, why)

    def _sizes(self, node: Any) -> bool:
        """The shape of a value is known, but for the batch."""
        if node.op_type not in ("Shape", "Size") or node.input[0] not in self.values:
            return False
        full, attrs = list(self._full_shape(node.input[0])), _attributes(node)
        axis = self.batch_axes.get(node.input[0], 0)
        for batch, known in ((self.batch, self.constants), (self.batch + 1, self.of_batch)):
            shape = np.array([*full[:axis], batch, *full[axis + 1 :]], dtype=np.int64)
            part = shape[attrs.get("start", 0) : attrs.get("end")]
            known[node.output[0]] = part if node.op_type == "Shape" else shape.prod()
        return True

    def _fold(self, node: Any) -> bool:
        """Compute an operator on constants now."""
        read = needs(node)
        if node.op_type in _RANDOM or not all(name in self.constants for name in read):
            return False
        names = [name for name in node.output if name]
        opsets, more = self.model.opset_import, {**self.constants, **self.of_batch}
        try:
            arrays = fold(node, self.constants, opsets)
            others = fold(node, more, opsets) if any(name in self.of_batch for name in read) else arrays
        except Exception as problem:
            first = (str(problem).splitlines() or [type(problem).__name__])[0]
            raise BadInput(_label(node), f"{node.op_type} of constants fails ({first})") from problem
        self.constants.update(zip(names, arrays, strict=True))
        self.folded_bytes += sum(array.nbytes for array in arrays)
        if self.folded_bytes > self.most_folded_bytes:
            found = f"constants computed while loading take {format_bytes(self.folded_bytes)}"
            raise BadInput(self.where, found, f"{format_bytes(self.most_folded_bytes)} are allowed")
        if node.op_type in ("Constant", "Identity", "Cast", "Transpose"):
            self.named.update(names)
        pairs = zip(names, arrays, others, strict=True)
        self.of_batch.update({name: b for name, a, b in pairs if not same_array(a, b)})
        return True

    def _capture(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx") or node.op_type not in (*HANDLERS, "Expand"):
            raise NotCaptured(f"the graph has no operator for {node.op_type}")
        attrs, kind = _attributes(node), self._type(node)
        batch = self._batch_axis(node)
        inputs = [self._operand(name, node) for name in node.input]
        if node.op_type == "Expand":
            made: Any = self._expand(node)
        else:
            label, count = _label(node, inputs), len(node.output)
            call = Call(self.source, label, inputs, attrs, self.opset, self.batch, batch, count)
            made = HANDLERS[node.op_type](call)
        several = [made] if isinstance(made, (str, Placed)) else list(made)
        if any(self._is_read(name) for name in node.output[len(several) :] if name):
            raise NotCaptured(f"{node.op_type} with more than one result")
        for name, result in zip(node.output, several):
            value, axis = result if isinstance(result, Placed) else Placed(result, batch)
            self.values[name], self.types[name] = value, kind
            if axis:
                self.batch_axes[name] = axis

    def _type(self, node: Any) -> int:
        """The element type of the results. Raises NotCaptured for arithmetic on integers."""
        kinds = [self.types.get(name, TensorProto.FLOAT) for name in node.input]
        lookup = node.op_type == "Gather" and node.input[0] in self.constants
        if lookup:
            return int(helper.np_dtype_to_tensor_dtype(self.constants[node.input[0]].dtype))
        if node.op_type == "Cast":
            target = int(_attributes(node)["to"])
            if target not in _FLOATS and kinds[0] in _FLOATS:
                raise NotCaptured("a cast to integers", "Work on real numbers")
            return target
        if node.op_type not in MOVE_HANDLERS and any(kind not in _FLOATS for kind in kinds):
            raise NotCaptured("arithmetic on integers", "Work on real numbers")
        return int(kinds[0]) if kinds else int(TensorProto.FLOAT)

    def _batch_axis(self, node: Any) -> int:
        """Where the values that a node reads have the batch; counted from the end, in the same place."""
        values = [name for name in node.input if name in self.values]
        axes = [self.batch_axes.get(name, 0) for name in values]
        places = {axis - len(self._full_shape(name)) for axis, name in zip(axes, values, strict=True)}
        if len(places) > 1 and any(axes) and node.op_type not in RECURRENT_HANDLERS:
            raise NotCaptured(
                "it combines tensors with the batch in different places", "Keep the batch first"
            )
        if any(axes) and node.op_type not in BATCH_ANYWHERE:
            raise NotCaptured("it needs the batch as the first dimension", "Keep the batch first")
        return axes[0] if axes else 0

    def _expand(self, node: Any) -> str:
        """An expanded value whose readers broadcast anyway need not be expanded."""
        value, target = self.values.get(node.input[0]), self.constants.get(node.input[1])
        readers = [n for n in self.model.graph.node if node.output[0] in n.input]
        if value is None or target is None or not readers:
            raise NotCaptured("the graph has no operator for Expand")
        full = np.broadcast_shapes(self._full_shape(node.input[0]), tuple(target))
        for reader in readers:
            others = [n for n in reader.input if n != node.output[0]]
            known = [self._full_shape(n) == full for n in others if n in self.values]
            if reader.op_type not in _BROADCASTING or not any(known):
                raise NotCaptured("the graph has no operator for Expand", "Let the next operator broadcast")
        return value

    def _operand(self, name: str, node: Any) -> Operand | None:
        if not name:
            return None
        if name in self.values:
            return self.values[name]
        if name in self.constants:
            if name in self.of_batch and node.op_type not in ("Reshape", "Expand", *RECURRENT_HANDLERS):
                raise NotCaptured("it computes with the batch size", "Keep samples independent")
            named = name in self.named and not name.startswith(("onnx::", "/"))
            return Constant(self.constants[name], name if named else "")
        raise NotCaptured("it reads a tensor without a batch dimension", "Keep samples independent")

    def _is_read(self, name: str) -> bool:
        graph = self.model.graph
        return any(name in needs(node) for node in graph.node) or name in {p.name for p in graph.output}

    def _island(self, node: Any, why: NotCaptured) -> None:
        fixed = {name: array for name, array in self.constants.items() if name not in self.of_batch}
        cutting = Cutting(self._leads_with_batch, fixed, self.producers)
        try:
            cutting.add(node)
        except KeyError as moved:
            reason = f"{node.op_type} can't be captured ({why.reason}) nor cut out: {moved} has a moved batch"
            raise BadInput(_label(node), reason, "", why.remedy) from why
        outputs = [name for name in node.output if name and self._is_read(name)]
        if not cutting.inputs or not outputs:
            return  # deferred: it does not depend on the input, or nothing reads it
        ports = {
            name: (self.types.get(name, TensorProto.FLOAT), self._full_shape(name)) for name in cutting.inputs
        }
        try:
            found = infer(cutting.model(outputs, self.model.opset_import, ports), ports)
        except Exception as problem:
            reason = f"{node.op_type} can't be captured ({why.reason}), nor run by onnx"
            raise BadInput(_label(node), reason, "", why.remedy) from problem
        led = [
            (name, kind, shape[1:])
            for name, (kind, shape) in zip(outputs, found, strict=True)
            if len(shape) >= 1 and shape[0] == self.batch
        ]
        if not led:
            return  # deferred: its readers' islands will hold it
        names = [name for name, _, _ in led]
        free = {name: (kind, ("n", *shape[1:])) for name, (kind, shape) in ports.items()}
        made = self.source.island(
            [self.values[name] for name in cutting.inputs],
            [shape for _, _, shape in led],
            _label(node),
            kind="onnx",
            source=node.op_type,
            payload=cutting.model(names, self.model.opset_import, free).SerializeToString(),
            reason=why.reason,
            remedy=why.remedy,
        )
        self.values.update(zip(names, made, strict=True))
        self.types.update({name: kind for name, kind, _ in led})

    def _full_shape(self, name: str) -> tuple[int, ...]:
        shape = list(self.source.shape(self.values[name]))
        shape.insert(self.batch_axes.get(name, 0), self.batch)
        return tuple(shape)

    def _leads_with_batch(self, name: str) -> bool:
        return name in self.values and not self.batch_axes.get(name)


def _array(tensor: Any) -> Array:
    """The numbers of a stored tensor. Raises BadInput for one whose bytes do not fit what it says it is."""
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as problem:  # whatever bytes and types the onnx package stumbles over
        found = f"it can't be read ({type(problem).__name__}: {problem})"
        raise BadInput(f"weight {tensor.name}", found, "", "Export the model again") from problem


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _label(node: Any, inputs: Sequence[Operand | None] = ()) -> str:
    """The path of the layer where a weight tells it (`layer1.conv1.weight`), else the node's own name."""
    for operand in inputs:
        if isinstance(operand, Constant) and operand.name.endswith(".weight"):
            return operand.name.removesuffix(".weight")
    return (str(node.name) or str(node.output[0])).strip("/").replace("/", ".")
