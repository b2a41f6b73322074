"""Walks an ONNX model: each operator becomes nodes of a graph, a constant, or an island."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from smidgen.errors import BadInput, first_line
from smidgen.formats import Grid
from smidgen.graph import Graph
from smidgen.load.arrange import expand
from smidgen.load.folded import Fold
from smidgen.load.grids import ON_GRID, grid_attrs
from smidgen.load.onnx_batch import aligned, settled
from smidgen.load.onnx_call import Call, Placed
from smidgen.load.onnx_elementwise import LOGIC_HANDLERS
from smidgen.load.onnx_file import OLDEST_OPSET, default_opset
from smidgen.load.onnx_folded import FoldedCall, plain, reshaped, target_shape, turned
from smidgen.load.onnx_island import Cutting, fold, needs
from smidgen.load.onnx_limits import FOLDED_BYTES, FOLDED_TIMES, declared_bytes
from smidgen.load.onnx_moves import MOVE_HANDLERS
from smidgen.load.onnx_probe import RANDOM, Result, probe, probe_one
from smidgen.load.onnx_qdq import DEQUANTIZE, QUANTIZE, fold_grid, stored_grid, value_grid
from smidgen.load.onnx_recurrent import RECURRENT_HANDLERS, batch_place
from smidgen.load.onnx_table import BATCH_ANYWHERE, HANDLERS
from smidgen.load.source import Constant, NotCaptured, Operand, Source, same_array
from smidgen.load.stored import StoredGrid
from smidgen.numerics import Array
from smidgen.units import format_bytes

_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
CAPTURED = frozenset({*HANDLERS, "Expand"})
_BROADCASTING = ("Add", "Sub", "Mul", "Div", "Where", "Max", "Min", *LOGIC_HANDLERS)
_SAME_NUMBERS = ("Identity", "Transpose", "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Cast")


class Walk:
    """One pass over a model whose batch size is taken to be `batch`.

    `values`: name in the file -> value in the graph, where `batch_axes` tells at which place, if not the
    first, the tensor in the file has the batch. `constants`: arrays known now; `of_batch`: those that
    depend on the batch size, as they would be for one sample more. A name in neither is deferred: the batch
    is not its first dimension, so that it can only live inside an island, which then holds its producer too.
    `stored`: constants that were integers, with their names then. `coded`: integers in the file whose value
    in the graph is what they stand for.
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
        self.opset = default_opset(model, OLDEST_OPSET)
        self.source = Source(name)
        self.values: dict[str, str] = {}
        self.types: dict[str, int] = {}
        self.constants: dict[str, Array] = {}
        self.of_batch: dict[str, Array] = {}
        self.folds: dict[str, Fold] = {}
        self.named: set[str] = set()
        self.stored: dict[str, tuple[str, StoredGrid]] = {}
        self.coded: dict[str, Grid] = {}
        self.producers: dict[str, Any] = {}
        self.nodes = list(model.graph.node)
        self.at = 0  # in `nodes`, the next one
        self.clipped = False  # an infinite constant has become a finite one
        self.folded_bytes = 0
        stored = sum(declared_bytes(tensor) for tensor in model.graph.initializer)
        self.most_folded_bytes = 2 * FOLDED_BYTES + FOLDED_TIMES * stored
        self.not_a_number = False  # one was left to an island, where its softmax may be NaN

    def run(self) -> Graph:
        graph = self.model.graph
        for sparse in graph.sparse_initializer:
            found = "it is stored as a sparse tensor"
            raise BadInput(f"weight {sparse.values.name}", found, "dense ones are read", "Store it dense")
        for tensor in graph.initializer:
            self.constants[tensor.name] = _array(tensor)
            self.named.add(tensor.name)
        for port in graph.input:
            if port.name not in self.constants:
                self.values[port.name] = self.source.input(port.name, self.shapes[port.name])
                self.types[port.name] = port.type.tensor_type.elem_type
        while self.at < len(self.nodes):
            self.at += 1
            self._node(self.nodes[self.at - 1])
        return self.source.graph([self._output(port.name) for port in graph.output])

    def _output(self, name: str) -> str:
        if name in self.values:
            return self.values[name]
        found = f"output {name} is a constant, or none of its dimensions is the batch"
        raise BadInput(self.where, found, "every output holds n samples")

    def _node(self, node: Any) -> None:
        if node.op_type == "CastLike" and node.input[1] in self.values:  # that its type is known is enough
            kind = self.types.get(node.input[1], TensorProto.FLOAT)
            node = helper.make_node("Cast", node.input[:1], node.output, name=node.name, to=kind)
        self.producers.update({name: node for name in node.output if name})
        if self._sizes(node) or self._fold(node) or self._branch(node):
            return
        infinite = any(not _finite(self.constants[name]) for name in node.input if name in self.constants)
        if self.clipped and (node.op_type == "IsInf" or (infinite and node.op_type in LOGIC_HANDLERS)):
            found = "it looks for infinity, which became the largest float32 in an operator before"
            raise BadInput(_label(node), found, "the graph's constants are finite", "Mask with large numbers")
        try:
            if self.not_a_number and node.op_type == "Where":
                raise NotCaptured("a choice that may keep NaN out", "Leave one entry in each row of a mask")
            if node.op_type in (QUANTIZE, DEQUANTIZE):
                self._on_grid(node)
            else:
                self._capture(node)
            self.clipped |= infinite
        except NotCaptured as why:
            self.not_a_number |= infinite
            self._island(node, why)

    def _branch(self, node: Any) -> bool:
        """If with a condition that is known: the nodes of its branch stand in its place."""
        known = node.op_type == "If" and node.input[0] in self.constants
        if not known or node.input[0] in self.of_batch:
            return False
        taken = "then_branch" if self.constants[node.input[0]].any() else "else_branch"
        (branch,) = (a.g for a in node.attribute if a.name == taken)
        self.constants.update({tensor.name: _array(tensor) for tensor in branch.initializer})
        pairs = zip(branch.output, node.output, strict=True)
        ends = [helper.make_node("Identity", [port.name], [name]) for port, name in pairs if name]
        self.nodes[self.at : self.at] = [*branch.node, *ends]
        return True

    def _on_grid(self, node: Any) -> None:
        """A value goes to the integers of a grid, or comes from there: the graph only notes the grid."""
        given, made = node.input[0], node.output[0]
        if given not in self.values:
            raise NotCaptured("it reads a tensor without a batch dimension", "Keep samples independent")
        grid = value_grid(node, self.constants, self.types[given])
        if node.op_type == DEQUANTIZE and given not in self.coded:
            self._integer_input(given, grid)
        if self.coded.get(given, grid) != grid:
            raise NotCaptured("it reads integers of another grid", "Quantize again")
        value = self.values[given]
        if given not in self.coded:
            value = self.source.op(ON_GRID, [value], _label(node), **grid_attrs(grid))
        self.values[made] = value
        self.types[made] = TensorProto.INT8 if node.op_type == QUANTIZE else TensorProto.FLOAT
        if node.op_type == QUANTIZE:
            self.coded[made] = grid
        if axis := self.batch_axes.get(given):
            self.batch_axes[made] = axis

    def _integer_input(self, name: str, grid: Grid) -> None:
        """An input that holds integers stands for real numbers, if everything reads it as those."""
        readers = [node for node in self.nodes if name in needs(node)]
        ports = {port.name for port in self.model.graph.input}
        same = all(
            node.op_type == DEQUANTIZE and value_grid(node, self.constants, self.types[name]) == grid
            for node in readers
        )
        if name not in ports or not same:
            raise NotCaptured("it reads integers that are computed", "Quantize with QuantizeLinear")

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
        if node.op_type in RANDOM or not all(name in self.constants for name in read):
            return False
        names = [name for name in node.output if name]
        opsets, more = self.model.opset_import, {**self.constants, **self.of_batch}
        try:
            if node.op_type in (QUANTIZE, DEQUANTIZE):
                self.constants[node.output[0]] = fold_grid(node, self.constants)
                self._note_grid(node)
                return True
            arrays = fold(node, self.constants, opsets)
            others = fold(node, more, opsets) if any(name in self.of_batch for name in read) else arrays
        except Exception as problem:
            raise BadInput(
                _label(node), f"{node.op_type} of constants fails ({first_line(problem)})"
            ) from problem
        self.constants.update(zip(names, arrays, strict=True))
        self.folded_bytes += sum(array.nbytes for array in arrays)
        if self.folded_bytes > self.most_folded_bytes:
            found = f"constants computed while loading take {format_bytes(self.folded_bytes)}"
            raise BadInput(self.where, found, f"{format_bytes(self.most_folded_bytes)} are allowed")
        if node.op_type in ("Constant", "Identity", "Cast", "Transpose"):
            self.named.update(names)
        self._note_grid(node)
        pairs = zip(names, arrays, others, strict=True)
        self.of_batch.update({name: b for name, a, b in pairs if not same_array(a, b)})
        return True

    def _note_grid(self, node: Any) -> None:
        """Where a folded constant was integers, and still has the same numbers."""
        given, made = (node.input[0] if node.input else ""), node.output[0]
        if node.op_type == DEQUANTIZE and (grid := stored_grid(node, self.constants)):
            self.stored[made] = given.removesuffix("_quantized") if given in self.named else "", grid
        elif node.op_type in _SAME_NUMBERS and given in self.stored:
            self.stored[made] = self.stored[given]

    def _capture(self, node: Any) -> None:
        if node.domain not in ("", "ai.onnx") or node.op_type not in CAPTURED:
            raise NotCaptured(f"the graph has no operator for {node.op_type}")
        attrs, kind = _attributes(node), self._type(node)
        batch = self._batch_axis(node)
        inputs = [self._operand(name, node) for name in node.input]
        if self._captured_folded(node, inputs, attrs, batch, kind):
            return
        if node.op_type == "Expand":
            made: Any = self._expand(node)
        else:
            label, count = _label(node, inputs), len(node.output)
            call = Call(self.source, label, inputs, attrs, self.opset, self.batch, batch, count)
            made = HANDLERS[node.op_type](call)
        several = [made] if isinstance(made, (str, Placed)) else list(made)
        if any(self._is_read(name) for name in node.output[len(several) :] if name):
            raise NotCaptured(f"{node.op_type} with more than one result")
        grids = {self.coded.get(name) for name in node.input if name in self.values}
        if len(grids) > 1:
            raise NotCaptured("it combines integers of several grids", "Quantize to one grid first")
        for name, result in zip(node.output, several):
            value, axis = result if isinstance(result, Placed) else Placed(result, batch)
            if (grid := next(iter(grids), None)) is not None:
                self.coded[name] = grid
            self.values[name], self.types[name] = value, kind
            if axis:
                self.batch_axes[name] = axis

    def _captured_folded(
        self, node: Any, inputs: Sequence[Operand | None], attrs: Mapping[str, Any], batch: int, kind: int
    ) -> bool:
        """An operator that reads or makes a tensor with a folded batch: see onnx_folded.py."""
        folds = {self.folds.get(name) for name in node.input if name in self.values}
        folded = next((fold for fold in folds if fold), None)
        label, axis = _label(node, inputs), batch if folded is None else folded.axis + 1
        common = (self.source, label, inputs, attrs, self.opset, self.batch, axis, len(node.output))
        after = folded
        if node.op_type == "Reshape" and (folded or not self._keeps_batch(Call(*common))):
            value, axis, after = reshaped(Call(*common), folded)
        elif folded is None:
            return False
        elif len(folds) > 1:
            raise NotCaptured("it combines tensors with different batches", "Keep the batch first")
        elif node.op_type == "Transpose":
            value, after = turned(Call(*common), folded)
        else:
            value = plain(FoldedCall(*common, folded), node.op_type, HANDLERS[node.op_type])
        self.values[node.output[0]], self.types[node.output[0]] = value, kind
        if after is not None:
            self.folds[node.output[0]] = after
        elif axis:
            self.batch_axes[node.output[0]] = axis
        return True

    def _keeps_batch(self, call: Call) -> bool:
        """Whether a reshape has the batch by itself in its result."""
        shape = list(call.source.shape(call.x))
        shape.insert(call.batch_axis, call.batch)
        return call.batch in target_shape(call, shape)

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
        compared = node.op_type in LOGIC_HANDLERS and TensorProto.BOOL not in kinds
        if compared or node.op_type in ("And", "Or", "Xor", "Not"):
            return int(TensorProto.BOOL)
        if node.op_type == "Where":
            kinds = kinds[1:]
        if node.op_type not in (*MOVE_HANDLERS, "MaxPool") and any(kind not in _FLOATS for kind in kinds):
            raise NotCaptured("arithmetic on integers", "Work on real numbers")
        return int(kinds[0]) if kinds else int(TensorProto.FLOAT)

    def _batch_axis(self, node: Any) -> int:
        """Where the values that a node reads have the batch; counted from the end, in the same place."""
        values = [name for name in node.input if name in self.values]
        if self.batch == 1 and not any(name in self.folds for name in values):
            self._settle_batch(node, values)
        axes = [self.batch_axes.get(name, 0) for name in values]
        places = {axis - len(self._full_shape(name)) for axis, name in zip(axes, values, strict=True)}
        if len(places) > 1 and any(axes) and node.op_type not in RECURRENT_HANDLERS:
            raise NotCaptured(
                "it combines tensors with the batch in different places", "Keep the batch first"
            )
        if any(axes) and node.op_type not in BATCH_ANYWHERE:
            raise NotCaptured("it needs the batch as the first dimension", "Keep the batch first")
        return axes[0] if axes else 0

    def _settle_batch(self, node: Any, values: Sequence[str]) -> None:
        """Choose the batch axis of tensors of a batch of one, where several places would do."""
        samples = [self.source.shape(self.values[name]) for name in values]
        axes = [self.batch_axes.get(name, 0) for name in values]
        if node.op_type in RECURRENT_HANDLERS:
            place = batch_place(_attributes(node))
            axes = [settled(sample, axis, place) for sample, axis in zip(samples, axes, strict=True)]
        elif node.op_type in BATCH_ANYWHERE:
            axes = aligned(samples, axes)
        else:
            axes = [settled(sample, axis, 0) for sample, axis in zip(samples, axes, strict=True)]
        self.batch_axes.update(zip(values, axes, strict=True))

    def _expand(self, node: Any) -> str | Placed:
        """An expanded value whose readers broadcast anyway need not be expanded."""
        value, target = self.values.get(node.input[0]), self.constants.get(node.input[1])
        readers = [n for n in self.nodes if node.output[0] in n.input]
        if value is None or target is None or not readers:
            raise NotCaptured("the graph has no operator for Expand")
        full = np.broadcast_shapes(self._full_shape(node.input[0]), tuple(int(n) for n in target))
        for reader in readers:
            others = [n for n in reader.input if n != node.output[0]]
            known = [self._full_shape(n) == full for n in others if n in self.values]
            if reader.op_type not in _BROADCASTING or not any(known):
                return self._repeated(node, value, full)
        return value

    def _repeated(self, node: Any, value: str, full: tuple[int, ...]) -> Placed:
        own, axis = self._full_shape(node.input[0]), self.batch_axes.get(node.input[0], 0)
        place = axis + len(full) - len(own)
        if full[place] != self.batch:
            raise NotCaptured("it repeats the samples of a batch", "Repeat another axis")
        sample = [n for i, n in enumerate(full) if i != place]
        return Placed(expand(self.source, value, sample, _label(node)), place)

    def _operand(self, name: str, node: Any) -> Operand | None:
        if not name:
            return None
        if name in self.values:
            return self.values[name]
        if name in self.constants:
            if name in self.of_batch and node.op_type not in (
                "Reshape",
                "Expand",
                "Resize",
                *RECURRENT_HANDLERS,
            ):
                raise NotCaptured("it computes with the batch size", "Keep samples independent")
            shown, grid = self.stored.get(name, (name if name in self.named else "", None))
            anonymous = shown.startswith(("onnx::", "/"))
            return Constant(self.constants[name], "" if anonymous else shown, grid)
        raise NotCaptured("it reads a tensor without a batch dimension", "Keep samples independent")

    def _is_read(self, name: str) -> bool:
        graph = self.model.graph
        return any(name in needs(node) for node in self.nodes) or name in {p.name for p in graph.output}

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
        self._cut_out(node, cutting, outputs, why)

    def _cut_out(self, node: Any, cutting: Cutting, outputs: Sequence[str], why: NotCaptured) -> None:
        """Append a cutting as an island with those outputs that hold one entry a sample.

        The others are deferred: their readers' islands will hold them.
        """
        try:
            size, results = self._probed(cutting, outputs)
        except NotCaptured as unfit:
            reason = f"{node.op_type} can't be captured ({why.reason}), nor kept as it is ({unfit.reason})"
            raise BadInput(_label(node), reason, "", unfit.remedy) from why
        led = {name: result for name, result in zip(outputs, results, strict=True) if result.leads}
        if not led:
            return
        made = self.source.island(
            [self.values[name] for name in cutting.inputs],
            [result.sample for result in led.values()],
            _label(node),
            kind="onnx",
            source=node.op_type,
            payload=self._model(cutting, list(led), size).SerializeToString(),
            reason=why.reason,
            remedy=why.remedy,
        )
        self.values.update(zip(led, made, strict=True))
        self.types.update({name: result.kind for name, result in led.items()})

    def _probed(self, cutting: Cutting, outputs: Sequence[str]) -> tuple[int | str, list[Result]]:
        """The batch sizes that a cutting takes ("n": any), and its outputs. Raises NotCaptured.

        In a file for one sample, what works across samples or on one only is run on one at a time.
        """
        samples = self._ports(cutting)
        try:
            return "n", probe(self._model(cutting, outputs, "n"), samples)
        except NotCaptured:
            if self.batch != 1:
                raise
            return 1, probe_one(self._model(cutting, outputs, 1), samples)

    def _model(self, cutting: Cutting, outputs: Sequence[str], size: int | str) -> Any:
        ports = {name: (kind, (size, *shape)) for name, (kind, shape) in self._ports(cutting).items()}
        return cutting.model(outputs, self.model.opset_import, ports)

    def _ports(self, cutting: Cutting) -> dict[str, tuple[int, tuple[int, ...]]]:
        """Element type and shape of one sample of each input."""
        return {
            name: (self.types.get(name, TensorProto.FLOAT), self._full_shape(name)[1:])
            for name in cutting.inputs
        }

    def _full_shape(self, name: str) -> tuple[int, ...]:
        shape = list(self.source.shape(self.values[name]))
        if name in self.folds:
            shape[self.folds[name].axis] *= self.batch
            return tuple(shape)
        shape.insert(self.batch_axes.get(name, 0), self.batch)
        return tuple(shape)

    def _leads_with_batch(self, name: str) -> bool:
        if name in self.folds or name in self.coded:
            return False
        return name in self.values and not self.batch_axes.get(name)


def _array(tensor: Any) -> Array:
    """The numbers of a stored tensor. Raises BadInput for one whose bytes do not fit what it says it is."""
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except Exception as problem:  # whatever bytes and types the onnx package stumbles over
        found = f"it can't be read ({type(problem).__name__}: {problem})"
        raise BadInput(f"weight {tensor.name}", found, "", "Export the model again") from problem


def _finite(array: Array) -> bool:
    return array.dtype.kind != "f" or bool(np.isfinite(array).all())


def _attributes(node: Any) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _label(node: Any, inputs: Sequence[Operand | None] = ()) -> str:
    """The path of the layer where a weight tells it (`layer1.conv1.weight`), else the node's own name."""
    for operand in inputs:
        if isinstance(operand, Constant) and operand.name.endswith(".weight"):
            return operand.name.removesuffix(".weight")
    return (str(node.name) or str(node.output[0])).strip("/").replace("/", ".")
