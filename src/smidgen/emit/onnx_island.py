"""Puts an island that came from an ONNX file back into one: its payload is a small ONNX model."""

from __future__ import annotations

from typing import Any

import numpy as np

from smidgen.emit.emitter import Problem
from smidgen.emit.onnx_model import require_onnx
from smidgen.emit.onnx_writer import OPSET, OnnxWriter
from smidgen.graph import Node


def island_problems(node: Node) -> list[Problem]:
    """Why an island can't be embedded: another source, or other operator versions than the file's."""
    remedy = str(node.attrs["remedy"]) or "Replace the operator"
    if node.attrs["kind"] != "onnx":
        return [Problem(node.name, f"{node.attrs['source']} runs only in its source's runtime", remedy)]
    model = _payload(node)
    if model is None:
        return [Problem(node.name, "its payload is no self-contained ONNX model for its inputs", remedy)]
    versions = {opset.domain or "ai.onnx": opset.version for opset in model.opset_import}
    if versions != {"ai.onnx": OPSET}:
        listed = ", ".join(f"{domain} {version}" for domain, version in versions.items())
        fix = f"Save the source model with operator set {OPSET}"
        return [Problem(node.name, f"{node.attrs['source']} is written for {listed}, not {OPSET}", fix)]
    return []


def embed_island(w: OnnxWriter, node: Node, inputs: list[str]) -> list[str]:
    """Append the payload's operators; ONNX names of its float32 outputs."""
    import onnx

    model = _payload(node)
    assert model is not None, "island_problems lists what can't be read"
    prefix = w.unique(f"{node.name}.island") + "/"
    inner = onnx.compose.add_prefix(model, prefix).graph
    for given, own in zip(inputs, inner.input, strict=True):
        kind = own.type.tensor_type.elem_type
        w.nodes.append(onnx.helper.make_node("Cast", [given], [own.name], name=own.name, to=kind))
    w.nodes.extend(inner.node)
    w.initializers.extend(inner.initializer)
    return [
        w.cast(own.name, np.float32, f"{value}.value")
        for own, value in zip(inner.output, node.outputs, strict=True)
    ]


def _payload(node: Node) -> Any:
    """The island's model; None where the bytes are none, or one that does not fit the node."""
    require_onnx()
    import onnx
    from google.protobuf.message import DecodeError
    from onnx.external_data_helper import uses_external_data

    try:
        model = onnx.load_model_from_string(node.attrs["payload"])
    except DecodeError:
        return None
    inner = model.graph
    fits = len(inner.input) == len(node.inputs) and len(inner.output) == len(node.outputs)
    # A file that we write never makes a runtime open another one.
    return model if fits and not any(map(uses_external_data, inner.initializer)) else None
