"""ONNX files as graphs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from smidgen.errors import BadInput, SmidgenError
from smidgen.graph import Graph
from smidgen.graph.core import MOST_ELEMENTS
from smidgen.load.finish import finish
from smidgen.load.onnx_file import read_model
from smidgen.load.onnx_walk import Walk

PROBE = 61  # stands for a batch size that the file leaves open: a prime that layers' own sizes rarely are


def load_onnx(path: Path, example: Any = None, batch_axes: Sequence[int] | int = 0) -> Graph:
    """Load an `.onnx` file. `example` fixes dimensions, other than the batch, that the file leaves open."""
    try:
        return _load(path, example, batch_axes)
    except SmidgenError:
        raise
    except Exception as problem:  # files from anyone: whatever the checker let pass stumbles later
        why = next(iter(str(problem).splitlines()), "")
        found = f"it can't be loaded ({type(problem).__name__}: {why})"
        remedy = "Check it with onnx.checker and onnx.shape_inference, and report it if they accept it"
        raise BadInput(str(path), found, "", remedy) from problem


def _load(path: Path, example: Any, batch_axes: Sequence[int] | int) -> Graph:
    model = read_model(path)
    ports = [p for p in model.graph.input if p.name not in {t.name for t in model.graph.initializer}]
    if not ports:
        raise BadInput(str(path), "it has no inputs", "a network takes a batch [n, ...]")
    examples = example if isinstance(example, (tuple, list)) else (example,) * len(ports)
    axes = _axes(ports, batch_axes)
    shapes = {p.name: _sample_shape(p, x, axes[p.name]) for p, x in zip(ports, examples)}
    declared = ports[0].type.tensor_type.shape.dim[axes[ports[0].name]].dim_value
    outputs = [port.name for port in model.graph.output]
    graphs: list[Graph] = []
    for batch in dict.fromkeys((PROBE, declared or PROBE)):
        try:
            graphs.append(finish(Walk(model, path.stem, shapes, batch, axes).run(), outputs))
        except SmidgenError:
            if batch == (declared or PROBE) and not graphs:
                raise
            continue
        if not _islands(graphs[-1]):
            break
    return min(graphs, key=_islands)


def _islands(graph: Graph) -> int:
    return sum(node.op == "island" for node in graph.nodes)


def _axes(ports: Sequence[Any], given: Sequence[int] | int) -> dict[str, int]:
    """Each input's batch axis. One number for all goes where an input names the batch otherwise."""
    sizes = [port.type.tensor_type.shape.dim for port in ports]
    axes = [given] * len(ports) if isinstance(given, int) else list(given)
    if len(axes) != len(ports):
        raise BadInput("model", f"{len(axes)} batch axes", f"it has {len(ports)} inputs", "Give one an input")
    for port, dims, axis in zip(ports, sizes, axes, strict=True):
        if not 0 <= axis < max(len(dims), 1):
            raise BadInput(f"input {port.name}", f"batch axis {axis} of {len(dims)} axes")
    if isinstance(given, int) and sizes[0]:
        name = sizes[0][given].dim_param
        named = [[dim.dim_param for dim in dims] for dims in sizes]
        axes = [names.index(name) if name and name in names else given for names in named]
    return dict(zip((port.name for port in ports), axes, strict=True))


def _sample_shape(port: Any, example: Any, axis: int) -> tuple[int, ...]:
    """The shape of one sample of an input. Raises BadInput for a size that neither file nor example gives."""
    where = f"input {port.name}"
    dims = port.type.tensor_type.shape.dim
    sizes = [dim.dim_value for dim in dims]
    _check_type(port)
    if not sizes:
        raise BadInput(where, "it has no dimensions", "the first one is the batch")
    if any(dim.HasField("dim_value") and dim.dim_value == 0 for dim in dims):
        raise BadInput(where, f"its shape {sizes} holds no elements", "every size is at least 1")
    open_sizes = [n for i, n in enumerate(sizes) if i != axis]
    if example is not None:
        given = list(np.shape(example))
        kept = [n for i, n in enumerate(given) if i != axis]
        if len(given) != len(sizes) or not all(n in (0, m) for n, m in zip(open_sizes, kept)):
            expected = f"the model takes {[n or 'any' for n in sizes]}"
            raise BadInput(where, f"the example has the shape {given}", expected)
        open_sizes = kept
    if 0 in open_sizes:
        found = f"its shape {[n or '?' for n in sizes]} is open beyond the batch"
        raise BadInput(where, found, "sizes must be fixed", "Pass example_input, a batch [n, ...]")
    if min(open_sizes, default=0) < 0 or math.prod(open_sizes) >= MOST_ELEMENTS:
        raise BadInput(where, f"its shape is {sizes}", f"a sample has fewer than {MOST_ELEMENTS:,} elements")
    return tuple(open_sizes)


def _check_type(port: Any) -> None:
    """Raise BadInput unless an input is a tensor of numbers."""
    if not port.type.HasField("tensor_type"):
        kind = str(port.type.WhichOneof("value")).removesuffix("_type")
        raise BadInput(f"input {port.name}", f"it is a {kind}", "a tensor is needed")
    kind = port.type.tensor_type.elem_type
    if kind in (TensorProto.STRING, TensorProto.COMPLEX64, TensorProto.COMPLEX128):
        found = f"it holds {TensorProto.DataType.Name(kind).lower()}s"
        raise BadInput(f"input {port.name}", found, "real numbers are needed")
