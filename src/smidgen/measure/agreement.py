"""Do all back ends compute the same bytes? The exact reference is the judge."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.codec.golden import read_golden
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.emit.smg import SmgEmitter
from smidgen.errors import Mismatch
from smidgen.graph import Graph
from smidgen.numerics import Array
from smidgen.run.native import native_plan
from smidgen.run.reference import layer_checksums, run_integer
from smidgen.targets import load_target

Backend = Callable[[Graph, Array, Path], Array]


@dataclass(frozen=True)
class Agreement:
    """`differing` of `samples` inputs gave other bytes in `backend` than in the reference."""

    backend: str
    samples: int
    differing: int

    @property
    def exact(self) -> bool:
        return self.differing == 0


def _native(graph: Graph, x: Array, folder: Path) -> Array:
    return first(native_plan(graph).run(x))


def _reloaded(graph: Graph, x: Array, folder: Path) -> Array:
    return SmgEmitter().emit(graph, load_target("generic-c"), folder).run(x)


def _c(graph: Graph, x: Array, folder: Path) -> Array:
    return CEmitter().emit(graph, load_target("generic-c"), folder).run(x)


def _onnx(graph: Graph, x: Array, folder: Path) -> Array:
    return OnnxEmitter().emit(graph, load_target("generic-c"), folder).run(x)


BACKENDS: Mapping[str, Backend] = {"native": _native, "file": _reloaded, "c": _c, "onnx": _onnx}


def first(outputs: Array | tuple[Array, ...]) -> Array:
    return outputs if isinstance(outputs, np.ndarray) else outputs[0]


def agreement(graph: Graph, x: Array, backends: tuple[str, ...] = tuple(BACKENDS)) -> list[Agreement]:
    """Run int8 inputs [n, ...] through the reference and each back end (`BACKENDS`), fresh files included."""
    expected = run_integer(graph, x).reshape(len(x), -1)
    found = []
    for name in backends:
        with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
            y = BACKENDS[name](graph, x, Path(scratch) / name).reshape(len(x), -1)
        found.append(Agreement(name, len(x), int((y != expected).any(axis=1).sum())))
    return found


def require_agreement(results: list[Agreement]) -> None:
    """Raise Mismatch naming the back ends that differ."""
    wrong = [f"{r.backend} differs on {r.differing} of {r.samples} inputs" for r in results if not r.exact]
    if wrong:
        raise Mismatch(
            "verify", "; ".join(wrong), "all back ends agree bit for bit", "Please report this file"
        )


def mismatch_rate(graph: Graph, x: Array) -> float:
    """The share, 0 to 1, of output bytes in which the portable QDQ flavour differs from the exact integers.

    `graph` is an integer graph, `x` int8 [n, ...]. Runs ONNX Runtime; its version and the processor matter.

    Raises:
        Unsupported: the graph can't be written as QDQ.
        MissingExtra: onnx or onnxruntime is not installed.
    """
    with tempfile.TemporaryDirectory(prefix="smidgen-") as scratch:
        made = QdqOnnxEmitter().emit(graph, load_target("generic-c"), Path(scratch)).run(x)
    return float((made != run_integer(graph, x)).mean())


def random_inputs(graph: Graph, n: int, seed: int = 0, name: str = "") -> Array:
    """Integers [n, ...], uniform over the grid of the input `name`, by default the first one; normal numbers
    where the input is real.
    """
    value, rng = graph.values[name or graph.inputs[0]], np.random.default_rng(seed)
    if value.dtype == "float32":
        return rng.standard_normal((n, *value.shape)).astype(value.dtype)
    lo, hi = (-128, 127) if value.grid is None else (value.grid.qmin, value.grid.qmax)
    return rng.integers(lo, hi + 1, (n, *value.shape)).astype(value.dtype)


def golden_layers(file: Path, graph: Graph) -> int:
    """Check the golden vectors beside `file` (0 without any): outputs and every layer's checksum.

    Returns the number of layers compared. Raises Mismatch naming the first layer that differs.
    """
    beside = file.with_suffix(".golden")
    if not beside.is_file():
        return 0
    golden = read_golden(beside)
    golden.compare(str(file), (run_integer(graph, golden.inputs),), layer_checksums(graph, golden.inputs))
    return len(golden.layers)
