"""What a user would run instead: the same network in other runtimes, float32 and int8."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

from smidgen.emit.emitter import Emitter
from smidgen.emit.litert import litert_model
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.emit.onnx_twin import TwinOnnxEmitter
from smidgen.errors import SmidgenError, Unsupported
from smidgen.graph import Graph
from smidgen.measure.agreement import random_inputs
from smidgen.measure.contender import Contender, onnx_contender
from smidgen.targets import load_target

Opened = Contender | SmidgenError


def baselines(
    real: Graph | None, whole: Graph | None, batch: int, folder: Path, threads: int = 1
) -> Iterator[tuple[str, Opened]]:
    """(name, a contender or why it is not timed) of every runtime. Files are written to `folder`.

    `real`: the float network, where there is one; otherwise it is the float twin of `whole`, the integers.
    """
    makers: dict[str, Callable[[str], Contender]] = {}
    if real is not None:
        makers["ORT fp32"] = partial(_onnx, FloatOnnxEmitter(), real, batch, folder / "fp32", threads)
    elif whole is not None:
        makers["ORT fp32"] = partial(_onnx, TwinOnnxEmitter(), whole, batch, folder / "fp32", threads)
    if whole is not None:
        makers["ORT int8"] = partial(_onnx, _qdq(whole), whole, batch, folder / "int8", threads)
        makers["LiteRT int8"] = partial(litert_contender, whole, batch, threads)
    for name, make in makers.items():
        yield name, _opened(make, name)


def _opened(make: Callable[[str], Contender], name: str) -> Opened:
    try:
        return make(name)
    except SmidgenError as problem:
        return problem


def _qdq(graph: Graph) -> Emitter:
    """With float ports where the format has no integers for them."""
    ports = (graph.values[name].dtype for name in (*graph.inputs, *graph.outputs))
    return QdqOnnxEmitter(float_boundary=any(dtype != "int8" for dtype in ports))


def _onnx(emitter: Emitter, graph: Graph, batch: int, folder: Path, threads: int, name: str) -> Contender:
    (path,) = emitter.emit(graph, load_target("generic-c"), folder).files
    made = onnx_contender(name, path, batch, threads)
    made.call()
    return made


def litert_contender(graph: Graph, batch: int, threads: int, name: str) -> Contender:
    """An integer graph in LiteRT, as a C program would call it: without copies by Python.

    Raises:
        Unsupported: naming every node that LiteRT has no int8 operator for.
        MissingExtra: ai-edge-litert is not installed.
    """
    content = litert_model(graph)
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=content, num_threads=threads)
    ports = interpreter.get_input_details()
    for port, value in zip(ports, graph.inputs, strict=True):
        interpreter.resize_tensor_input(port["index"], [batch, *graph.values[value].shape])
    try:
        interpreter.allocate_tensors()
    except RuntimeError as problem:
        raise Unsupported(graph.name, f"LiteRT refuses it ({problem})") from problem
    for port, value in zip(ports, graph.inputs, strict=True):
        interpreter.set_tensor(port["index"], random_inputs(graph, batch, name=value))
    made = Contender(name, f"LiteRT {version('ai-edge-litert')}", interpreter.invoke)
    made.call()
    return made
