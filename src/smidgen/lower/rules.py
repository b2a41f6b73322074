"""One rule an operator: the float node and its grids -> integer nodes (docs/NUMERICS.md)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from smidgen.errors import IllegalGraph
from smidgen.formats import Format, Grid, Integer
from smidgen.graph import Graph, Node, Value
from smidgen.graph.activations import SMOOTH, STEEP, tabulated
from smidgen.lower.grids import GATE_SUM, GATES, fused_activation
from smidgen.lower.sign_sums import whole_bias
from smidgen.lower.widths import CLAMPS
from smidgen.numerics import (
    Array,
    FloatArray,
    IntArray,
    quantize_multiplier,
    quantize_multipliers,
    round_half_up,
    saturate,
)

ACCUMULATOR_LIMIT = 2**31 - 1
KNOT_STEP = 256  # int16 values between two knots of a table
LEAF_MAX = 2**15 - 1
TREE_SUM_LIMIT = 2**30  # half of what an accumulator holds: roundings of many leaves stay inside
TREE_RATIO_LIMIT = 2**15
STRUCTURE = ("feature", "children", "tree")


@dataclass
class Lowering:
    """The integer graph under construction."""

    source: Graph
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    weights: dict[str, Format] = field(default_factory=dict)
    tables: dict[bytes, str] = field(default_factory=dict)  # contents -> weight, shared by all scopes
    in_body: bool = False  # of a recurrence, where values may have 16 bits

    def grid(self, value: str) -> Grid:
        found = self.source.values[value].grid
        assert found is not None, f"{value} has no grid"
        return found

    def emit(
        self,
        node: Node,
        op: str,
        inputs: tuple[str, ...],
        out: str,
        params: Mapping[str, Array | str],
        **attrs: object,
    ) -> None:
        """Append an integer node named like its float origin; arrays become weights `<node>.<role>`."""
        stored = {}
        for role, given in params.items():
            stored[role] = given if isinstance(given, str) else f"{node.name}.{role}"
            if not isinstance(given, str):
                self.weights[stored[role]] = Integer(given)
        self.nodes.append(Node(node.name, op, inputs, (out,), stored, attrs))

    def table(self, name: str, entries: Array) -> str:
        """The weight that holds these entries, stored once for all nodes that need the same."""
        known = self.tables.setdefault(entries.tobytes(), name)
        if known == name:
            self.weights[name] = Integer(entries)
        return known

    def matched(self, value: str, grid: Grid, node: Node) -> str:
        """`value` on `grid`: itself, or through an inserted q.requantize."""
        if self.grid(value) == grid:
            return value
        name = f"{node.name}.{value}.requantized"
        if name not in self.values:
            requantized(self, name, value, grid)
        return name


Rule = Callable[[Lowering, Node, str], None]  # the last argument is the output value, behind any fusion


def requantized(low: Lowering, name: str, source: str, grid: Grid) -> None:
    """A q.requantize node that brings the value `source` of the integer graph to `grid` as `name`."""
    own = low.values[source]
    assert own.grid is not None, f"{source} has no grid"
    low.values[name] = Value(own.shape, grid.dtype, grid)
    ratio = requantization(own.grid.scale / grid.scale)
    node = Node(name, "q.requantize", (source,), (name,))
    low.emit(node, "q.requantize", (source,), name, dict(ratio), lo=grid.qmin, hi=grid.qmax)


def requantization(ratios: npt.ArrayLike) -> dict[str, Array]:
    """The multiplier and shift weights for real ratios (scalar or vector)."""
    m, s = quantize_multipliers(np.atleast_1d(np.asarray(ratios, dtype=np.float64)))
    return {"multiplier": m.astype(np.uint16), "shift": s.astype(np.uint8)}


def bounds(low: Lowering, node: Node, out: str) -> dict[str, int]:
    """Saturation limits of the output grid, narrowed by a clamp (the node itself or one fused behind it)."""
    grid = low.grid(out)
    clamp = node if node.op in CLAMPS else fused_activation(low.source, node)
    if clamp is None:
        return {"lo": grid.qmin, "hi": grid.qmax}
    real_lo, real_hi = CLAMPS[clamp.op]
    hi = grid.qmax if math.isinf(real_hi) else int(grid.quantize(real_hi))
    return {"lo": int(grid.quantize(real_lo)), "hi": hi}


def affine_terms(low: Lowering, node: Node) -> tuple[FloatArray, FloatArray]:
    """(step, bias) [O] of a layer: its real sums are acc * step + bias."""
    name = node.params["weight"]
    whole = low.source.weights[name].integers()
    if whole is None:
        raise _unquantized(low, node, name)
    channels = whole.values.shape[0]
    step = np.broadcast_to(whole.scale.astype(np.float64) * low.grid(node.inputs[0]).scale, (channels,))
    if "bias" not in node.params:
        return step, np.zeros(channels)
    return step, low.source.weights[node.params["bias"]].decode().astype(np.float64)


def weighted(low: Lowering, node: Node, out: str, op: str = "") -> None:
    """linear and conv, as the integer operator `op` (`q.linear` and `q.conv` unless told)."""
    x, name = low.grid(node.inputs[0]), node.params["weight"]
    fmt = low.source.weights[name]
    step, real_bias = affine_terms(low, node)
    bias = whole_bias(low, out, real_bias, step)
    y = low.grid(out)
    whole = fmt.integers()
    assert whole is not None, "affine_terms has refused the others"
    channels = fmt.shape[0]
    reach = np.abs(whole.values.reshape(channels, -1).astype(np.float64)).sum(axis=1)
    worst = np.abs(bias) + reach * max(x.qmax - x.zero, x.zero - x.qmin)
    if worst.max(initial=0.0) > ACCUMULATOR_LIMIT:
        raise IllegalGraph(
            f"{node.name}, channel {int(worst.argmax())}",
            f"the accumulator may reach {worst.max():.3g}",
            "32 bits hold 2^31 - 1",
            "Use a coarser weight scale (granularity tensor) or split the layer",
        )
    low.weights[name] = fmt
    ratios = step / y.scale if whole.scale.size > 1 else step[:1] / y.scale
    params: dict[str, Array | str] = {"weight": name, "bias": bias.astype(np.int32), **requantization(ratios)}
    low.emit(node, op or f"q.{node.op}", node.inputs, out, params, **node.attrs, **bounds(low, node, out))


def _unquantized(low: Lowering, node: Node, weight: str) -> IllegalGraph:
    found = f"weight {weight!r} is {low.source.weights[weight].label}"
    return IllegalGraph(node.name, found, "integer layers need quantized weights", "Add quantize.affine")


def add(low: Lowering, node: Node, out: str) -> None:
    """add and sub: both terms share the shift of the larger ratio, so that the sum is rounded once."""
    y = low.grid(out)
    ratios = [low.grid(name).scale / y.scale for name in node.inputs]
    _, shift = quantize_multiplier(max(ratios))
    multiplier = np.array([int(round_half_up(math.ldexp(r, shift))) for r in ratios], dtype=np.int32)
    if node.op == "sub":
        multiplier[1] = -multiplier[1]
    low.emit(
        node, "q.add", node.inputs, out, {"multiplier": multiplier}, shift=shift, **bounds(low, node, out)
    )


def mul(low: Lowering, node: Node, out: str) -> None:
    a, b = (low.grid(name) for name in node.inputs)
    ratio = a.scale * b.scale / low.grid(out).scale
    low.emit(node, "q.mul", node.inputs, out, dict(requantization(ratio)), **bounds(low, node, out))


def clamp(low: Lowering, node: Node, out: str) -> None:
    """relu, relu6 and activations of few bits that nothing could absorb."""
    ratio = requantization(low.grid(node.inputs[0]).scale / low.grid(out).scale)
    low.emit(node, "q.requantize", node.inputs, out, dict(ratio), **bounds(low, node, out))


def table(low: Lowering, node: Node, out: str) -> None:
    """Any function of one value, computed once in float64: an entry for each int8, 257 knots over int16.

    A gate reads a wider range, such as a cell's memory, saturated: its knots would lie too far apart.
    """
    (source,), y = node.inputs, low.grid(out)
    x = low.grid(source)
    if node.op in GATES and x.dtype == "int16" and x.scale > GATE_SUM.scale:
        source, x = low.matched(source, GATE_SUM, node), GATE_SUM
    entries = table_entries(node.op, x, y)
    name = low.table(f"{node.name}.table", entries.astype(y.dtype if x.dtype == "int8" else np.int16))
    low.emit(node, "q.table", (source,), out, {"table": name})


def table_entries(op: str, x: Grid, y: Grid) -> IntArray:
    """Integers of `y` for all `table_points` of `x`."""
    lo, hi = ((q - y.zero) * y.scale for q in (y.qmin, y.qmax))
    return y.quantize(tabulated(op, (table_points(x) - x.zero) * x.scale, lo, hi))


def table_points(x: Grid) -> Array:
    """The integers of `x` for which a table has entries: all of 8 bits, every 256th of 16."""
    return np.arange(-128.0, 128.0) if x.dtype == "int8" else np.arange(-128.0, 129.0) * KNOT_STEP


def embedding(low: Lowering, node: Node, out: str) -> None:
    """Rows of integers, each brought from its own scale to the output's."""
    name = node.params["weight"]
    whole = low.source.weights[name].integers()
    if whole is None:
        raise _unquantized(low, node, name)
    low.weights[name] = low.source.weights[name]
    ratio = requantization(whole.scale.ravel().astype(np.float64) / low.grid(out).scale)
    params: dict[str, Array | str] = {"weight": name, **ratio}
    low.emit(node, "q.embedding", node.inputs, out, params, **bounds(low, node, out))


def constant(low: Lowering, node: Node, out: str) -> None:
    grid = low.grid(out)
    entries = grid.quantize(low.source.weights[node.params["value"]].decode())
    low.emit(node, "q.constant", (), out, {"value": entries.astype(grid.dtype)})


def max_pool(low: Lowering, node: Node, out: str) -> None:
    low.emit(node, "q.max_pool", node.inputs, out, {}, **node.attrs)


def avg_pool(low: Lowering, node: Node, out: str) -> None:
    window = math.prod(node.attrs["kernel"])
    padded = any(n for pair in node.attrs["padding"] for n in pair)
    counts = np.arange(1, window + 1) if padded and not node.attrs["count_padding"] else np.array([window])
    averaged(low, node, out, counts)


def mean(low: Lowering, node: Node, out: str) -> None:
    shape = low.source.values[node.inputs[0]].shape
    averaged(low, node, out, np.array([math.prod(shape[axis] for axis in node.attrs["axes"])]))


def averaged(low: Lowering, node: Node, out: str, counts: Array) -> None:
    ratio = low.grid(node.inputs[0]).scale / (low.grid(out).scale * counts.astype(np.float64))
    attrs = {**node.attrs, **bounds(low, node, out)}
    low.emit(node, f"q.{node.op}", node.inputs, out, dict(requantization(ratio)), **attrs)


def trees(low: Lowering, node: Node, out: str) -> None:
    """Thresholds on the input's grid, leaves on int16, or coarser where the sums would reach 2^30."""
    x, y = low.grid(node.inputs[0]), low.grid(out)
    w = {role: low.source.weights[name] for role, name in node.params.items()}
    # q <= floor(t / scale + zero) splits half a step around t at most; rounding would be off by up to one.
    place = np.floor(w["threshold"].decode().astype(np.float64) / x.scale) + x.zero
    leaf, bias = (w[role].decode().astype(np.float64) for role in ("leaf", "bias"))
    largest = float(np.abs(leaf).max())
    reach = float(np.abs(bias).max()) + largest * w["tree"].shape[0]
    step = max(largest / LEAF_MAX, reach / TREE_SUM_LIMIT) or y.scale
    if step / y.scale >= TREE_RATIO_LIMIT:
        found = f"leaves reach {largest:.3g}, but sums on the calibration data only {y.scale * 2**y.bits:.3g}"
        raise IllegalGraph(node.name, found, "leaves are int16 on one scale", "Boost with a smaller rate")
    params: dict[str, Array | str] = {role: _integers(w[role]) for role in STRUCTURE}
    params |= {
        "threshold": saturate(place, max(x.qmin - 1, -(2**15)), x.qmax).astype(np.int16),
        "leaf": round_half_up(leaf / step).astype(np.int16),
        "bias": round_half_up(bias / step).astype(np.int32),
        **requantization(step / y.scale),
    }
    low.emit(node, "q.trees", node.inputs, out, params, **bounds(low, node, out))


def _integers(fmt: Format) -> Array:
    assert isinstance(fmt, Integer), "the structure of trees is integers"
    return fmt.array


def move(low: Lowering, node: Node, out: str) -> None:
    """reshape, transpose, pad, slice, spread, reduce_max: bytes are taken as they are, the grid stays."""
    attrs = {key: value for key, value in node.attrs.items() if key != "value"}
    low.emit(node, f"q.{node.op}", node.inputs, out, {}, **attrs)


def concat(low: Lowering, node: Node, out: str) -> None:
    grid = low.grid(out)
    inputs = tuple(low.matched(name, grid, node) for name in node.inputs)
    low.emit(node, "q.concat", inputs, out, {}, **node.attrs)


RULES: Mapping[str, Rule] = {
    "linear": weighted,
    "conv": weighted,
    "add": add,
    "sub": add,
    "mul": mul,
    **dict.fromkeys(CLAMPS, clamp),
    **dict.fromkeys((*SMOOTH, *STEEP), table),
    "constant": constant,
    "reduce_max": move,
    "max_pool": max_pool,
    "avg_pool": avg_pool,
    "mean": mean,
    **dict.fromkeys(("reshape", "transpose", "pad", "slice", "spread"), move),
    "embedding": embedding,
    "concat": concat,
    "trees": trees,
}
