"""Energy of one prediction. A model, never a measurement: it is always labelled so.

    energy = sum of operations * energy of the operation + sum of bytes moved * energy of a byte

The energies are in `energy.toml`. What is counted, for the graph as its kernels execute it:

- A multiply-accumulate is one multiplication in the type of the layer's input and one addition (int32 for
  integers). int16 has no figure in the table and is charged as int32.
- Every other element operation (a pool's tap, an element read or written, a decoded weight: those of
  `graph/cost.py`) is one addition, and so is each weight that a device's kernel unpacks to multiply it, again
  for every few outputs (`lower/device.py`).
- Requantizing a value is one int32 multiplication and one addition; `q.add` multiplies both of its terms.
- Each node reads its weights and inputs once and writes its outputs once, as if everything in between stayed
  in registers. Weights count as the kernel reads them: packed where it multiplies them in their stored form
  or decodes them, else int8 or float32. Zeros that a sparse form leaves out are multiplied all the same.
- Weights lie in the smallest memory of the table that holds all of them, activations in the smallest that
  holds their planned buffers. A microcontroller has no memory beyond its chip (and its flash is charged like
  SRAM, for which alone there is a figure); on a host, what exceeds the largest comes from DRAM.

Instructions, caches' misses and leakage are not modelled: compare candidates by it, promise no battery life.

Ref: Horowitz 2014, Computing's energy problem (and what we can do about it), ISSCC.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict

from smidgen.emit.c import CEmitter
from smidgen.formats import Binary, BinaryPacks, Format
from smidgen.formats.packing import WORD_BITS, pack_words
from smidgen.graph import Graph, Node
from smidgen.graph.cost import BINARY, MOVES_NOTHING, SERIAL, element_operations, macs
from smidgen.graph.planner import plan_memory
from smidgen.lower.decode import stream_bytes, worth_expanding
from smidgen.lower.device import unpackings
from smidgen.lower.schedule import nowhere
from smidgen.lower.stored_calls import IN_PLACE
from smidgen.measurement import Measurement
from smidgen.run.reference import executable
from smidgen.targets.target import Target

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

WORD_BYTES = 4
PLACE_BYTES = 2  # of a word that a layer keeps, among those of its window
# dtype of a layer's input -> (type of its multiplications, type of its additions)
_ARITHMETIC = {
    "int8": ("int8", "int32"),
    "int16": ("int32", "int32"),
    "float16": ("float16", "float16"),
    "uint32": ("int32", "int32"),
}
_REAL = ("float32", "float32")
_WORD_STEPS = 3  # exclusive or, count, sum: each taken for an addition of 32 bits


class Memory(BaseModel):
    """`word_pj` for 32 bits from a memory of at most `bytes`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    bytes: int
    word_pj: float


class Dram(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    word_pj: float


class EnergyTable(BaseModel):
    """Picojoules an operation by type; `on_chip` memories, smallest first."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: str
    multiply_pj: Mapping[str, float]
    add_pj: Mapping[str, float]
    on_chip: tuple[Memory, ...]
    dram: Dram

    def word_pj(self, held_bytes: int, target: Target) -> float:
        """Picojoules for 32 bits out of the memory that holds `held_bytes` on `target`."""
        fitting = (memory.word_pj for memory in self.on_chip if held_bytes <= memory.bytes)
        on_chip_only = target.kind == "microcontroller"
        beyond = self.on_chip[-1].word_pj if on_chip_only else self.dram.word_pj
        return next(fitting, beyond)


@dataclass(frozen=True)
class Work:
    """What one prediction takes: operations by type, bytes moved, and the bytes of what holds them."""

    multiplies: Mapping[str, int]
    adds: Mapping[str, int]
    weight_bytes: int
    activation_bytes: int
    stored_weight_bytes: int
    buffer_bytes: int


@cache
def energy_table() -> EnergyTable:
    """The figures of `energy.toml`, read once."""
    return EnergyTable.model_validate(tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8")))


def modelled_energy(graph: Graph, target: Target) -> list[Measurement]:
    """`energy_uj` of one sample in microjoules, how="modelled". `graph` is an artifact's or a float network.

    Devices keep weights, and run the first layers in strips, as the C that is emitted for them does; hosts
    expand weights once when they load. Empty where a float island hides what it computes.
    """
    if any(node.op == "island" for node in graph.nodes):
        return []
    work = work_of(graph) if target.kind == "host" or not graph.is_integer else _on_device(graph, target)
    return [Measurement("energy_uj", energy_pj(work, energy_table(), target) / 1e6, "uJ", "modelled")]


def _on_device(graph: Graph, target: Target) -> Work:
    executed = CEmitter().scheduled(graph, target).graph
    work = work_of(executed, worth_expanding)
    unpacked = sum(unpackings(executed).values())
    return replace(work, adds={**work.adds, "int32": work.adds.get("int32", 0) + unpacked})


def energy_pj(work: Work, table: EnergyTable, target: Target) -> float:
    """Picojoules of `work` on `target`."""
    computing = sum(n * table.multiply_pj[kind] for kind, n in work.multiplies.items())
    computing += sum(n * table.add_pj[kind] for kind, n in work.adds.items())
    moving = work.weight_bytes * table.word_pj(work.stored_weight_bytes, target)
    moving += work.activation_bytes * table.word_pj(work.buffer_bytes, target)
    return computing + moving / WORD_BYTES


def work_of(graph: Graph, in_place: Callable[[Format], bool] = nowhere) -> Work:
    """Operations and bytes of one sample, for the graph as it is executed (see `schedule`)."""
    multiplies, adds = Counter[str](), Counter[str]()
    for name, count in macs(graph).items():
        if (node := graph.node(name)).op in (*BINARY, *SERIAL):
            planes = graph.values[node.inputs[0]].shape[0] if node.op in SERIAL else 1
            adds["int32"] += -(-count // WORD_BITS) * _WORD_STEPS * planes
            continue
        multiply, add = _ARITHMETIC.get(_input_dtype(graph, graph.node(name)), _REAL)
        multiplies[multiply] += count
        adds[add] += count
    for name, count in element_operations(graph).items():
        adds[_ARITHMETIC.get(_input_dtype(graph, graph.node(name)), _REAL)[1]] += count
    requantized = sum(_requantizations(graph, node) for node in graph.nodes)
    multiplies["int32"] += requantized
    adds["int32"] += requantized
    read = {
        (node.name, name): _read_bytes(graph, node, name, in_place)
        for node in graph.nodes
        for name in _own(node)
    }
    stored = {name: count for (_, name), count in read.items()}  # tied weights are stored once
    moving = [node for node in graph.nodes if node.op not in MOVES_NOTHING]
    return Work(
        multiplies=+multiplies,
        adds=+adds,
        weight_bytes=sum(read.values()),
        activation_bytes=sum(graph.values[v].nbytes for n in moving for v in (*n.inputs, *n.outputs)),
        stored_weight_bytes=sum(stored.values()),
        buffer_bytes=plan_memory(graph).arena_bytes + _port_bytes(graph),
    )


def _own(node: Node) -> tuple[str, ...]:
    return tuple(node.params.values())


def _input_dtype(graph: Graph, node: Node) -> str:
    """The type a node computes in; a decode has no input and computes integers."""
    return graph.values[node.inputs[0]].dtype if node.inputs else "int8"


def _requantizations(graph: Graph, node: Node) -> int:
    if "multiplier" not in node.params:
        return 0
    return graph.values[node.output].size * (2 if node.op == "q.add" else 1)


def _read_bytes(graph: Graph, node: Node, name: str, in_place: Callable[[Format], bool]) -> int:
    """Bytes a kernel reads of one weight: packed leaves where it reads those."""
    fmt = graph.weights[name]
    if node.op in (*BINARY, *SERIAL) and isinstance(fmt, Binary):
        return int(pack_words(fmt.bits).nbytes)
    if node.op in BINARY and isinstance(fmt, BinaryPacks):
        return (WORD_BYTES + PLACE_BYTES) * fmt.packs_a_row * fmt.shape[0]
    packed = node.op == "q.decode" or (node.op in IN_PLACE and in_place(fmt))
    return stream_bytes(fmt) if packed else int(executable(fmt).nbytes)


def _port_bytes(graph: Graph) -> int:
    return sum(graph.values[name].nbytes for name in (*graph.inputs, *graph.outputs))
