"""Rules that look values up, in ONNX operators, bit for bit: tables and embeddings."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from smidgen.emit.onnx_site import Site, grid_of
from smidgen.emit.onnx_writer import BIAS_TO_UNSIGNED, OnnxWriter, lifted_rounding
from smidgen.graph import Graph, Node
from smidgen.numerics import Array, IntArray, requantize, saturate
from smidgen.run.reference import executable


def write_table(w: OnnxWriter, site: Site) -> str:
    if site.inputs[0].dtype == "int16":
        return _knots(w, site)
    table = w.constant(site.int64("table") + BIAS_TO_UNSIGNED, np.uint8, f"{site.node.name}.table")
    return w.op("Gather", [table, w.cast(site.names[0], np.int32, f"{site.out}.index")], site.out)


def _knots(w: OnnxWriter, site: Site) -> str:
    """Straight lines between 257 knots. Slope and start of each are looked up; all dividends are lifted."""
    out, entries = site.out, site.int64("table")
    x = w.cast(site.names[0], np.int64, f"{out}.x64")
    step = w.constant(256, np.int64, "two_to_8")
    knot = w.op("Div", [x, step], f"{out}.knot")
    rest = w.op("Mod", [x, step], f"{out}.rest")
    slopes = w.constant(np.diff(entries), np.int64, f"{site.node.name}.slopes")
    starts = w.constant(entries[:-1] * 256, np.int64, f"{site.node.name}.starts")
    risen = w.op("Mul", [w.op("Gather", [slopes, knot], f"{out}.slope"), rest], f"{out}.risen")
    value = w.op("Add", [w.op("Gather", [starts, knot], f"{out}.start"), risen], f"{out}.value")
    shift = np.asarray(8, dtype=np.int64)
    lifted = w.op("Add", [value, w.constant(lifted_rounding(shift), np.int64, "rounding_8")], f"{out}.lifted")
    grid = grid_of(site.output)
    return w.to_carried(lifted, shift, 0, (grid.qmin, grid.qmax), site.bias, out)


def embedding_rows(graph: Graph, node: Node) -> IntArray:
    """All rows that a q.embedding node can give, int8 values [entries, features]."""
    weights = {role: executable(graph.weights[name]) for role, name in node.params.items()}
    return _embedded(weights, node.attrs, grid_of(graph.values[node.output]).zero)


def _embedded(weights: Mapping[str, Array], attrs: Mapping[str, Any], zero: int) -> IntArray:
    weight, m, s = (weights[role].astype(np.int64) for role in ("weight", "multiplier", "shift"))
    y = requantize(weight, m[:, None], s[:, None]) + zero
    return saturate(y, attrs["lo"], attrs["hi"])


def write_embedding(w: OnnxWriter, site: Site) -> str:
    """Each row requantized before it is looked up: the same numbers, fewer operators."""
    y = _embedded(site.weights, site.attrs, site.zero)
    rows = w.constant(y + BIAS_TO_UNSIGNED, np.uint8, f"{site.node.name}.rows")
    x = w.cast(site.names[0], np.int64, f"{site.out}.x64")
    index = w.op(
        "Sub", [x, w.constant(site.zero_byte(), np.int64, f"{site.out}.zero64")], f"{site.out}.index"
    )
    ends = [w.constant(end, np.int64, f"{site.out}.end") for end in (0, len(y) - 1)]
    return w.op("Gather", [rows, w.op("Clip", [index, *ends], f"{site.out}.row")], site.out)
