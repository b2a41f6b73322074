"""Artifacts as calls that can be timed: each is opened, fed random inputs of its own type, and run once."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.codec.container import read_smg
from smidgen.emit.onnx_artifact import OnnxArtifact
from smidgen.errors import BadFile, BadInput
from smidgen.graph import Graph
from smidgen.kernels import native
from smidgen.measure.agreement import random_inputs
from smidgen.numerics import Array
from smidgen.run.isa import chosen_isa
from smidgen.run.mixed import MixedPlan
from smidgen.run.native import NativePlan
from smidgen.run.plans import plan_of
from smidgen.targets.host import HostRunner
from smidgen.targets.project import MANIFEST, Tensor

ARENA_ALIGNMENT = 64
REAL_TYPES = ("tensor(float)",)
INPUT_TYPES: Mapping[str, str] = {
    "tensor(float)": "float32",
    **{f"tensor({name})": name for name in ("int8", "uint8", "int16", "int32", "int64")},
}


@dataclass(frozen=True)
class Contender:
    """Something to time.

    Attributes:
        name: the file's or the runtime's.
        runtime: what executes it.
        call: one run of a whole batch.
        graph: the network inside, where it can be read.
        plan: the native plan that runs it, where one does.
    """

    name: str
    runtime: str
    call: Callable[[], object]
    graph: Graph | None = None
    plan: NativePlan | None = None


def contender(path: Path, batch: int, threads: int = 1) -> Contender:
    """An artifact on disk, ready to run `batch` samples on `threads` threads; C projects use one.

    Raises:
        BadInput: it is no artifact, takes no such batch, or no C compiler is there.
        BadFile: it is damaged.
        MissingExtra: ONNX Runtime is not installed.
    """
    if (path / MANIFEST).is_file():
        made = _project(path, batch)
    elif path.suffix == ".smg":
        made = network_contender(path.name, read_smg(path).graph, batch, threads)
    elif path.suffix == ".onnx":
        made = onnx_contender(path.name, path, batch, threads)
    else:
        expected = "a .smg file, a .onnx file or the folder of a C project is needed"
        raise BadInput(str(path), "it is no artifact", expected)
    made.call()
    return made


def network_contender(name: str, graph: Graph, batch: int, threads: int = 1) -> Contender:
    """The network in smidgen's own runtime: the native plan, or one in pieces where that has no kernel."""
    inputs = [random_inputs(graph, batch, name=port) for port in graph.inputs]
    given = inputs[0] if len(inputs) == 1 else inputs
    plan = plan_of(graph, threads)
    if isinstance(plan, MixedPlan):
        return Contender(name, f"smidgen {chosen_isa()}, in pieces", partial(plan.run, given), graph)
    isa = max((kernel.split()[0] for kernel in plan.chosen), key=native().supported_isas().index)
    return Contender(name, f"smidgen {isa}", partial(plan.run, given), graph, plan)


def onnx_contender(name: str, path: Path, batch: int, threads: int = 1) -> Contender:
    """An ONNX file in ONNX Runtime."""
    session = OnnxArtifact(path, threads).session
    feed = {port.name: _onnx_input(path, port, batch) for port in session.get_inputs()}
    return Contender(name, f"ONNX Runtime {version('onnxruntime')}", partial(session.run, None, feed))


def _onnx_input(path: Path, port: Any, batch: int) -> Array:
    shape, kind = list(port.shape), str(port.type)
    if kind not in INPUT_TYPES:
        raise BadInput(str(path), f"an input of {kind}", f"{', '.join(INPUT_TYPES)} can be made up")
    if shape and isinstance(shape[0], int) and shape[0] != batch:
        raise BadInput(str(path), f"it takes batches of {shape[0]}", "", f"Set --batch {shape[0]}")
    if any(not isinstance(size, int) for size in shape[1:]):
        raise BadInput(str(path), f"its input has the sizes {shape}", "all but the batch must be known")
    rng, sizes = np.random.default_rng(0), (batch, *shape[1:])
    drawn = rng.standard_normal(sizes) if kind in REAL_TYPES else rng.integers(0, 100, sizes)
    return drawn.astype(INPUT_TYPES[kind])


def _project(folder: Path, batch: int) -> Contender:
    """A C project compiled into this process; it takes one sample a call."""
    runner = HostRunner(folder)
    manifest = runner.manifest
    library = ctypes.CDLL(str(runner.library()))
    run = library[f"{manifest.prefix}_run"]
    run.restype = ctypes.c_int
    ports = [_filled(tensor) for tensor in manifest.inputs]
    ports += [np.zeros(tensor.shape, tensor.dtype) for tensor in manifest.outputs]
    arena = np.zeros(manifest.arena_bytes + ARENA_ALIGNMENT, np.uint8)
    aligned = arena.ctypes.data + -arena.ctypes.data % ARENA_ALIGNMENT
    addresses = [ctypes.c_void_p(at) for at in (*(array.ctypes.data for array in ports), aligned)]
    call = partial(_run_samples, run, addresses, batch, (library, arena, ports))
    if run(*addresses) != 0:
        raise BadFile(str(folder), "its model refuses to run", "", "Emit the project again")
    return Contender(folder.name or str(folder), "C", call)


def _filled(tensor: Tensor) -> Array:
    return np.random.default_rng(0).integers(-100, 100, tensor.shape).astype(tensor.dtype)


def _run_samples(
    run: Callable[..., int], addresses: Sequence[ctypes.c_void_p], batch: int, kept: object
) -> None:
    """`kept`: what must live as long as the call."""
    for _ in range(batch):
        run(*addresses)
