"""Where a device's memory goes: the arena over time, what is alive at its peak, flash layer by layer.

All of it follows from the integer network alone; no compiler is asked, so the code of kernels is not in it.
"""

from __future__ import annotations

from dataclasses import dataclass

from smidgen.emit.c import CEmitter
from smidgen.emit.c_schedule import port_bytes
from smidgen.formats import Integer
from smidgen.graph import Graph, Node
from smidgen.graph.planner import MemoryPlan
from smidgen.lower.program import Program
from smidgen.targets.target import Target

ARGUMENT_BYTES = 4  # an entry of a kernel's argument struct, kept in flash


@dataclass(frozen=True)
class Moment:
    """Bytes alive in the arena while a node runs."""

    node: str
    op: str
    live_bytes: int


@dataclass(frozen=True)
class Live:
    """A tensor in the arena at the peak: from the node that makes it to the last one that reads it."""

    value: str
    shape: tuple[int, ...]
    nbytes: int
    made_by: str
    last_read_by: str


@dataclass(frozen=True)
class LayerFlash:
    """Bytes of the constants that a layer is the first to read, and of its arguments."""

    node: str
    op: str
    stored_as: str
    nbytes: int


@dataclass(frozen=True)
class MemoryMap:
    """RAM and flash of one network, in bytes. ram_bytes = arena + ports + stack; model_bytes leave out code.

    Ports (inputs and outputs) are whole words together.
    `fragmentation_bytes` is what the placement misses the lower bound by, `alignment_bytes_lost` what aligned
    offsets cost at the peak; both are inside `arena_bytes`.
    """

    arena_bytes: int
    live_peak_bytes: int
    alignment_bytes_lost: int
    fragmentation_bytes: int
    port_bytes: int
    stack_bytes: int
    model_bytes: int
    peak_node: str
    peak: tuple[Live, ...]
    moments: tuple[Moment, ...]
    layers: tuple[LayerFlash, ...]

    @property
    def ram_bytes(self) -> int:
        return self.arena_bytes + self.port_bytes + self.stack_bytes


def memory_map(graph: Graph, target: Target) -> MemoryMap:
    """The map of an integer graph as it is emitted in C for `target`.

    Raises Unsupported if a node has no kernel.
    """
    executed = CEmitter().scheduled(graph, target)
    plan = executed.plan
    layers = _layers(executed.graph, executed.program)
    return MemoryMap(
        plan.arena_bytes,
        plan.live_peak_bytes,
        plan.alignment_bytes_lost,
        plan.fragmentation_bytes,
        port_bytes(executed),
        target.stack_bytes,
        sum(layer.nbytes for layer in layers),
        plan.peak_node,
        tuple(_live(executed.graph, plan, name) for name in plan.live_at_peak),
        tuple(_moments(executed.graph, plan)),
        layers,
    )


def _moments(graph: Graph, plan: MemoryPlan) -> list[Moment]:
    return [
        Moment(node.name, node.op, sum(b.nbytes for b in plan.buffers if b.first <= number <= b.last))
        for number, node in enumerate(graph.nodes)
    ]


def _live(graph: Graph, plan: MemoryPlan, name: str) -> Live:
    nbytes = plan.live_at_peak[name]
    if name not in graph.values:  # the working memory of the node that runs then
        return Live(name, (nbytes,), nbytes, plan.peak_node, plan.peak_node)
    made_by, readers = graph.producer(name), graph.consumers(name)
    last = readers[-1].name if readers else "the caller"
    return Live(name, graph.values[name].shape, nbytes, made_by.name if made_by else "the caller", last)


def _layers(graph: Graph, program: Program) -> tuple[LayerFlash, ...]:
    """One a node that makes calls, expansion of its weight included; a constant counts where first read."""
    counted: set[int] = set()
    nbytes: dict[str, int] = {}
    stored: dict[str, set[str]] = {}
    for call in program.calls:
        node = graph.node(call.node)
        layer = graph.consumers(node.output)[0].name if node.op == "q.decode" else node.name
        read = {pointer.index for pointer in call.pointers if pointer and pointer.space == "constant"}
        fresh = sum(int(program.constants[index].array.nbytes) for index in read - counted)
        nbytes[layer] = nbytes.get(layer, 0) + fresh + ARGUMENT_BYTES * len(call.args)
        stored.setdefault(layer, set()).update(_formats(graph, node))
        counted |= read
    return tuple(
        LayerFlash(name, graph.node(name).op, ", ".join(sorted(stored[name])) or "–", count)
        for name, count in nbytes.items()
    )


def _formats(graph: Graph, node: Node) -> set[str]:
    """The formats of a node's weights, without the integers (bias, multipliers, tables) beside them."""
    used = (graph.weights[name] for name in node.params.values())
    return {fmt.label for fmt in used if not isinstance(fmt, Integer)}
