"""The exact flavour of ONNX: integer operators only, equal to docs/NUMERICS.md bit for bit in ONNX Runtime.

Unlike QLinearConv and its kin, whose scales are floats rounded half to even, everything here is integer
arithmetic: MatMulInteger and ConvInteger, then int64. The price is speed: a portable proof, not a fast path.

Files take and give int8 [n, ...] tensors on the grids named in the metadata; with `float_boundary=True` they
take and give float32, quantized and dequantized in float64 exactly as `Grid` does. The batch size n is free.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from smidgen.emit.emitter import Artifact, Emitter, Problem
from smidgen.emit.onnx_model import stored_weight, to_model
from smidgen.emit.onnx_ops import RULES
from smidgen.errors import BadFile, BadInput, MissingExtra
from smidgen.formats import Format, Integer
from smidgen.graph import Graph, Node
from smidgen.numerics import MAX_SHIFT, Array
from smidgen.run.reference import executable
from smidgen.targets.target import Target

FILE_NAME = "model.onnx"


@dataclass(frozen=True)
class OnnxEmitter(Emitter):
    """Writes `model.onnx`. `float_boundary`: inputs and outputs are float32 instead of int8."""

    float_boundary: bool = False

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        problems = [problem for node in graph.nodes for problem in _node_problems(graph, node)]
        problems += _value_problems(graph)
        if target.kind != "host":
            reason = "ONNX Runtime does not run on microcontrollers"
            problems.append(Problem(target.name, reason, "Emit C for this target, or choose a host"))
        return problems

    def emit(self, graph: Graph, target: Target, folder: Path) -> OnnxArtifact:
        """Write `folder/model.onnx`, whole or not at all.

        Raises:
            Unsupported: naming every node that the exact flavour can't express.
            MissingExtra: the package onnx is not installed.
        """
        self.require(graph, target)
        model = to_model(graph, self.float_boundary)
        folder.mkdir(parents=True, exist_ok=True)
        path, unfinished = folder / FILE_NAME, folder / f".{FILE_NAME}.{os.getpid()}"
        unfinished.write_bytes(model.SerializeToString(deterministic=True))
        unfinished.replace(path)
        return OnnxArtifact(path)


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


def _fitting(port: Any, array: Array) -> Array:
    wanted = np.dtype(np.float32 if port.type == "tensor(float)" else np.int8)
    if not np.can_cast(array.dtype, wanted, "same_kind") or list(array.shape[1:]) != port.shape[1:]:
        expected = f"{wanted} [n, {', '.join(map(str, port.shape[1:]))}] is needed"
        raise BadInput(f"input {port.name}", f"{array.dtype} {list(array.shape)}", expected)
    return np.ascontiguousarray(array, dtype=wanted)


# Checks


def _node_problems(graph: Graph, node: Node) -> list[Problem]:
    if node.op not in RULES and node.op != "q.decode":
        reason = (
            f"no rule for {node.op}" if node.op.startswith("q.") else f"{node.op} computes with real numbers"
        )
        return [Problem(node.name, reason, "Quantize it, or export the portable ONNX flavour")]
    if real := [name for name in node.params.values() if not _is_integer(graph.weights[name])]:
        return [Problem(node.name, f"the weight {real[0]} has no integers", "Quantize it")]
    problems = []
    if node.op in ("q.linear", "q.conv") and stored_weight(graph, node) is None:
        problems.append(Problem(node.name, "its weight is computed at run time", "Store it in the graph"))
    shifts = [executable(graph.weights[node.params["shift"]])] if "shift" in node.params else []
    shifts += [np.asarray(node.attrs.get("shift", 1))]
    if any(s.min() < 1 or s.max() > MAX_SHIFT for s in shifts):
        reason = f"a shift lies outside 1 to {MAX_SHIFT}"
        problems.append(Problem(node.name, reason, "Lower the network again"))
    return problems


def _value_problems(graph: Graph) -> list[Problem]:
    remedy = "The exact flavour carries int8: quantize to at most 8 bits"
    wide = {
        name: value.dtype for name, value in graph.values.items() if value.dtype not in ("int8", "float32")
    }
    return [Problem(name, f"{dtype} values", remedy) for name, dtype in wide.items()]


def _is_integer(fmt: Format) -> bool:
    return isinstance(fmt, Integer) or fmt.integers() is not None
