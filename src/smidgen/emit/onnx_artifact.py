"""An ONNX file on disk: written whole or not at all, executed by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.emit.emitter import Artifact, Problem
from smidgen.errors import BadFile, BadInput, MissingExtra
from smidgen.files import write_whole
from smidgen.numerics import Array
from smidgen.targets.target import Target

FILE_NAME = "model.onnx"
PORT_TYPES = {f"tensor({name})": np.dtype(name) for name in ("int8", "int16")} | {
    "tensor(float)": np.dtype(np.float32)
}


@dataclass(frozen=True)
class OnnxArtifact(Artifact):
    """An emitted file. `threads`: 0 lets ONNX Runtime decide."""

    path: Path
    threads: int = 0

    @property
    def files(self) -> tuple[Path, ...]:  # type: ignore[override]
        return (self.path,)

    @cached_property
    def session(self) -> Any:
        """The loaded model. Raises MissingExtra without onnxruntime, BadFile for a file it can't read."""
        try:
            import onnxruntime
        except ImportError as missing:
            raise MissingExtra("running an ONNX file", "onnxruntime", "bench") from missing
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        try:
            return onnxruntime.InferenceSession(self.path, options, providers=["CPUExecutionProvider"])
        except Exception as problem:  # ONNX Runtime's exceptions share no narrower public base
            raise BadFile(str(self.path), f"ONNX Runtime can't load it ({problem})") from problem

    def run(self, x: Array | Sequence[Array]) -> Array:
        """The first output for inputs [n, ...] of the file's types. Raises BadInput where they do not fit."""
        given = [x] if isinstance(x, np.ndarray) else list(x)
        ports = self.session.get_inputs()
        if len(given) != len(ports):
            raise BadInput(str(self.path), f"{len(given)} inputs", f"the network takes {len(ports)}")
        feed = {port.name: _fitting(port, array) for port, array in zip(ports, given, strict=True)}
        first, *_ = self.session.run(None, feed)
        return np.asarray(first)


def save(model: Any, folder: Path) -> OnnxArtifact:
    """Write an `onnx.ModelProto` as `folder/model.onnx`, whole or not at all. Raises Unwritable."""
    path = folder / FILE_NAME
    write_whole(path, model.SerializeToString(deterministic=True))
    return OnnxArtifact(path)


def target_problems(target: Target) -> list[Problem]:
    """What stands against ONNX of any flavour on a target."""
    if target.kind == "host":
        return []
    reason = "ONNX Runtime does not run on microcontrollers"
    return [Problem(target.name, reason, "Emit C for this target, or choose a host")]


def _fitting(port: Any, array: Array) -> Array:
    wanted = PORT_TYPES[port.type]
    if not np.can_cast(array.dtype, wanted, "same_kind") or list(array.shape[1:]) != port.shape[1:]:
        expected = f"{wanted} [n, {', '.join(map(str, port.shape[1:]))}] is needed"
        raise BadInput(f"input {port.name}", f"{array.dtype} {list(array.shape)}", expected)
    return np.ascontiguousarray(array, dtype=wanted)
