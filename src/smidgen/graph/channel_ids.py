"""Which elements of which axes are the same channel, found by one walk over the graph.

Every value has one tracked axis (its channels) and an id for each element of that axis; linear, conv and
embedding make new ids, as do the states of a scan; all other operators pass, merge or freeze them. Ids that
end up in one union-find class must be removed together; the class FROZEN must stay: graph inputs and outputs,
and whatever an operator here can't follow. Axes other than the tracked one never change.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from smidgen.graph.core import Graph, Node
from smidgen.graph.ops import ACTIVATIONS
from smidgen.graph.scan import body_of, next_states_of, sequences_of, states_of

FROZEN = 0


@dataclass(frozen=True)
class Tracked:
    """The channels of a value: `axis` counts from the right (-1 is the last), one id an element of it."""

    axis: int
    ids: tuple[int, ...]


class Classes:
    """Union-find over channel ids; the smallest id represents a class, so FROZEN (0) wins every merge."""

    def __init__(self) -> None:
        self._parent = [FROZEN]

    def new(self, count: int) -> tuple[int, ...]:
        first = len(self._parent)
        self._parent.extend(range(first, first + count))
        return tuple(range(first, first + count))

    def find(self, item: int) -> int:
        root = item
        while self._parent[root] != root:
            root = self._parent[root]
        while self._parent[item] != root:
            self._parent[item], item = root, self._parent[item]
        return root

    def merge(self, first: Iterable[int], second: Iterable[int]) -> None:
        """Put the i-th of `first` and the i-th of `second` into one class."""
        for a, b in zip(first, second, strict=True):
            low, high = sorted((self.find(a), self.find(b)))
            self._parent[high] = low

    def freeze(self, items: Iterable[int]) -> None:
        for item in items:
            self.merge((item,), (FROZEN,))


class ChannelIds:
    """The walk. `values` and `weights` ((name, axis) -> ids) hold ids to be looked up with `classes.find`."""

    def __init__(self, graph: Graph) -> None:
        self.graph, self.classes = graph, Classes()
        self.values: dict[str, Tracked] = {}
        self.weights: dict[tuple[str, int], tuple[int, ...]] = {}
        self._shapes = {name: graph.values[name].shape for name in graph.inputs}
        for name in graph.inputs:
            self.values[name] = self.fixed(name)
        self.follow(graph)
        self.stop(*(self.values[name] for name in graph.outputs))

    def follow(self, graph: Graph) -> None:
        """Walk the nodes of the graph or of a body, whose inputs are known."""
        self._shapes.update((name, value.shape) for name, value in graph.values.items())
        for node in graph.nodes:
            inputs = [self.values[name] for name in node.inputs]
            rule = RULES.get(node.op)
            if node.op == "scan":
                self.values.update(zip(node.outputs, _scan(self, node, inputs), strict=True))
            elif rule is None:
                self.stop(*inputs)
                self.values.update({name: self.fixed(name) for name in node.outputs})
            else:
                self.values[node.output] = rule(self, node, inputs)

    def shape(self, value: str) -> tuple[int, ...]:
        return self._shapes[value]

    def fixed(self, value: str) -> Tracked:
        """A value of which nothing may be removed."""
        return Tracked(-1, (FROZEN,) * (self.shape(value) or (1,))[-1])

    def stop(self, *tracked: Tracked) -> None:
        for item in tracked:
            self.classes.freeze(item.ids)

    def register(self, weight: str, axis: int, ids: tuple[int, ...]) -> None:
        """Record that `axis` of a weight carries these channels; a tied weight merges its users' channels."""
        self.classes.merge(self.weights.setdefault((weight, axis), ids), ids)

    def register_vectors(self, node: Node, ids: tuple[int, ...]) -> None:
        """Biases, scales and statistics: one entry a channel ([1] is shared by all of them)."""
        for role, weight in node.params.items():
            if role != "weight" and self.graph.weights[weight].shape == (len(ids),):
                self.register(weight, 0, ids)


Rule = Callable[[ChannelIds, Node, list[Tracked]], Tracked]


def _pass(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    return inputs[0]


def _per_channel(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """batch_norm, shift_norm and constants: their vectors lie along the last axis."""
    if inputs[0].axis == -1:
        walk.register_vectors(node, inputs[0].ids)
    return inputs[0]


def _constant(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """A tensor of channels of its own: what it is added to takes them along."""
    weight = node.params["value"]
    shape = walk.graph.weights[weight].shape
    if not shape:
        return walk.fixed(node.output)
    made = walk.classes.new(shape[-1])
    walk.register(weight, len(shape) - 1, made)
    return Tracked(-1, made)


def _reduced(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """normalize: what is reduced together stays together; its vectors lie along the last axis."""
    if inputs[0].axis + len(walk.shape(node.inputs[0])) in node.attrs["axes"]:
        walk.stop(inputs[0])
    return _per_channel(walk, node, inputs)


def _softmax(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    if inputs[0].axis == -1 or "mask" in node.params:
        walk.stop(inputs[0])
    return inputs[0]


def _pool(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    return _last_axis(walk, node.inputs[0], inputs[0])


def _last_axis(walk: ChannelIds, value: str, tracked: Tracked) -> Tracked:
    """The channels that an operator on the last axis meets; on another axis they are frozen."""
    if tracked.axis == -1:
        return tracked
    walk.stop(tracked)
    return walk.fixed(value)


def _linear(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    source = _last_axis(walk, node.inputs[0], inputs[0])
    made = walk.classes.new(walk.shape(node.output)[-1])
    walk.register(node.params["weight"], 0, made)
    walk.register(node.params["weight"], 1, source.ids)
    walk.register_vectors(node, made)
    return Tracked(-1, made)


def is_depthwise(groups: int, per_group: int) -> bool:
    """True where each input channel has filters of its own: it leaves together with its group."""
    return groups > 1 and per_group == 1


def _conv(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    source = _last_axis(walk, node.inputs[0], inputs[0])
    weight, groups = node.params["weight"], int(node.attrs["groups"])
    shape = walk.graph.weights[weight].shape
    made = walk.classes.new(shape[0])
    walk.register(weight, 0, made)
    walk.register_vectors(node, made)
    if is_depthwise(groups, shape[-1]):
        per_channel = shape[0] // groups
        walk.classes.merge(made, [i for i in source.ids for _ in range(per_channel)])
        return Tracked(-1, made)
    # Every group must keep the same number of inputs and outputs: couple the j-th channels of all groups.
    walk.register(weight, len(shape) - 1, _coupled(walk, source.ids, shape[-1]))
    _coupled(walk, made, shape[0] // groups)
    return Tracked(-1, made)


def _coupled(walk: ChannelIds, ids: tuple[int, ...], period: int) -> tuple[int, ...]:
    """Merge the elements that are a multiple of `period` apart; returns the first period."""
    first = ids[:period]
    for start in range(period, len(ids), period):
        walk.classes.merge(first, ids[start : start + period])
    return first


def _mean(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    rank = len(walk.shape(node.inputs[0]))
    axis = inputs[0].axis + rank
    if axis in node.attrs["axes"]:
        walk.stop(inputs[0])
        return walk.fixed(node.output)
    gone = 0 if node.attrs["keepdims"] else sum(a > axis for a in node.attrs["axes"])
    return Tracked(inputs[0].axis + gone, inputs[0].ids)


def _elementwise(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """add, sub and mul: equal channels are one channel; an operand of width 1 is spread and must stay."""
    result = inputs[0]
    for other in inputs[1:]:
        if other.axis != result.axis:
            walk.stop(*inputs)
            return walk.fixed(node.output)
        if len(other.ids) == len(result.ids):
            walk.classes.merge(result.ids, other.ids)
        else:
            narrow, result = sorted((result, other), key=lambda tracked: len(tracked.ids))
            walk.stop(narrow)
    return result


def _concat(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    first = inputs[0]
    if any(item.axis != first.axis for item in inputs):
        walk.stop(*inputs)
        return walk.fixed(node.output)
    if node.attrs["axis"] - len(walk.shape(node.output)) == first.axis:
        return Tracked(first.axis, tuple(i for item in inputs for i in item.ids))
    for item in inputs[1:]:
        walk.classes.merge(first.ids, item.ids)
    return first


def _slice(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    source, rank = inputs[0], len(walk.shape(node.inputs[0]))
    if node.attrs["axis"] - rank != source.axis:
        return source
    if node.attrs["step"] != 1:  # what stays might not be evenly spaced
        walk.stop(source)
    return Tracked(source.axis, source.ids[node.attrs["start"] : node.attrs["stop"] : node.attrs["step"]])


def _spread(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    if node.attrs["steps"][inputs[0].axis] == 1:
        return inputs[0]
    walk.stop(inputs[0])
    return walk.fixed(node.output)


def _gather(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """Positions are fixed numbers, so the channels that they count must all stay."""
    if node.attrs["axis"] - len(walk.shape(node.output)) != inputs[0].axis:
        return inputs[0]
    walk.stop(inputs[0])
    return walk.fixed(node.output)


def _matmul(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """The axes that are summed over are one axis; columns of the second input are channels of the product."""
    a, b = inputs
    if a.axis == -1 and b.axis == -2:
        walk.classes.merge(a.ids, b.ids)
        return walk.fixed(node.output)
    if a.axis == -1:
        walk.stop(a)
        return b if b.axis == -1 else _stopped(walk, node, b)
    if b.axis == -2:
        walk.stop(b)
        return a if a.axis == -2 else _stopped(walk, node, a)
    return _stopped(walk, node, a, b)


def _stopped(walk: ChannelIds, node: Node, *inputs: Tracked) -> Tracked:
    walk.stop(*inputs)
    return walk.fixed(node.output)


def _embedding(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    walk.stop(inputs[0])
    made = walk.classes.new(walk.shape(node.output)[-1])
    walk.register(node.params["weight"], 1, made)
    return Tracked(-1, made)


def _scan(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> list[Tracked]:
    """A unit of a state is one channel in all steps, in the initial and in the final state."""
    body, states = body_of(node), states_of(node)
    x = inputs[0]
    if x.axis == -len(walk.shape(node.inputs[0])):  # its channels are the steps
        walk.stop(x)
        x = Tracked(-1, (FROZEN,) * (body.values[body.inputs[0]].shape or (1,))[-1])
    walk.values[body.inputs[0]] = x
    for state in states:
        walk.values[state] = Tracked(-1, walk.classes.new((body.values[state].shape or (1,))[-1]))
    for state, given in zip(states, inputs[1:]):
        _same(walk, walk.values[state], given)
    walk.follow(body)
    for state, following in zip(states, next_states_of(node), strict=True):
        _same(walk, walk.values[state], walk.values[following])
    return [walk.values[name] for name in (*sequences_of(node), *states)]


def _same(walk: ChannelIds, first: Tracked, second: Tracked) -> None:
    if first.axis == second.axis:
        walk.classes.merge(first.ids, second.ids)
    else:
        walk.stop(first, second)


def _transpose(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    perm = list(node.attrs["perm"])
    return Tracked(perm.index(inputs[0].axis + len(perm)) - len(perm), inputs[0].ids)


def _pad(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    before, after = node.attrs["pads"][inputs[0].axis]
    return Tracked(inputs[0].axis, (FROZEN,) * before + inputs[0].ids + (FROZEN,) * after)


def _reshape(walk: ChannelIds, node: Node, inputs: list[Tracked]) -> Tracked:
    """Follow the channels through a reshape.

    In row-major order the ids repeat with period n * inner (each `inner` times in a row). An output axis
    whose own period is a multiple of that carries the ids repeated ([H, W, C] -> [H*W*C]); one whose period
    divides it splits the channels ([g*C] -> [g, C]), which couples the j-th channels of all parts.
    """
    source, old, new = inputs[0], walk.shape(node.inputs[0]), walk.shape(node.output)
    inner = math.prod(old[len(old) + source.axis + 1 :])
    for exact in (True, False):
        for axis in range(-1, -len(new) - 1, -1):
            new_inner = math.prod(new[len(new) + axis + 1 :])
            if not new_inner or inner % new_inner:
                continue
            pattern = tuple(i for i in source.ids for _ in range(inner // new_inner))
            width = new[axis]
            if exact and width % len(pattern) == 0:
                return Tracked(axis, pattern * (width // len(pattern)))
            if not exact and width > 1 and len(pattern) % width == 0:
                return Tracked(axis, _coupled(walk, pattern, width))
    walk.stop(source)
    return walk.fixed(node.output)


RULES: Mapping[str, Rule] = {
    **dict.fromkeys((*ACTIVATIONS, "overwrite", "quantize", "dequantize"), _pass),
    **dict.fromkeys(("batch_norm", "shift_norm", "add_constant", "mul_constant"), _per_channel),
    "softmax": _softmax,
    "normalize": _reduced,
    "constant": _constant,
    "reduce_max": _mean,
    "max_pool": _pool,
    "avg_pool": _pool,
    "linear": _linear,
    "conv": _conv,
    "mean": _mean,
    "add": _elementwise,
    "sub": _elementwise,
    "mul": _elementwise,
    "concat": _concat,
    "slice": _slice,
    "spread": _spread,
    "gather": _gather,
    "matmul": _matmul,
    "embedding": _embedding,
    "transpose": _transpose,
    "pad": _pad,
    "reshape": _reshape,
}
