"""What the layers of a network read, made up from the network alone.

Behind a BatchNorm, channel c has mean beta_c and deviation |gamma_c|: those are drawn, independent of each
other, and pass through what stands between the BatchNorm and the layer. Moments of branches that are added
add up. A layer without BatchNorm behind it hands on the moments of what it makes of its own made-up inputs.
Only the network's inputs are white noise.
Ref: Horton, Jin, Farhadi, Rastegari 2020 (arXiv 2011.09058).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from smidgen.graph import Graph, Node
from smidgen.graph.activations import ACTIVATION_FUNCTIONS
from smidgen.run.float_ops import FLOAT_FUNCTIONS
from smidgen.run.interpreter import Site

Floats = npt.NDArray[np.float32]
Vector = npt.NDArray[np.float64]
LAYERS = ("linear", "conv")
SUMS = ("add", "sub")
POOLS = ("max_pool", "avg_pool")
REDUCED = ("mean", "reduce_max")
REARRANGED = frozenset({"reshape", "transpose"})
MOST_ELEMENTS = 1 << 24  # of the draws of a value that is rearranged: 64 MiB
MOST_POSITIONS = 4
CURVE_POINTS = 1025


@dataclass(frozen=True, eq=False)
class Normal:
    """Channels [C] with these means and deviations."""

    mean: Vector
    deviation: Vector


@dataclass(frozen=True)
class Noise:
    """White noise of known range: three deviations to either end, what lies beyond moves to the end."""

    low: float
    high: float

    def shaped(self, standard: Floats) -> Floats:
        middle, deviation = (self.low + self.high) / 2, (self.high - self.low) / 6
        within: Floats = np.clip(middle + deviation * standard, self.low, self.high).astype(np.float32)
        return within


def stated(graph: Graph, folded: Graph) -> dict[str, Normal]:
    """What the BatchNorms of `graph` state of the values of `folded`, its canonical form."""
    kept = {node.name for node in folded.nodes}
    found: dict[str, Normal] = {}
    names: dict[str, str] = {}
    for node in graph.nodes:
        for out in node.outputs:
            gone = len(node.inputs) == 1 and node.name not in kept
            names[out] = names.get(node.inputs[0], node.inputs[0]) if gone else out
        if node.op == "batch_norm":
            gamma, beta = (graph.weights[node.params[role]].decode() for role in ("gamma", "beta"))
            found[names[node.output]] = Normal(beta.astype(np.float64), np.abs(gamma.astype(np.float64)))
        elif node.op in ("mul_constant", "add_constant") and names[node.output] in found:
            before = found[names[node.output]]
            constant = graph.weights[node.params["constant"]].decode().astype(np.float64)
            found[names[node.output]] = (
                Normal(before.mean * constant, before.deviation * np.abs(constant))
                if node.op == "mul_constant"
                else Normal(before.mean + constant, before.deviation)
            )
    return {name: law for name, law in found.items() if name in folded.values}


class Generated:
    """Draws of what the values of a canonical float graph hold.

    `laws` states values; the rest follows from them and from `noise` at the inputs. Positions share the part
    `smoothness`, 0 to 1, of a channel's variance: a BatchNorm says nothing of it, but what images and sounds
    become changes little from one position to the next. Values behind operators that mix positions otherwise
    than by pooling (recurrences, products of matrices, ...) are not known.
    """

    def __init__(
        self,
        graph: Graph,
        laws: Mapping[str, Normal],
        noise: Noise,
        count: int,
        smoothness: float,
        rng: np.random.Generator,
    ) -> None:
        self.graph, self.noise, self.smoothness, self.rng = graph, noise, smoothness, rng
        self.laws = dict(laws)
        self.known = {*graph.inputs, *laws}
        self._producers = {name: node for node in graph.nodes for name in node.outputs}
        whole = [graph.values[node.inputs[0]].size for node in graph.nodes if node.op in REARRANGED]
        self.count = max(min(count, MOST_ELEMENTS // max(whole, default=1)), 1)
        for node in graph.nodes:
            self._learn(node)

    def inputs_of(self, node: Node) -> Floats | None:
        """What a linear or conv layer multiplies, [groups, count, inputs of a filter], None if not known.

        The order of a filter's inputs is that of its weights.
        """
        if node.inputs[0] not in self.known:
            return None
        weight = self.graph.weights[node.params["weight"]]
        kernel = weight.shape[1:-1] if node.op == "conv" else None
        rank = len(self.graph.values[node.inputs[0]].shape) - 1
        drawn = self.draws(node.inputs[0], (1,) * rank if kernel is None else kernel)
        groups = int(node.attrs.get("groups", 1))
        parts = drawn.reshape(self.count, -1, groups, weight.shape[-1]).transpose(2, 0, 1, 3)
        return np.array(parts, order="C").reshape(groups, self.count, -1)

    def outputs_of(self, node: Node, x: Floats, weight: Floats) -> Floats:
        """What `weight` [O, ...] makes of `x` as `inputs_of` gives it, bias left out: [count, O]."""
        made = x @ weight.reshape(len(x), weight.shape[0] // len(x), -1).transpose(0, 2, 1)
        return made.transpose(1, 0, 2).reshape(self.count, -1)

    def draws(self, name: str, positions: tuple[int, ...]) -> Floats:
        """[count, *positions, C] of a known value of rank len(positions) + 1."""
        law, channels = self.laws.get(name), self.graph.values[name].shape[-1]
        shape = (self.count, *positions, channels)
        if law is not None:
            return (law.mean + law.deviation * self._standard(shape)).astype(np.float32)
        if name in self.graph.inputs:
            return self.noise.shaped(self._standard(shape))
        node = self._producers[name]
        if node.op in REARRANGED:
            return self._rearranged(node, positions)
        if node.op == "pad":
            return self.draws(node.inputs[0], positions)
        if node.op in POOLS:
            return self._pooled(node, positions)
        if node.op in REDUCED:
            return self._reduced(node, positions)
        return self._computed(node, [self._aligned(x, name, positions) for x in node.inputs])

    def reach(self, name: str, deviations: float) -> tuple[float, float]:
        """(lowest, highest) of a known value, `deviations` to both sides of the mean where a law says so."""
        if law := self.laws.get(name):
            spread = deviations * law.deviation
            return float((law.mean - spread).min()), float((law.mean + spread).max())
        if name in self.graph.inputs:
            return self.noise.low, self.noise.high
        node = self._producers[name]
        ends = [self.reach(x, deviations) for x in node.inputs]
        if node.op in ACTIVATION_FUNCTIONS:
            points = np.linspace(*ends[0], CURVE_POINTS)
            curve = ACTIVATION_FUNCTIONS[node.op](points)
            curve = curve[np.isfinite(curve)]
            return float(curve.min(initial=0.0)), float(curve.max(initial=0.0))
        corners = [math.prod(pair) for pair in _corners(ends)] if node.op == "mul" else sum(ends, ())
        return min(corners), max(corners)

    def _standard(self, shape: tuple[int, ...]) -> Floats:
        """Standard normal [count, *positions, C], of which positions share the part `smoothness`."""
        common = self.rng.standard_normal((shape[0], *(1,) * (len(shape) - 2), shape[-1]), np.float32)
        own = self.rng.standard_normal(shape, np.float32)
        return math.sqrt(self.smoothness) * common + math.sqrt(1 - self.smoothness) * own

    def _learn(self, node: Node) -> None:
        """Note whether what `node` makes is known, and its moments where they are needed."""
        if node.output in self.known or not set(node.inputs) <= self.known or not self._handled(node):
            return
        self.known.add(node.output)
        if node.op in LAYERS:
            x = self.inputs_of(node)
            assert x is not None  # its input is known
            made = self.outputs_of(node, x, self.graph.weights[node.params["weight"]].decode())
            bias = self.graph.weights[node.params["bias"]].decode() if "bias" in node.params else 0.0
            self.laws[node.output] = _moments(made + bias)
        elif node.op in SUMS:
            positions = (1,) * (len(self.graph.values[node.output].shape) - 1)
            made = self.draws(node.output, positions)
            self.laws[node.output] = _moments(made.reshape(self.count, -1))

    def _handled(self, node: Node) -> bool:
        shape = self.graph.values[node.inputs[0]].shape if node.inputs else ()
        if not shape or not self.graph.values[node.output].shape:
            return False
        last = len(shape) - 1
        if node.op in REDUCED:
            return last not in node.attrs["axes"]
        if node.op in ("concat", "gather"):
            return bool(node.attrs["axis"] == last)
        if node.op == "pad":
            return not any(node.attrs["pads"][-1]) and node.attrs["value"] == 0
        simple = node.op in (*LAYERS, *SUMS, "mul", *POOLS)
        return simple or node.op in REARRANGED or node.op in ACTIVATION_FUNCTIONS

    def _aligned(self, operand: str, made: str, positions: tuple[int, ...]) -> Floats:
        """Draws of an operand at the positions of the result that it reaches, its axes behind each other."""
        shape, whole = self.graph.values[operand].shape, self.graph.values[made].shape
        lacking = len(whole) - len(shape)
        sizes = zip(positions[lacking:], shape[:-1], whole[lacking:])
        drawn = self.draws(operand, tuple(1 if n == 1 < out else p for p, n, out in sizes))
        return drawn.reshape(self.count, *(1,) * lacking, *drawn.shape[1:])

    def _pooled(self, node: Node, positions: tuple[int, ...]) -> Floats:
        sizes = zip(positions, node.attrs["kernel"], node.attrs["stride"])
        x = self.draws(node.inputs[0], tuple((n - 1) * stride + kernel for n, kernel, stride in sizes))
        inside = replace(
            node, attrs={**node.attrs, "padding": ((0, 0),) * len(positions), "count_padding": True}
        )
        return self._computed(inside, [x])

    def _reduced(self, node: Node, positions: tuple[int, ...]) -> Floats:
        """A mean or maximum over at most MOST_POSITIONS of each axis: more hardly change it."""
        before, axes = self.graph.values[node.inputs[0]].shape, set(node.attrs["axes"])
        left = iter(positions)
        if node.attrs["keepdims"]:
            kept = positions
        else:
            kept = tuple(0 if axis in axes else next(left) for axis in range(len(before) - 1))
        sizes = (min(n, MOST_POSITIONS) if axis in axes else kept[axis] for axis, n in enumerate(before[:-1]))
        made = self._computed(node, [self.draws(node.inputs[0], tuple(sizes))])
        return np.broadcast_to(made, (self.count, *positions, before[-1]))

    def _computed(self, node: Node, x: list[Floats]) -> Floats:
        weights = {role: self.graph.weights[name].decode() for role, name in node.params.items()}
        if node.op == "gather":
            return np.take(x[0], weights["indices"].astype(np.int64), axis=-1)
        if node.op == "concat":
            return np.concatenate(x, axis=-1)
        values = self.graph.values
        inputs, outputs = (tuple(values[n] for n in names) for names in (node.inputs, node.outputs))
        made = FLOAT_FUNCTIONS[node.op](Site(node, weights, inputs, outputs, self.count), x)
        return np.asarray(made, dtype=np.float32)

    def _rearranged(self, node: Node, positions: tuple[int, ...]) -> Floats:
        """All positions, since each goes to a place of its own; then those asked for."""
        before = self.graph.values[node.inputs[0]].shape
        whole = self.draws(node.inputs[0], before[:-1])
        if node.op == "transpose":
            whole = whole.transpose(0, *(axis + 1 for axis in node.attrs["perm"]))
        whole = whole.reshape(self.count, *self.graph.values[node.output].shape)
        fitting = tuple(slice(0, n) for n in positions)
        missing = [(0, max(p - n, 0)) for p, n in zip(positions, whole.shape[1:-1])]
        return np.pad(whole[(slice(None), *fitting)], [(0, 0), *missing, (0, 0)])


def _moments(rows: Floats) -> Normal:
    return Normal(rows.mean(axis=0, dtype=np.float64), rows.std(axis=0, dtype=np.float64))


def _corners(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    (a, b) = ends
    return [(x, y) for x in a for y in b]
