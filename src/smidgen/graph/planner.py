"""Static memory planner: every intermediate value gets a fixed place in one arena.

A value that only reinterprets bytes (reshape) shares its source's buffer, an elementwise result may overwrite
an operand that dies there, and buffers whose lifetimes do not overlap may reuse the same bytes. Graph inputs
and outputs are the caller's buffers and take no arena; nor do constants, which are read where they lie.

Finding the smallest arena is NP-hard (dynamic storage allocation). Greedy placements are tried and the
best is kept; on a chain the result is always the lower bound, the most bytes alive at any node.
Ref: Pisarchyk, Lee 2020 (arXiv 2001.03288), section 5.2 (greedy by size).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from smidgen.graph.core import Graph, Node
from smidgen.graph.ops import OPS
from smidgen.graph.scan import SCANS, body_of, next_states_of, states_of

ALIGNMENT_BYTES = 16
PROMOTIONS = 20  # retries of a greedy placement that misses the lower bound
OPERANDS_IN_PLACE = frozenset({"q.add", "q.mul", "add", "mul"})

CONSTANTS = frozenset({"constant", "q.constant"})

Where = Literal["input", "output", "arena", "constant"]


@dataclass(frozen=True)
class Place:
    """Where a value lives: in the graph's input or output number `index`, `offset` bytes into the arena, or
    where the tensor of the constant that is node number `index` is stored.
    """

    where: Where
    index: int = 0
    offset: int = 0


@dataclass(frozen=True)
class Buffer:
    """Values that share bytes, alive from node number `first` to `last` inclusive; `nbytes` is aligned."""

    values: tuple[str, ...]
    nbytes: int
    first: int
    last: int

    def meets(self, other: Buffer) -> bool:
        """Whether both are alive at the same node."""
        return self.first <= other.last and other.first <= self.last


@dataclass(frozen=True)
class MemoryPlan:
    """The result of `plan_memory`.

    `places` covers every value of the graph, and the working memory of nodes as `scratch_of(node)`, whose
    bytes are in `scratch`.
    `live_peak_bytes` is a lower bound of `arena_bytes`, reached while `peak_node` runs with `live_at_peak` in
    the arena (largest first). `copies` names the reshapes that can't share their source's bytes because both
    ends lie outside the arena, and the constants that are outputs.
    """

    places: Mapping[str, Place]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    live_peak_bytes: int
    peak_node: str
    live_at_peak: tuple[str, ...]
    copies: frozenset[str]
    scratch: Mapping[str, int]


NO_SCRATCH: Mapping[str, int] = {}


def plan_memory(
    graph: Graph, alignment_bytes: int = ALIGNMENT_BYTES, scratch: Mapping[str, int] = NO_SCRATCH
) -> MemoryPlan:
    """Place all values of `graph`; offsets and buffer sizes are multiples of `alignment_bytes`.

    `scratch`: bytes of working memory that nodes need while they run, by name; scans have theirs besides.

    Raises:
        ValueError: the alignment is not positive.
    """
    if alignment_bytes < 1:
        raise ValueError(f"an alignment of {alignment_bytes} bytes")
    working = {scratch_of(n): scratch[n.name] for n in graph.nodes if n.name in scratch}
    working |= {scratch_of(n): scratch_bytes(n) for n in graph.nodes if n.op in SCANS}
    groups, copies = _share(graph, working)
    arena = [group for group in groups if group.external is None]
    buffers = [group.buffer(alignment_bytes) for group in arena]
    offsets = place_buffers(buffers)
    places = {
        value: group.external or Place("arena", 0, offset)
        for group, offset in [
            *((group, 0) for group in groups if group.external),
            *zip(arena, offsets, strict=True),
        ]
        for value in group.values
    }
    number, peak, alive = _peak(buffers, len(graph.nodes))
    ends = [offset + buffer.nbytes for offset, buffer in zip(offsets, buffers, strict=True)]
    return MemoryPlan(
        places,
        tuple(buffers),
        max(ends, default=0),
        peak,
        graph.nodes[number].name if alive else "",
        tuple(_value_at(graph, buffer, number) for buffer in alive),
        frozenset(copies),
        working,
    )


@dataclass
class _Group:
    """A buffer in the making."""

    values: list[str]
    nbytes: int
    first: int
    last: int
    external: Place | None = field(default=None)

    def buffer(self, alignment: int) -> Buffer:
        nbytes = -(-self.nbytes // alignment) * alignment
        return Buffer(tuple(self.values), nbytes, self.first, self.last)

    def join(self, value: str, last: int, external: Place | None) -> None:
        self.values.append(value)
        self.last = max(self.last, last)
        self.external = self.external or external


def _share(graph: Graph, scratch: Mapping[str, int]) -> tuple[list[_Group], list[str]]:
    """Groups of values that share bytes, and the reshapes that have to copy."""
    last = _last_uses(graph)
    outputs = {value: Place("output", i) for i, value in reversed(list(enumerate(graph.outputs)))}
    of: dict[str, _Group] = {}
    groups: list[_Group] = []
    copies: list[str] = []
    for i, name in enumerate(graph.inputs):
        groups.append(_Group([name], graph.values[name].nbytes, 0, last[name], Place("input", i)))
        of[name] = groups[-1]
    for number, node in enumerate(graph.nodes):
        if scratch_of(node) in scratch:
            groups.append(_Group([scratch_of(node)], scratch[scratch_of(node)], number, number))
        shared = _shared_group(graph, node, number, of, outputs.get(node.output))
        for value in node.outputs:
            if shared is None:
                stored = Place("constant", number) if node.op in CONSTANTS else None
                place = outputs.get(value, stored)
                new = _Group([value], graph.values[value].nbytes, number, last[value], place)
                groups.append(new)
                of[value] = new
            else:
                shared.join(value, last[value], outputs.get(value))
                of[value] = shared
        if shared is None and (OPS[node.op].alias or (node.op in CONSTANTS and node.output in outputs)):
            copies.append(node.name)
    return groups, copies


def scratch_of(node: Node) -> str:
    """What the working memory of a node is called in a plan."""
    return f"{node.name} (working memory)"


def scratch_bytes(node: Node) -> int:
    """Bytes that a scan needs besides its values: its body's arena, then each next state (see `next_at`)."""
    return next_at(node, len(states_of(node)))


def next_at(node: Node, which: int) -> int:
    """Where in a scan's working memory the next value of state number `which` is put together."""
    body = body_of(node)
    sizes = (body.values[name].nbytes for name in next_states_of(node)[:which])
    return aligned(plan_memory(body).arena_bytes) + sum(map(aligned, sizes))


def aligned(nbytes: int) -> int:
    """`nbytes` rounded up to the planner's alignment."""
    return -(-nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES


def _last_uses(graph: Graph) -> dict[str, int]:
    """The number of the last node that needs each value; beyond the last node for outputs."""
    last = dict.fromkeys(graph.inputs, 0)
    for number, node in enumerate(graph.nodes):
        last.update(dict.fromkeys((*node.outputs, *node.inputs), number))
    return last | dict.fromkeys(graph.outputs, len(graph.nodes))


def _shared_group(
    graph: Graph, node: Node, number: int, of: Mapping[str, _Group], external: Place | None
) -> _Group | None:
    """The group whose bytes the node's output may take over, if any."""
    out = graph.values[node.outputs[0]]
    if OPS[node.op].alias:
        source = of[node.inputs[0]]
        return None if source.external and external else source
    for name in _overwritable(node):
        group, value = of[name], graph.values[name]
        same = value.size == out.size and group.nbytes == out.nbytes
        if same and group.last == number and group.external is None and value.batched == out.batched:
            return group
    return None


def _overwritable(node: Node) -> tuple[str, ...]:
    """Inputs whose element i is needed for nothing but output element i (where sizes agree)."""
    if node.op in OPERANDS_IN_PLACE:
        return node.inputs
    return node.inputs[:1] if OPS[node.op].elementwise else ()


def _peak(buffers: Sequence[Buffer], nodes: int) -> tuple[int, int, list[Buffer]]:
    """(node number, bytes, buffers largest first) where most bytes are alive."""
    best: tuple[int, int, list[Buffer]] = (0, 0, [])
    for number in range(nodes):
        alive = [buffer for buffer in buffers if buffer.first <= number <= buffer.last]
        nbytes = sum(buffer.nbytes for buffer in alive)
        if nbytes > best[1]:
            best = number, nbytes, sorted(alive, key=lambda b: -b.nbytes)
    return best


def _value_at(graph: Graph, buffer: Buffer, number: int) -> str:
    """The value that the buffer holds when node `number` is done."""
    made = {value for node in graph.nodes[: number + 1] for value in node.outputs}
    made.add(scratch_of(graph.nodes[number]))
    return [value for value in buffer.values if value in made][-1]


# Placement


def place_buffers(buffers: Sequence[Buffer]) -> list[int]:
    """Offsets, one a buffer; buffers alive at the same node do not overlap. Deterministic."""
    everything = range(len(buffers))
    by_size = sorted(everything, key=lambda i: (-buffers[i].nbytes, buffers[i].first))
    by_time = sorted(everything, key=lambda i: (buffers[i].first, -buffers[i].nbytes))
    candidates = [_promoted(buffers, by_size), _two_ended(buffers, by_time)]
    return min(candidates, key=lambda offsets: _height(buffers, offsets))


def _promoted(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """First fit, tried again with the buffer that ended on top placed first, while that may still help."""
    order = list(order)
    least = _least_height(buffers)
    best = offsets = _first_fit(buffers, order)
    for _ in range(PROMOTIONS):
        if _height(buffers, best) == least:
            break
        top = max(order, key=lambda i: offsets[i] + buffers[i].nbytes)
        order.remove(top)
        order.insert(0, top)
        offsets = _first_fit(buffers, order)
        best = min(best, offsets, key=lambda found: _height(buffers, found))
    return best


def _least_height(buffers: Sequence[Buffer]) -> int:
    """The most bytes alive at once: no placement is lower."""
    return max((sum(b.nbytes for b in buffers if b.first <= at.first <= b.last) for at in buffers), default=0)


def _height(buffers: Sequence[Buffer], offsets: Sequence[int]) -> int:
    return max((offset + buffer.nbytes for offset, buffer in zip(offsets, buffers, strict=True)), default=0)


def _first_fit(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """Each buffer in turn at the lowest offset where it fits."""
    offsets: dict[int, int] = {}
    for i in order:
        offsets[i] = _gaps(buffers, offsets, i)[0][0]
    return [offsets[i] for i in range(len(buffers))]


def _two_ended(buffers: Sequence[Buffer], order: Sequence[int]) -> list[int]:
    """In order of time, alternately at the bottom and at the top of an arena of the least possible size.

    Neighbours of a chain sit at opposite ends, so that a chain always fits; what does not fit goes on top.
    """
    height = _least_height(buffers)
    offsets: dict[int, int] = {}
    for turn, i in enumerate(order):
        size = buffers[i].nbytes
        inside = [
            (lo, min(hi, height)) for lo, hi in _gaps(buffers, offsets, i) if min(hi, height) - lo >= size
        ]
        if not inside:
            offsets[i] = _gaps(buffers, offsets, i)[-1][0]
        else:
            offsets[i] = inside[-1][1] - size if turn % 2 else inside[0][0]
    return [offsets[i] for i in range(len(buffers))]


def _gaps(buffers: Sequence[Buffer], offsets: Mapping[int, int], i: int) -> list[tuple[int, int]]:
    """The free intervals [lo, hi) that hold buffer i, lowest first; the last one is open upwards."""
    taken = sorted((at, at + buffers[j].nbytes) for j, at in offsets.items() if buffers[j].meets(buffers[i]))
    free, lo = [], 0
    for start, end in taken:
        if start - lo >= buffers[i].nbytes:
            free.append((lo, start))
        lo = max(lo, end)
    return [*free, (lo, 1 << 62)]
