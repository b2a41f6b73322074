"""Artifacts of other kinds as something that shows its values: an ONNX file, a C project."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.emit.c import CArtifact
from smidgen.emit.onnx_artifact import OnnxArtifact
from smidgen.emit.onnx_site import bias_of
from smidgen.errors import BadInput, MissingExtra
from smidgen.formats import Grid
from smidgen.graph import Graph, Value
from smidgen.numerics import Array
from smidgen.probe.align import Layout
from smidgen.probe.trace import stored
from smidgen.targets.project import MANIFEST, Tensor

CARRIED = ".bytes"  # how our ONNX files call the integers of a value, see emit/onnx_model.py


class CTrace:
    """A C project: the compiled binary runs; it shows what enters and leaves, not what is between."""

    def __init__(self, folder: Path) -> None:
        """Raises BadFile if there is no project."""
        self.artifact = CArtifact(folder)
        manifest = self.artifact.runner.manifest
        if len(manifest.inputs) != 1:
            raise BadInput(str(folder), f"{len(manifest.inputs)} inputs", "one is needed to compare")
        ports = {t.name: _port(t) for t in (manifest.inputs[0], manifest.outputs[0])}
        last = manifest.outputs[0].name
        self.layout = Layout(ports, {last: last}, {last: "output"}, {}, last)

    def values(self, x: Array) -> dict[str, Array]:
        """Input and output. Raises BadInput without a C compiler."""
        name = next(iter(self.layout.values))
        given = stored(x, self.layout.values[name])
        return {name: given, self.layout.output: self.artifact.run(given)}


class OnnxTrace:
    """One of our own integer ONNX files, exact or QDQ, in ONNX Runtime.

    Files keep the names of values, but the grids of ports only: values in between are shown where `like`, the
    integer graph that the file is compared with, has one of the same name.
    """

    def __init__(self, path: Path, like: Graph) -> None:
        """Raises BadInput, BadFile, MissingExtra if the file can't be run."""
        self.path = path
        model = _loaded(path)
        meta = {p.key: p.value for p in model.metadata_props}
        self._first, self._last = model.graph.input[0].name, model.graph.output[0].name
        names = [out for node in model.graph.node for out in node.output]
        inner = {n.removesuffix(CARRIED): n for n in names if n.endswith(CARRIED)}
        shapes = {p.name: _shape(p) for p in (model.graph.input[0], model.graph.output[0])}
        values = {self._first: _declared(shapes[self._first], meta, "input0")}
        layers = {out: node.name for node in like.nodes for out in node.outputs}
        self._shown = {name: inner[name] for name in layers if name in inner and like.values[name].grid}
        values |= {name: like.values[name] for name in self._shown}
        values[self._last] = _declared(shapes[self._last], meta, "output0")
        ops = {node.name: node.op for node in like.nodes}
        reads = {node.name: node.inputs for node in like.nodes}
        made = {name: layers.get(name, name) for name in (*self._shown, self._last)}
        self.layout = Layout(values, made, ops, reads, self._last)
        self._model = model

    def values(self, x: Array) -> dict[str, Array]:
        """Input, output, and the integers of every value that can be told."""
        feed = stored(x, self.layout.values[self._first])
        port = self._session.get_inputs()[0]
        given = np.asarray(x, np.float32) if port.type == "tensor(float)" else feed
        made = self._session.run([self._last, *self._shown.values()], {port.name: given})
        found = {self._first: feed, self._last: self._output(made[0])}
        for name, array in zip(self._shown, made[1:], strict=True):
            found[name] = _lowered(array, self.layout.values[name])
        return found

    def _output(self, made: Array) -> Array:
        value = self.layout.values[self._last]
        return stored(made, value) if made.dtype == np.float32 else np.asarray(made, value.dtype)

    @cached_property
    def _session(self) -> Any:
        """The file with all shown values as outputs."""
        import onnx

        for name in self._shown.values():
            if name != self._last:
                self._model.graph.output.append(onnx.ValueInfoProto(name=name))
        return _WithOutputs(self.path, model=self._model.SerializeToString()).session


class _WithOutputs(OnnxArtifact):
    """The bytes of a changed model in the place of the file's."""

    def __init__(self, path: Path, model: bytes) -> None:
        super().__init__(path, threads=1)
        object.__setattr__(self, "path", model)


def is_c_project(path: Path) -> bool:
    return (path / MANIFEST).is_file()


def is_our_onnx(path: Path) -> bool:
    """Whether an .onnx file holds integers that smidgen wrote."""
    if path.suffix.lower() != ".onnx" or not path.is_file():
        return False
    meta = {p.key: p.value for p in _loaded(path).metadata_props}
    return meta.get("producer") == "smidgen" and "output0.scale" in meta


def _loaded(path: Path) -> Any:
    try:
        from smidgen.load.onnx_file import read_model
    except ImportError as missing:
        raise MissingExtra("reading an ONNX file", "onnx", "compress") from missing
    return read_model(path)


def _shape(port: Any) -> tuple[int, ...]:
    return tuple(d.dim_value for d in port.type.tensor_type.shape.dim[1:])


def _declared(shape: Sequence[int], meta: dict[str, str], role: str) -> Value:
    grid = Grid(float(meta[f"{role}.scale"]), int(meta[f"{role}.zero"]), int(meta[f"{role}.bits"]))
    return Value(tuple(shape), grid.dtype, grid)


def _port(tensor: Tensor) -> Value:
    grid = Grid(tensor.scale, tensor.zero, 8 if tensor.dtype == "int8" else 16)
    return Value(tensor.shape, tensor.dtype, grid)


def _lowered(carried: Array, value: Value) -> Array:
    """The stored integers of what a file carries higher, perhaps channels first."""
    assert value.grid is not None, "only such values are shown"
    if carried.shape[1:] != value.shape:
        carried = np.moveaxis(carried, 1, -1)
    return (carried.astype(np.int64) - bias_of(value.grid)).astype(value.dtype)
