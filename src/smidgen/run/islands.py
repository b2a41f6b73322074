"""Runs islands: the computations that a loader could not capture, in their source's own runtime.

An island's `payload` suffices to run it. `kind` "aten" holds a msgpack program of ATen operators
(see `run/aten_program.py`), "onnx" a serialized ONNX model; neither holds a pickle.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from smidgen.errors import BadFile, MissingExtra, SmidgenError, first_line
from smidgen.graph import Graph, Node
from smidgen.run.onnx_reference import evaluator

FloatArray32 = npt.NDArray[np.float32]


class Island(NamedTuple):
    """A listed island: its node, the operator it came from, why it was not captured, and what would help."""

    node: str
    source: str
    reason: str
    remedy: str


def islands(graph: Graph) -> list[Island]:
    """All islands of a graph, in the order in which they run."""
    return [
        Island(node.name, str(node.attrs["source"]), str(node.attrs["reason"]), str(node.attrs["remedy"]))
        for node in graph.nodes
        if node.op == "island"
    ]


def run_island(node: Node, inputs: list[FloatArray32]) -> list[FloatArray32]:
    """Run an island on float32 arrays [n, ...]; returns one float32 array [n, ...] an output.

    Raises:
        MissingExtra: torch or onnx, whichever the island came from, is not installed.
        BadFile: the payload can't be understood, or makes something other than the declared shapes.
    """
    runners = {"aten": _run_aten, "onnx": _run_onnx}
    kind = node.attrs["kind"]
    if kind not in runners:
        raise BadFile(f"island {node.name}", f"unknown kind {kind!r}", f"known: {', '.join(runners)}")
    try:
        raw = runners[kind](node.attrs["payload"], inputs)
    except SmidgenError:
        raise
    except Exception as problem:  # whatever the foreign runtime throws at a corrupt or unfit payload
        raise BadFile(
            f"island {node.name}", f"{node.attrs['source']} failed ({first_line(problem)})"
        ) from problem
    results = [np.ascontiguousarray(array, dtype=np.float32) for array in raw]
    found = [array.shape[1:] for array in results]
    expected = [tuple(shape) for shape in node.attrs["shapes"]]
    if found != expected:
        raise BadFile(f"island {node.name}", f"it made samples of {found}", f"{expected} are declared")
    return results


def _run_aten(payload: bytes, inputs: list[FloatArray32]) -> list[npt.NDArray[Any]]:
    try:
        from smidgen.run.aten_program import run_program
    except ImportError as missing:
        raise MissingExtra("running an island of a PyTorch model", "torch", "compress") from missing
    return run_program(payload, inputs)


def _run_onnx(payload: bytes, inputs: list[FloatArray32]) -> list[npt.NDArray[Any]]:
    runner, names, dtypes, one_by_one = _onnx_evaluator(payload)
    if len(names) != len(inputs):
        raise ValueError(f"{len(inputs)} inputs for {len(names)}")
    feed = {name: x.astype(dtype) for name, dtype, x in zip(names, dtypes, inputs, strict=True)}
    samples = range(len(inputs[0]))
    with np.errstate(all="ignore"):
        if not one_by_one:
            return list(runner.run(None, feed))
        rows = [runner.run(None, {name: x[i : i + 1] for name, x in feed.items()}) for i in samples]
    return [np.concatenate(column) for column in zip(*rows, strict=True)]


@lru_cache(maxsize=64)
def _onnx_evaluator(payload: bytes) -> tuple[Any, tuple[str, ...], tuple[Any, ...], bool]:
    """(reference evaluator, input names, input dtypes, takes one sample at a time) of a serialized model."""
    try:
        import onnx
        from onnx.helper import tensor_dtype_to_np_dtype
    except ImportError as missing:
        raise MissingExtra("running an island of an ONNX model", "onnx", "compress") from missing
    model = onnx.load_model_from_string(payload)
    ports = model.graph.input
    dtypes = tuple(tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type) for port in ports)
    one_by_one = any(port.type.tensor_type.shape.dim[0].dim_value == 1 for port in ports)
    return evaluator(model), tuple(port.name for port in ports), dtypes, one_by_one
