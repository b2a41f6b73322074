"""Static memory planner: every intermediate value gets a fixed place in one arena.

A value that only reinterprets bytes (reshape) shares its source's buffer, an elementwise result may overwrite
an operand that dies there, and buffers whose lifetimes do not overlap may reuse the same bytes. Graph inputs
and outputs are the caller's buffers and take no arena; nor do constants, which are read where they lie.

Offsets are aligned, sizes are exact: the last byte of the arena is one that the network writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from smidgen.graph.core import Graph, Node
from smidgen.graph.ops import OPS
from smidgen.graph.placement import Buffer, aligned, least_height, place_buffers
from smidgen.graph.scan import SCANS, body_of, next_states_of

ALIGNMENT_BYTES = 16
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
class MemoryPlan:
    """The result of `plan_memory`.

    `places` covers every value of the graph, and the working memory of nodes as `scratch_of(node)`, whose
    bytes are in `scratch`.
    `live_peak_bytes` is the most bytes alive at once: while `peak_node` runs, with `live_at_peak` (value ->
    bytes, largest first) in the arena. `aligned_peak_bytes` adds what no placement can avoid because offsets
    are aligned: live_peak_bytes <= aligned_peak_bytes <= arena_bytes. `copies` names the reshapes that can't
    share their source's bytes because both ends lie outside the arena, and the constants that are outputs.
    """

    places: Mapping[str, Place]
    buffers: tuple[Buffer, ...]
    arena_bytes: int
    live_peak_bytes: int
    aligned_peak_bytes: int
    peak_node: str
    live_at_peak: Mapping[str, int]
    copies: frozenset[str]
    scratch: Mapping[str, int]

    @property
    def alignment_bytes_lost(self) -> int:
        """Bytes between buffers at the peak that exist only because offsets are aligned."""
        return self.aligned_peak_bytes - self.live_peak_bytes

    @property
    def fragmentation_bytes(self) -> int:
        """Bytes by which the placement misses the lower bound."""
        return self.arena_bytes - self.aligned_peak_bytes


NO_SCRATCH: Mapping[str, int] = {}


def plan_memory(
    graph: Graph, alignment_bytes: int = ALIGNMENT_BYTES, scratch: Mapping[str, int] = NO_SCRATCH
) -> MemoryPlan:
    """Place all values of `graph` at offsets that are multiples of `alignment_bytes`.

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
    buffers = [group.buffer() for group in arena]
    offsets = place_buffers(buffers, alignment_bytes)
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
        least_height(buffers, alignment_bytes),
        graph.nodes[number].name if alive else "",
        {_value_at(graph, buffer, number): buffer.nbytes for buffer in alive},
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

    def buffer(self) -> Buffer:
        return Buffer(tuple(self.values), self.nbytes, self.first, self.last)

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
    body = body_of(node)
    made = [(which, name) for which, name in enumerate(next_states_of(node)) if name not in body.inputs]
    ends = [next_at(node, which) + body.values[name].nbytes for which, name in made]
    return max([plan_memory(body).arena_bytes, *ends])


def next_at(node: Node, which: int) -> int:
    """Where in a scan's working memory the next value of state number `which` is put together."""
    body = body_of(node)
    before = [name for name in next_states_of(node)[:which] if name not in body.inputs]
    sizes = [plan_memory(body).arena_bytes, *(body.values[name].nbytes for name in before)]
    return sum(aligned(nbytes, ALIGNMENT_BYTES) for nbytes in sizes)


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
