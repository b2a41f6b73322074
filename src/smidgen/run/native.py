"""Runs a lowered graph in C: the whole network, for a whole batch, in one call. Needs no torch."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from smidgen.errors import BadInput
from smidgen.formats import Integer
from smidgen.graph import Graph, Node
from smidgen.graph.ops import OPS
from smidgen.lower.program import Port, Program
from smidgen.lower.schedule import schedule
from smidgen.numerics import Array
from smidgen.run.choose import kernel_times, quickest
from smidgen.run.loops import with_joined_products
from smidgen.run.plan_code import load, serialize
from smidgen.run.rest import with_rest
from smidgen.run.threads import chosen_threads


def native_plan(graph: Graph, threads: int | None = None) -> NativePlan:
    """Compile an integer graph into a plan of the kernels that are quickest here (`run/choose.py`).

    `threads` (1 to 256; SMIDGEN_THREADS or 1 if None) share out the samples of a batch,
    which pays where a batch takes longer than some 50 µs.

    Raises:
        Unsupported: lists every node without a kernel.
        BadInput: `threads` or an environment variable has a value that does not exist.
    """
    count = chosen_threads(threads)
    program = with_joined_products(schedule(graph))
    return NativePlan(graph, program, [quickest(times) for times in kernel_times(program)], count)


class NativePlan:
    """A scheduled network with its own arenas. Runs may come from several threads; they take turns.

    Attributes:
        graph: the integer graph it computes.
        program: the kernel calls.
        threads: how many share out the samples of a run, each with an arena of its own.
    """

    def __init__(self, graph: Graph, program: Program, choices: Sequence[str] = (), threads: int = 1) -> None:
        self.graph = graph
        self.program = program
        self.threads = threads
        self._plan = load(program.name, *serialize(program), choices)
        self._inputs = [(port.shape, np.dtype(port.dtype)) for port in program.inputs]
        self._results = [(port.shape, np.dtype(port.dtype)) for port in program.outputs]

    def run(self, x: Array | Sequence[Array]) -> Any:
        """Outputs [n, ...] for inputs [n, ...] of the ports' types; a tuple where there are several outputs.

        Inputs that only start a recurrence may be left out: it then starts at rest.

        Raises:
            BadInput: not one array [n, *shape] of the port's type for each input.
        """
        inputs = self._checked(x)
        n = inputs[0].shape[0] if inputs else 1
        outputs = self._outputs(n)
        self._plan.run(inputs, outputs, n, self.threads)
        return outputs[0] if len(outputs) == 1 else outputs

    @property
    def chosen(self) -> list[str]:
        """For each call of `program` which kernel runs it: `ref` (portable C), `avx512`, `avx512 im2col`."""
        names: list[str] = self._plan.chosen()
        return names

    @property
    def packed_bytes(self) -> list[int]:
        """For each call of `program` the bytes of constants that its kernel packed; 0: it packs none."""
        sizes: list[int] = self._plan.packed()
        return sizes

    def trace(self, x: Array | Sequence[Array]) -> dict[str, Array]:
        """Every node's output for one sample (inputs [1, ...]), by node name, without batch axis."""
        inputs = self._checked(x)
        if any(a.shape[0] != 1 for a in inputs):
            raise BadInput(self.graph.name, f"{inputs[0].shape[0]} samples", "a trace takes one")
        written = self._plan.trace(inputs, self._outputs(1))
        by_node = {call.node: raw for call, raw in zip(self.program.calls, written, strict=True)}
        values = {name: a[0] for name, a in zip(self.graph.inputs, inputs, strict=True)}
        for node in self.graph.nodes:
            values[node.output] = self._traced(node, by_node, values)
        return {node.name: values[node.output] for node in self.graph.nodes}

    def _traced(self, node: Node, by_node: dict[str, bytes], values: dict[str, Array]) -> Array:
        value = self.graph.values[node.output]
        shape = value.shape
        if node.name in by_node:
            return np.frombuffer(by_node[node.name], dtype=value.dtype).reshape(shape)
        if node.op == "q.constant":
            stored = self.graph.weights[node.params["value"]]
            assert isinstance(stored, Integer), "schedule() has read it"
            return stored.array
        assert OPS[node.op].alias, "only reshapes and constants run no kernel"
        return values[node.inputs[0]].reshape(shape)

    def run_traced(self, x: Array | Sequence[Array]) -> tuple[Any, dict[str, int]]:
        """`run`, and the CRC-32 of each node's output bytes over the batch: `layer_checksums`."""
        inputs = self._checked(x)
        sums = dict.fromkeys((node.name for node in self.graph.nodes), 0)
        for i in range(inputs[0].shape[0] if inputs else 1):
            for name, value in self.trace([a[i : i + 1] for a in inputs]).items():
                if i == 0 or self.graph.values[self.graph.node(name).output].batched:
                    sums[name] = zlib.crc32(value.tobytes(), sums[name])
        return self.run(inputs), sums

    def layer_seconds(self, x: Array | Sequence[Array], repeats: int = 50) -> dict[str, float]:
        """Median seconds a node for one sample (inputs [1, ...]), by node name; reshapes take none."""
        inputs = self._checked(x)
        if any(a.shape[0] != 1 for a in inputs):
            raise BadInput(self.graph.name, f"{inputs[0].shape[0]} samples", "layers are timed on one")
        outputs = self._outputs(1)
        runs = np.array([self._plan.times(inputs, outputs) for _ in range(repeats)])
        found: dict[str, float] = {}
        for call, seconds in zip(self.program.calls, np.median(runs, axis=0), strict=True):
            found[call.node] = found.get(call.node, 0.0) + float(seconds)
        return found

    def _outputs(self, n: int) -> tuple[Array, ...]:
        return tuple([np.empty((n, *shape), dtype) for shape, dtype in self._results])

    def _checked(self, x: Array | Sequence[Array]) -> tuple[Array, ...]:
        if isinstance(x, np.ndarray) and len(self._inputs) == 1 and _in_order(x):
            ((shape, dtype),) = self._inputs
            if x.dtype is dtype and x.ndim > 0 and x.shape[1:] == shape:  # the usual call: nothing to adapt
                return (x,)
        arrays = with_rest(self.graph, (x,) if isinstance(x, np.ndarray) else tuple(x))
        ports = self.program.inputs
        if len(arrays) != len(ports):
            raise BadInput(self.graph.name, f"{len(arrays)} inputs", f"the network takes {len(ports)}")
        return tuple(_checked(a, port, arrays[0]) for a, port in zip(arrays, ports, strict=True))


def _in_order(x: Array) -> bool:
    """Whether kernels can read it where it lies: contiguous, and int16 values at even addresses."""
    flags = x.flags
    return flags.c_contiguous and flags.aligned


def _checked(array: Array, port: Port, first: Array) -> Array:
    """One input as a contiguous array; only the layout in memory is adapted. Raises BadInput."""
    expected = f"[n, {', '.join(map(str, port.shape))}] {port.dtype} is needed"
    found = f"an array {list(np.shape(array))} of {getattr(array, 'dtype', type(array).__name__)}"
    if not isinstance(array, np.ndarray) or array.dtype != port.dtype:
        raise BadInput(f"input {port.name}", found, expected, "Quantize it with the input's grid")
    if array.shape[1:] != port.shape or array.ndim == 0:
        raise BadInput(f"input {port.name}", found, expected)
    if array.shape[0] != first.shape[0]:
        raise BadInput(f"input {port.name}", found, f"the first input has {first.shape[0]} samples")
    return np.require(array, requirements=("C_CONTIGUOUS", "ALIGNED"))
