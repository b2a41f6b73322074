"""The exact flavour of ONNX: integer operators only, equal to docs/NUMERICS.md bit for bit in ONNX Runtime.

Unlike QLinearConv and its kin, whose scales are floats rounded half to even, everything here is integer
arithmetic: MatMulInteger and ConvInteger, then int64. The price is speed: a portable proof, not a fast path.

Files take and give int8 [n, ...] tensors on the grids named in the metadata; with `float_boundary=True` they
take and give float32, quantized and dequantized in float64 exactly as `Grid` does. The batch size n is free.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from smidgen.emit.emitter import Emitter, Problem
from smidgen.emit.onnx_artifact import OnnxArtifact, save, target_problems
from smidgen.emit.onnx_model import stored_weight, to_model
from smidgen.emit.onnx_products import ALL_RULES
from smidgen.formats import Format, Integer
from smidgen.graph import Graph, Node
from smidgen.graph.scan import body_of
from smidgen.numerics import MAX_SHIFT
from smidgen.run.reference import executable
from smidgen.targets.target import Target

QUANTIZE = "Quantize it, or export the portable ONNX flavour"


@dataclass(frozen=True)
class OnnxEmitter(Emitter):
    """Writes `model.onnx`. `float_boundary`: inputs and outputs are float32 instead of int8."""

    float_boundary: bool = False

    def check(self, graph: Graph, target: Target) -> list[Problem]:
        problems = [problem for node in graph.nodes for problem in _node_problems(graph, node)]
        return problems + value_problems(graph) + target_problems(target)

    def emit(self, graph: Graph, target: Target, folder: Path) -> OnnxArtifact:
        """Write `folder/model.onnx`, whole or not at all.

        Raises:
            Unsupported: naming every node that the exact flavour can't express.
            MissingExtra: the package onnx is not installed.
        """
        self.require(graph, target)
        return save(to_model(graph, self.float_boundary), folder)


# Checks


def _node_problems(graph: Graph, node: Node) -> list[Problem]:
    if node.op == "q.scan":
        body = body_of(node, graph.weights)
        return [problem for inner in body.nodes for problem in _node_problems(body, inner)]
    if node.op not in ALL_RULES and node.op != "q.decode":
        reason = (
            f"no rule for {node.op}" if node.op.startswith("q.") else f"{node.op} computes with real numbers"
        )
        is_integer = node.op.startswith("q.")
        remedy = "Use the .smg file or the C project" if is_integer else QUANTIZE
        return [Problem(node.name, reason, remedy)]
    return [*weight_problems(graph, node), *_shift_problems(graph, node)]


def weight_problems(graph: Graph, node: Node) -> list[Problem]:
    """Why the weights of an integer node can't be stored in an ONNX file."""
    if real := [name for name in node.params.values() if not _is_integer(graph.weights[name])]:
        return [Problem(node.name, f"the weight {real[0]} has no integers", "Quantize it")]
    if node.op in ("q.linear", "q.conv") and stored_weight(graph, node) is None:
        return [Problem(node.name, "its weight is computed at run time", "Store it in the graph")]
    return []


def _shift_problems(graph: Graph, node: Node) -> list[Problem]:
    shifts = [executable(graph.weights[node.params["shift"]])] if "shift" in node.params else []
    shifts += [np.asarray(node.attrs.get("shift", 1))]
    if any(s.min() < 1 or s.max() > MAX_SHIFT for s in shifts):
        reason = f"a shift lies outside 1 to {MAX_SHIFT}"
        return [Problem(node.name, reason, "Lower the network again")]
    return []


def value_problems(graph: Graph) -> list[Problem]:
    """Values of integer graphs that are wider than 16 bits."""
    remedy = "ONNX files carry int8 and int16: quantize to at most 16 bits"
    known = ("int8", "int16", "uint32", "float32")  # bits are carried as int8
    wide = {name: value.dtype for name, value in graph.values.items() if value.dtype not in known}
    return [Problem(name, f"{dtype} values", remedy) for name, dtype in wide.items()]


def _is_integer(fmt: Format) -> bool:
    return isinstance(fmt, Integer) or fmt.integers() is not None
