"""ONNX files as graphs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.errors import BadInput, SmidgenError
from smidgen.graph import Graph
from smidgen.load.finish import finish
from smidgen.load.onnx_file import read_model
from smidgen.load.onnx_walk import Walk

PROBE = 61  # stands for a batch size that the file leaves open: a prime that layers' own sizes rarely are


def load_onnx(path: Path, example: Any = None, batch_axes: Sequence[int] | int = 0) -> Graph:
    """Load an `.onnx` file. `example` fixes dimensions, other than the batch, that the file leaves open."""
    model = read_model(path)
    ports = [p for p in model.graph.input if p.name not in {t.name for t in model.graph.initializer}]
    if not ports:
        raise BadInput(str(path), "it has no inputs", "a network takes a batch [n, ...]")
    examples = example if isinstance(example, (tuple, list)) else (example,) * len(ports)
    shapes = {p.name: _sample_shape(p, x) for p, x in zip(ports, examples)}
    declared = ports[0].type.tensor_type.shape.dim[0].dim_value
    outputs = [port.name for port in model.graph.output]
    graphs: list[Graph] = []
    for batch in dict.fromkeys((PROBE, declared or PROBE)):
        try:
            graphs.append(finish(Walk(model, path.stem, shapes, batch).run(), outputs))
        except SmidgenError:
            if batch == (declared or PROBE) and not graphs:
                raise
            continue
        if not _islands(graphs[-1]):
            break
    return min(graphs, key=_islands)


def _islands(graph: Graph) -> int:
    return sum(node.op == "island" for node in graph.nodes)


def _sample_shape(port: Any, example: Any) -> tuple[int, ...]:
    """The shape of one sample of an input. Raises BadInput for a size that neither file nor example gives."""
    where = f"input {port.name}"
    sizes = [dim.dim_value for dim in port.type.tensor_type.shape.dim]
    if not sizes:
        raise BadInput(where, "it has no dimensions", "the first one is the batch")
    if example is not None:
        given = np.shape(example)
        fits = len(given) == len(sizes) and all(n in (0, m) for n, m in zip(sizes[1:], given[1:]))
        if not fits:
            expected = f"the model takes {[n or 'any' for n in sizes]}"
            raise BadInput(where, f"the example has the shape {list(given)}", expected)
        sizes = [sizes[0], *given[1:]]
    if 0 in sizes[1:]:
        found = f"its shape {[n or '?' for n in sizes]} is open beyond the batch"
        raise BadInput(where, found, "sizes must be fixed", "Pass example_input, a batch [n, ...]")
    return tuple(sizes[1:])
