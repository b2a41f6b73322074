"""Writes an integer graph as an ONNX model: ports, nodes by the rules of `onnx_products`, metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.emit.onnx_ops import dequantize, quantize
from smidgen.emit.onnx_products import ALL_RULES
from smidgen.emit.onnx_scan import at_rest, write_scan
from smidgen.emit.onnx_site import Site, bias_of, grid_of
from smidgen.emit.onnx_writer import IR_VERSION, OPSET, OnnxWriter, carried_type
from smidgen.errors import MissingExtra
from smidgen.graph import Graph, Node, Value
from smidgen.graph.planner import CONSTANTS
from smidgen.graph.scan import body_of, states_of
from smidgen.numerics import NUMERICS_VERSION
from smidgen.run.reference import executable


def to_model(graph: Graph, float_boundary: bool = False) -> Any:
    """The graph as an `onnx.ModelProto`, without checking that it can be expressed."""
    require_onnx()
    w = OnnxWriter()
    names: dict[str, str] = {}
    inputs = [_input(w, graph, name, names, float_boundary) for name in graph.inputs]
    count_samples(w, graph, inputs)
    _write_nodes(w, graph, names)
    outputs = [_output(w, graph, name, names[name], float_boundary) for name in graph.outputs]
    return finished(w, graph, inputs, outputs, "exact")


def require_onnx() -> None:
    """Raise MissingExtra unless the package onnx is installed."""
    try:
        import onnx  # noqa: F401
    except ImportError as missing:
        raise MissingExtra("ONNX export", "onnx", "compress") from missing


def finished(w: OnnxWriter, graph: Graph, inputs: list[Any], outputs: list[Any], flavour: str) -> Any:
    """What was written, between ports, as an `onnx.ModelProto` with metadata."""
    import onnx

    onnx_graph = onnx.helper.make_graph(w.nodes, graph.name, inputs, outputs, w.initializers)
    opset = onnx.helper.make_opsetid("", OPSET)
    model = onnx.helper.make_model(
        onnx_graph, opset_imports=[opset], ir_version=IR_VERSION, producer_name="smidgen"
    )
    onnx.helper.set_model_props(model, _metadata(graph, flavour))
    return model


def count_samples(w: OnnxWriter, graph: Graph, inputs: list[Any]) -> None:
    """Let the writer know the size of the batch, where constants need it."""
    if any(node.op in CONSTANTS for node in graph.walk()):
        w.count_samples(inputs[0].name)


def _write_nodes(w: OnnxWriter, graph: Graph, names: dict[str, str]) -> None:
    """Append all nodes of a graph or body; `names` (ONNX names by value) grows."""
    for node in graph.nodes:
        if node.op == "q.scan":
            names.update(zip(node.outputs, _scan(w, graph, node, names), strict=True))
        elif node.op != "q.decode":  # its consumers hold the integers
            names[node.output] = _write(w, graph, node, names)


def _scan(w: OnnxWriter, graph: Graph, node: Node, names: Mapping[str, str]) -> tuple[str, ...]:
    body = body_of(node, graph.weights)

    def write_body(inner: OnnxWriter, given: Mapping[str, str]) -> Mapping[str, str]:
        found = dict(given)
        _write_nodes(inner, body, found)
        return found

    x, *starts = (names[name] for name in node.inputs)
    for state in states_of(node)[len(starts) :]:
        value = body.values[state]
        grid = grid_of(value)
        rest = carried_type(bias_of(grid))(grid.zero + bias_of(grid))
        starts.append(at_rest(w, x, value.shape, rest, f"{state}.rest"))
    return write_scan(w, node, x, starts, write_body, lambda value: carried_type(bias_of(grid_of(value))))


def _write(w: OnnxWriter, graph: Graph, node: Node, names: dict[str, str]) -> str:
    weights = {role: executable(graph.weights[name]) for role, name in node.params.items()}
    data = node.inputs
    if node.op in ("q.linear", "q.conv"):
        stored = stored_weight(graph, node)
        assert stored is not None, "check() lists products without a stored weight"
        weights["weight"], data = executable(graph.weights[stored]), node.inputs[:1]
    site = Site(
        node,
        weights,
        tuple(graph.values[name] for name in data),
        graph.values[node.output],
        tuple(names[name] for name in data),
        f"{node.output}.bytes",
    )
    return ALL_RULES[node.op](w, site)


def port(name: str, value: Value, dtype: str) -> Any:
    """The declaration of an input or output [n, ...]."""
    import onnx

    kind = onnx.helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    return onnx.helper.make_tensor_value_info(name, kind, ["n", *value.shape])


def _input(w: OnnxWriter, graph: Graph, name: str, names: dict[str, str], float_boundary: bool) -> Any:
    value = graph.values[name]
    given, inner = w.unique(name), f"{name}.bytes"
    if value.dtype == "float32":
        names[name] = given
        return port(given, value, "float32")
    if float_boundary:
        names[name] = quantize(w, given, grid_of(value), inner)
        return port(given, value, "float32")
    bias = bias_of(grid_of(value))
    raised = w.op("Add", [w.cast(given, np.int32, f"{inner}.wide"), _bias(w, bias)], f"{inner}.raised")
    names[name] = w.cast(raised, carried_type(bias), inner)
    return port(given, value, value.dtype)


def _output(w: OnnxWriter, graph: Graph, name: str, inner: str, float_boundary: bool) -> Any:
    """Turn the computed value into an output of the file, called `name` unless an input has that name."""
    value = graph.values[name]
    if value.dtype == "float32":
        made = w.op("Identity", [inner], name)
    elif float_boundary:
        made = dequantize(w, inner, grid_of(value), name)
    else:
        bias = _bias(w, bias_of(grid_of(value)))
        lowered = w.op("Sub", [w.cast(inner, np.int32, f"{name}.wide"), bias], f"{name}.lowered")
        made = w.cast(lowered, value.dtype, name)
    dtype = "float32" if float_boundary else value.dtype
    return port(made, value, dtype)


def _bias(w: OnnxWriter, bias: int) -> str:
    return w.constant(bias, np.int32, "bias_to_unsigned")


def _metadata(graph: Graph, flavour: str) -> dict[str, str]:
    """Who made the file by which rules, and the grids of its ports: real = (q - zero) * scale."""
    found = {"producer": "smidgen", "numerics_version": str(NUMERICS_VERSION), "flavour": flavour}
    for role, names in (("input", graph.inputs), ("output", graph.outputs)):
        for number, name in enumerate(names):
            if grid := graph.values[name].grid:
                fields = {"scale": repr(grid.scale), "zero": str(grid.zero), "bits": str(grid.bits)}
                found |= {f"{role}{number}.{key}": text for key, text in fields.items()}
    return found


def stored_weight(graph: Graph, node: Node) -> str | None:
    """The stored weight of a product: its own, or the one that q.decode expands into its second input."""
    if "weight" in node.params:
        return node.params["weight"]
    producer = graph.producer(node.inputs[1]) if len(node.inputs) > 1 else None
    return producer.params["weight"] if producer and producer.op == "q.decode" else None
