"""The standard tests that ship inside the `onnx` package: models with inputs and expected outputs."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper, version_converter

from smidgen.load.onnx_file import OLDEST_OPSET

DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
FOLDERS = ("simple", "pytorch-operator", "pytorch-converted")
LIGHT = "light"
NOT_CONVERTED = frozenset({"Scan"})  # set 8 counted a batch axis; the converter does not take it away


@dataclass(frozen=True, eq=False)
class Case:
    """One test: a model, its inputs and the outputs it must give (arrays; lists and None for other types).

    `op` is the operator a node test is about ("" for a model of many); `converted_from` the operator set of
    the original where the model had to be converted to a set that is read.
    """

    name: str
    kind: str
    op: str
    model: Any
    inputs: Sequence[Any]
    outputs: Sequence[Any]
    converted_from: int = 0

    @property
    def ops(self) -> frozenset[str]:
        """Operators in the main graph, with their domain where it is not the standard one."""
        return frozenset(operator(node) for node in self.model.graph.node)


def operator(node: Any) -> str:
    """The operator's name, with its domain where it is not the standard one."""
    return node.op_type if node.domain in ("", "ai.onnx") else f"{node.domain}.{node.op_type}"


def node_cases() -> list[Case]:
    """The tests that onnx generates for each operator, with its own seed."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # expected values of tests of overflow
        found = collect_testcases(None)
    return sorted((_node_case(test) for test in found), key=lambda case: case.name)


def _node_case(test: Any) -> Case:
    inputs, outputs = test.data_sets[0]
    nodes = test.model.graph.node
    op = operator(nodes[0]) if len(nodes) == 1 else ""
    return _converted(Case(test.name, "node", op, test.model, _arrays(inputs), _arrays(outputs)))


def model_cases() -> list[Case]:
    """The models stored with small data."""
    return [_model_case(kind, folder) for kind in FOLDERS for folder in sorted((DATA / kind).iterdir())]


def light_cases() -> Iterator[Case]:
    """Well-known image networks with made-up weights, one at a time: they are large."""
    for path in sorted((DATA / LIGHT).glob("*.onnx")):
        model = onnx.load(str(path))
        stored = {tensor.name for tensor in model.graph.initializer}
        ports = [port for port in model.graph.input if port.name not in stored]
        inputs = [_ramp(port) for port in ports]
        outputs = [_tensor(path.with_name(f"{path.stem}_output_0.pb"), model.graph.output[0])]
        yield _converted(Case(path.stem, LIGHT, "", model, inputs, outputs))


def _ramp(port: Any) -> np.ndarray:
    """What onnx's own runner feeds these models: 0 to 1 in equal steps."""
    shape = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
    count = int(np.prod(shape))
    return (np.arange(count).reshape(shape) / count).astype(np.float32)


def _model_case(kind: str, folder: Path) -> Case:
    model = onnx.load(str(folder / "model.onnx"))
    stored = {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in model.graph.input if port.name not in stored]
    data = folder / "test_data_set_0"
    inputs = [_tensor(data / f"input_{i}.pb", port) for i, port in enumerate(ports)]
    outputs = [_tensor(data / f"output_{i}.pb", port) for i, port in enumerate(model.graph.output)]
    return _converted(Case(folder.name, kind, "", model, inputs, outputs))


def _tensor(path: Path, port: Any) -> Any:
    """The array in a file; None where the test holds something other than a tensor."""
    if not path.exists() or not port.type.HasField("tensor_type"):
        return None
    return numpy_helper.to_array(onnx.load_tensor(str(path)))


def _converted(case: Case) -> Case:
    """The case with its model in the oldest operator set that is read, converted by onnx where need be."""
    version = max(
        (o.version for o in case.model.opset_import if o.domain in ("", "ai.onnx")), default=OLDEST_OPSET
    )
    if version >= OLDEST_OPSET or any(node.op_type in NOT_CONVERTED for node in case.model.graph.node):
        return case
    try:
        model = version_converter.convert_version(case.model, OLDEST_OPSET)
    except Exception:
        return case  # smidgen will say that the operator set is too old
    return Case(case.name, case.kind, case.op, model, case.inputs, case.outputs, version)


def _arrays(items: Sequence[Any]) -> list[Any]:
    return [_array(item) for item in items]


def _array(item: Any) -> Any:
    if isinstance(item, onnx.TensorProto):
        return numpy_helper.to_array(item)
    return np.asarray(item) if isinstance(item, (np.generic, int, float)) else item
