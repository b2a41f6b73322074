"""How a test is put to smidgen, whose networks take batches of samples and own their parameters.

A node test hands everything to the operator as an input, weights and axes included, and often has no batch
axis. These are the ways tried, the first that is captured counts:

- as it is: the first axis of the inputs is the batch (the second for time-major recurrent layers); either
  all inputs are data, or the first is and the others are stored in the model, as exporters do;
- as samples: a batch axis is put in front of the test's tensors (see `lifting`), which then hold the same
  sample twice;
- on constants: all inputs are stored in the model, whose result is added to an input of zeros: what the
  loader computes itself while loading, as it does with the arithmetic of shapes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from benchmarks.conformance.cases import Case
from benchmarks.conformance.lifting import ELEMENTWISE, CannotLift, initializer, lifted, rebuilt
from smidgen.load.onnx_recurrent import RECURRENT_HANDLERS

AS_IT_IS, AS_SAMPLES, ON_CONSTANTS = "as it is", "as samples", "on constants"
COPIES = 2
ONE_TENSOR = frozenset({"Clip", "Trilu", "Dropout", "Binarizer", "CastLike"})  # others are parameters
ALL_TENSORS = (ELEMENTWISE - ONE_TENSOR) | {"Concat", "MatMul", "Einsum", "GatherElements"}


@dataclass(frozen=True, eq=False)
class Presentation:
    """A model with inputs in its own layout and outputs whose batch is first; `axes`: each input's batch."""

    how: str
    model: Any
    inputs: tuple[np.ndarray, ...]
    outputs: tuple[np.ndarray, ...]
    axes: tuple[int, ...]


def presentations(case: Case) -> Iterator[Presentation]:
    """All ways to present a case that fit it, in the order in which they are tried."""
    if not all(
        isinstance(a, np.ndarray) and a.dtype.kind not in "OUSc" for a in (*case.inputs, *case.outputs)
    ):
        return  # strings, sequences, optional and complex values
    for data in _data_sets(case):
        found = _as_it_is(case, data)
        if found is not None:
            yield found
    if case.op and len(case.model.graph.node) == 1:
        yield from _as_samples(case)
    yield from _on_constants(case)


def _data_sets(case: Case) -> Iterable[frozenset[int]]:
    """Which inputs are data, by position."""
    every = frozenset(range(len(case.inputs)))
    choices = [every, frozenset({0})]
    if case.op in RECURRENT_HANDLERS:
        names = list(case.model.graph.node[0].input)
        states = [i for i, port in enumerate(case.model.graph.input) if port.name in names[5:7]]
        choices = [frozenset({0, *states}), frozenset({0})]
    if case.op == "Gather":
        choices.append(frozenset({1}))
    return dict.fromkeys(choices) if case.inputs else ()


def _as_it_is(case: Case, data: frozenset[int]) -> Presentation | None:
    node = case.model.graph.node[0] if case.model.graph.node else None
    recurrent = case.op in RECURRENT_HANDLERS
    time_major = recurrent and not any(a.name == "layout" and a.i for a in node.attribute)
    axis = 1 if time_major else 0
    arrays = [case.inputs[i] for i in sorted(data)]
    if any(a.ndim <= axis for a in arrays):
        return None
    sizes = {a.shape[axis] for a in arrays}
    moved = [2 if time_major and name == node.output[0] else axis for name in _output_names(case)]
    fits = all(y.ndim > a and y.shape[a] in sizes for y, a in zip(case.outputs, moved, strict=True))
    if len(sizes) != 1 or not fits:
        return None
    expected = tuple(np.moveaxis(y, a, 0) for y, a in zip(case.outputs, moved, strict=True))
    return Presentation(AS_IT_IS, _bound(case, data), tuple(arrays), expected, (axis,) * len(arrays))


def _output_names(case: Case) -> list[str]:
    return [port.name for port in case.model.graph.output]


def _bound(case: Case, data: frozenset[int]) -> Any:
    """The model with all inputs but `data` stored in it."""
    model = onnx.ModelProto()
    model.CopyFrom(case.model)
    stored = {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in case.model.graph.input if port.name not in stored]
    kept = [port for i, port in enumerate(ports) if i in data]
    model.ir_version = max(model.ir_version, 4)  # before, all weights had to be inputs too
    del model.graph.input[:]
    model.graph.input.extend(kept)
    for index, port in enumerate(ports):
        if index not in data:
            model.graph.initializer.append(initializer(case.inputs[index], port.name))
    return model


def _as_samples(case: Case) -> Iterator[Presentation]:
    count = len(case.inputs)
    choices = [frozenset({0})]
    if case.op in ALL_TENSORS:
        choices.insert(0, frozenset(range(count)))
    made = (_in_front(case, data) for data in dict.fromkeys(choices))
    yield from (presentation for presentation in made if presentation is not None)


def _in_front(case: Case, data: frozenset[int]) -> Presentation | None:
    """The case with a batch axis of COPIES in front of the inputs at the positions `data`."""
    node, opset = case.model.graph.node[0], case.model.opset_import[0].version
    by_name = dict(zip((port.name for port in case.model.graph.input), case.inputs, strict=True))
    given = [by_name.get(name) for name in node.input]
    at = frozenset(i for i, name in enumerate(node.input) if name and _position(case, name) in data)
    try:
        lift = lifted(node, given, at, opset)
    except CannotLift:
        return None
    names = [f"in{i}" if array is not None else "" for i, array in enumerate(lift.inputs)]
    arrays = {i: np.stack([lift.inputs[i]] * COPIES) for i in sorted(at)}
    ports = [_port(names[i], array) for i, array in arrays.items()]
    stored = [
        initializer(array, names[i])
        for i, array in enumerate(lift.inputs)
        if array is not None and i not in arrays
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in _output_names(case)]
    for output, original in zip(outputs, case.model.graph.output, strict=True):
        output.type.tensor_type.elem_type = original.type.tensor_type.elem_type
    graph = helper.make_graph([rebuilt(lift, names)], case.name, ports, outputs, stored)
    expected = tuple(np.stack([y] * COPIES) for y in case.outputs)
    return Presentation(AS_SAMPLES, _model(graph, case), tuple(arrays.values()), expected, (0,) * len(arrays))


def _position(case: Case, name: str) -> int:
    return next((i for i, port in enumerate(case.model.graph.input) if port.name == name), -1)


def _on_constants(case: Case) -> Iterator[Presentation]:
    """All inputs stored, and the first result added to zeros."""
    if not case.outputs or case.outputs[0].size == 0 or not np.isfinite(case.outputs[0].astype(float)).all():
        return  # stored numbers are finite
    expected = np.atleast_1d(case.outputs[0])
    model = _bound(case, frozenset())
    first = model.graph.output[0].name
    model.graph.node.append(helper.make_node("Cast", [first], ["as_real"], to=TensorProto.FLOAT))
    model.graph.node.append(helper.make_node("Add", ["zeros", "as_real"], ["sum"]))
    zeros = np.zeros((COPIES, *expected.shape), dtype=np.float32)
    del model.graph.output[:]
    model.graph.input.append(_port("zeros", zeros))
    model.graph.output.append(helper.make_tensor_value_info("sum", TensorProto.FLOAT, None))
    yield Presentation(ON_CONSTANTS, model, (zeros,), (np.stack([expected] * COPIES),), (0,))


def _port(name: str, array: np.ndarray) -> Any:
    """An input whose batch size is open."""
    kind = helper.np_dtype_to_tensor_dtype(array.dtype)
    return helper.make_tensor_value_info(name, kind, ["n", *array.shape[1:]])


def _model(graph: Any, case: Case) -> Any:
    imports: Sequence[Any] = case.model.opset_import
    return helper.make_model(graph, opset_imports=imports, ir_version=case.model.ir_version)
