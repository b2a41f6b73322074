"""All values that a network computes for a batch, layer by layer, and each layer alone on given inputs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Protocol

import numpy as np

from smidgen.errors import BadInput
from smidgen.formats import Integer
from smidgen.formats.packing import (
    WORD_BITS,
    pack_planes,
    pack_words,
    plane_count,
    unpack_planes,
    unpack_words,
)
from smidgen.graph import Graph, Node, Value
from smidgen.lower import lower
from smidgen.numerics import Array
from smidgen.probe.align import Layout, layout_of
from smidgen.run.interpreter import interpret, interpret_chunks
from smidgen.run.reference import FUNCTIONS, executable
from smidgen.run.rest import with_rest

Wanted = Callable[[str], Array | None]  # value -> what it should be, real [n, ...]; None: not known


class Traced(Protocol):
    """Something that runs and shows its layers."""

    @property
    def layout(self) -> Layout: ...

    def values(self, x: Array) -> dict[str, Array]:
        """Every value of the layout, as stored, for real inputs [n, ...]."""


@dataclass(frozen=True)
class GraphTrace:
    """A graph in canonical or lowered form (`runnable`), run by the exact interpreter."""

    graph: Graph

    @cached_property
    def layout(self) -> Layout:
        return layout_of(self.graph)

    @property
    def batch_bytes(self) -> int:
        """Bytes that all values of one sample take as float32."""
        return 4 * sum(value.size for value in self.graph.values.values())

    def values(self, x: Array) -> dict[str, Array]:
        """Inputs included, scans by what leaves them. Raises BadInput where `x` does not fit."""
        inputs = self.inputs(x)
        found = dict(zip(self.graph.inputs, inputs, strict=True))

        def watch(node: Node, outputs: Sequence[Array]) -> None:
            if node.name in self._layers:
                found.update(zip(node.outputs, outputs, strict=True))

        interpret_chunks(self.graph, inputs, FUNCTIONS, self._weights.__getitem__, watch)
        return found

    def alone(self, x: Array, wanted: Wanted) -> Iterator[tuple[str, Array]]:
        """(value, what its layer makes of the wanted inputs), as stored, in order.

        Inputs that are wanted are put on the layer's own grid; others are what came out before.
        """
        live = dict(zip(self.graph.inputs, self.inputs(x), strict=True))
        last = {name: i for i, node in enumerate(self.graph.nodes) for name in node.inputs}
        for number, single in enumerate(self._singles):
            given = [live[name] for name in single.inputs]
            outputs = interpret(single, given, FUNCTIONS, self._weights.__getitem__)
            for name, array in zip(single.outputs, outputs, strict=True):
                yield name, array
                better = wanted(name)
                live[name] = array if better is None else stored(better, self.graph.values[name])
            for name in {*single.inputs, *single.outputs}:
                if last.get(name, -1) <= number:
                    live.pop(name, None)

    def inputs(self, x: Array) -> tuple[Array, ...]:
        """Real inputs as the graph takes them; recurrences start at rest."""
        if not self.graph.inputs:
            raise BadInput(self.graph.name, "it has no inputs", "one is needed")
        return with_rest(self.graph, (stored(x, self.graph.values[self.graph.inputs[0]]),))

    @cached_property
    def _layers(self) -> frozenset[str]:
        return frozenset(node.name for node in self.graph.nodes)

    @cached_property
    def _weights(self) -> Mapping[str, Array]:
        """Integers for integer operators and for the structure of trees, real numbers for float ones."""
        whole = {w for n in self.graph.walk() if n.op.startswith("q.") for w in n.params.values()}
        return {
            name: executable(fmt) if name in whole or isinstance(fmt, Integer) else fmt.decode()
            for name, fmt in self.graph.weights.items()
        }

    @cached_property
    def _singles(self) -> tuple[Graph, ...]:
        """One graph a layer."""
        return tuple(
            replace(
                self.graph,
                nodes=(node,),
                values={name: self.graph.values[name] for name in (*node.inputs, *node.outputs)},
                weights={name: self.graph.weights[name] for name in node.params.values()},
                inputs=tuple(dict.fromkeys(node.inputs)),
                outputs=node.outputs,
            )
            for node in self.graph.nodes
        )


def runnable(graph: Graph) -> Graph:
    """The graph as it is compared: lowered ones as they are, float ones in canonical form."""
    lowered = any(node.op.startswith("q.") for node in graph.nodes)
    return graph if lowered else lower(graph)


def stored(x: Array, value: Value) -> Array:
    """Real numbers as `value` holds them."""
    if value.dtype == "uint32" and value.grid is not None and (planes := plane_count(value.grid.bits)):
        return pack_planes(value.grid.quantize(x) - value.grid.qmin, planes)
    if value.dtype == "uint32":
        return pack_words(np.asarray(x) >= 0)
    if value.grid is None or value.dtype == "float32":
        return np.asarray(x, dtype=np.float32)
    return np.ascontiguousarray(value.grid.quantize(x).astype(value.dtype))


def real(x: Array, value: Value, like: Value | None = None) -> Array:
    """What the stored numbers of `value` stand for, float32.

    Of packed bits as many as `like` has channels, else all in the words.
    """
    if value.dtype == "uint32":
        words = value.shape[-1] * WORD_BITS
        channels = words if like is None or like.dtype == "uint32" else like.shape[-1]
        if value.grid is not None and plane_count(value.grid.bits):
            return value.grid.dequantize(unpack_planes(x, channels) + value.grid.qmin)
        return np.where(unpack_words(x, channels), np.float32(1), np.float32(-1))
    if value.grid is None or value.dtype == "float32":
        return np.asarray(x, dtype=np.float32)
    return value.grid.dequantize(x)
