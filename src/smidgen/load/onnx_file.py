"""Reads an ONNX file with suspicion: it may be no model, too new, broken, or point at files elsewhere."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
import onnx.inliner
from onnx.external_data_helper import load_external_data_for_tensor, uses_external_data

from smidgen.errors import BadInput, first_line
from smidgen.files import read_bytes
from smidgen.load.onnx_integers import spelled_out
from smidgen.load.onnx_limits import check_declared, check_functions, declared_bytes

OLDEST_OPSET = 11
FREE_INITIALIZERS = 4  # the oldest file version whose weights need not be inputs too


def read_model(path: Path) -> Any:
    """The checked ModelProto of a file, external weights loaded and local functions inlined.

    Raises:
        BadInput: not ONNX, invalid, an operator set outside 11 to the installed onnx's newest, or weights
            in a file outside the model's folder.
    """
    data = read_bytes(path)
    try:
        model = onnx.load_model_from_string(data)
    except Exception as problem:
        raise BadInput(str(path), f"not an ONNX model ({first_line(problem)})") from problem
    if not model.graph.output:
        raise BadInput(str(path), "not an ONNX model (it has no outputs)")
    _check_opset(path, model)
    check_declared(path, list(_tensors(model.graph)))
    check_functions(path, model)
    for tensor in _tensors(model.graph):
        if uses_external_data(tensor):
            _load_external(path, tensor)
    # onnx.version_converter leaves the old number while it adds weights that are no inputs.
    model.ir_version = max(model.ir_version, FREE_INITIALIZERS)
    for port in model.graph.output:
        port.type.tensor_type.shape.SetInParent()  # unknown to runtimes, but the checker needs it
    try:
        onnx.checker.check_model(model)
        return spelled_out(onnx.inliner.inline_local_functions(model) if model.functions else model)
    except Exception as problem:
        raise BadInput(str(path), f"an invalid ONNX model ({first_line(problem)})") from problem


def _check_opset(path: Path, model: Any) -> None:
    newest = onnx.defs.onnx_opset_version()
    version = default_opset(model, newest)
    if not OLDEST_OPSET <= version <= newest:
        remedy = "Update the onnx package" if version > newest else "Convert it with onnx.version_converter"
        raise BadInput(str(path), f"operator set {version}", f"{OLDEST_OPSET} to {newest} are read", remedy)


def default_opset(model: Any, absent: int) -> int:
    """The version of the standard operators; `absent` where a file uses none."""
    return max((int(o.version) for o in model.opset_import if o.domain in ("", "ai.onnx")), default=absent)


def _tensors(graph: Any) -> Iterator[Any]:
    """All stored tensors of a graph, those in attributes and subgraphs included."""
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for subgraph in (attribute.g, *attribute.graphs):
                yield from _tensors(subgraph)


def _load_external(path: Path, tensor: Any) -> None:
    location = next((entry.value for entry in tensor.external_data if entry.key == "location"), "")
    folder = path.resolve().parent
    target = (folder / location).resolve()
    if not location or Path(location).is_absolute() or not target.is_relative_to(folder):
        raise BadInput(
            str(path),
            f"the weight {tensor.name} is stored in {location!r}",
            "weights must lie in the model's own folder",
        )
    needed, here = declared_bytes(tensor), target.stat().st_size if target.is_file() else 0
    length = next((entry.value for entry in tensor.external_data if entry.key == "length"), "")
    if target.is_file() and (needed > here or (length and length != str(needed))):
        found = f"the weight {tensor.name} takes {needed} bytes, {length or here} of {location!r} are named"
        raise BadInput(str(path), found, "", "Export the model again")
    if not target.is_file():
        raise BadInput(
            str(path), f"the weight file {location!r} does not exist", "", "Put it beside the model"
        )
    try:
        load_external_data_for_tensor(tensor, str(folder))
    except Exception as problem:
        raise BadInput(
            str(path), f"the weight {tensor.name} can't be read ({first_line(problem)})"
        ) from problem
    tensor.data_location = onnx.TensorProto.DEFAULT
    del tensor.external_data[:]
