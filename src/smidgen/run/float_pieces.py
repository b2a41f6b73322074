"""Ways to run a node on real numbers: library kernels with its weights packed once, NumPy for the rest.

A way computes float32 from float32; ways of one node differ by rounding alone (docs/NUMERICS.md).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.kernels.call import Kernel
from smidgen.lower.widths import CLAMPS
from smidgen.numerics import Array
from smidgen.run.float_layers import LAYERS, finish
from smidgen.run.float_ops import align
from smidgen.run.interpreter import Site
from smidgen.run.reference import FUNCTIONS, executable

Run = Callable[[Sequence[Array]], Sequence[Array]]
REAL = "float32"
UFUNCS: Mapping[str, np.ufunc] = {"add": np.add, "sub": np.subtract, "mul": np.multiply}
NUMPY = "NumPy"


@dataclass(frozen=True)
class Way:
    """One way to run a piece: its name, and outputs [n, ...] for inputs [n, ...], which the next run may
    overwrite."""

    name: str
    run: Run


class Buffer:
    """Memory for one value, of as many samples as were asked for so far."""

    def __init__(self, value: Value) -> None:
        self._memory = np.empty((1, *value.shape), np.float32)

    def of(self, samples: int) -> Array:
        """float32 [samples, ...], of unknown content."""
        if samples > len(self._memory):
            self._memory = np.empty((samples, *self._memory.shape[1:]), np.float32)
        return self._memory[:samples]


def fused_clamp(graph: Graph, node: Node) -> Node | None:
    """The ReLU that runs in one piece with a layer: it alone reads what the layer makes."""
    readers = graph.consumers(node.output)
    if node.op not in LAYERS or node.output in graph.outputs or len(readers) != 1:
        return None
    return readers[0] if readers[0].op in CLAMPS else None


def ways_of(graph: Graph, node: Node, clamp: Node | None = None) -> list[Way]:
    """All ways to run `node` and the ReLU `clamp` behind it; the first one is what nobody timed."""
    made = graph.values[node.output]
    reads = [graph.values[name] for name in node.inputs]
    if any(value.dtype != REAL for value in (*reads, made)):
        return [_numpy(graph, node)]
    if node.op in UFUNCS:
        return [Way(NUMPY, partial(_elementwise, UFUNCS[node.op], Buffer(made)))]
    if node.op == "relu":
        return [Way(NUMPY, partial(_relu, Buffer(made)))]
    if node.op == "mean" and sorted(node.attrs["axes"]) == list(range(len(reads[0].shape) - 1)):
        return [Way(NUMPY, partial(_channel_means, math.prod(reads[0].shape[:-1]), Buffer(made)))]
    if node.op not in LAYERS:
        return [_numpy(graph, node)]
    return _layers(graph, node, clamp) or [_numpy(graph, *([node, clamp] if clamp else [node]))]


def _layers(graph: Graph, node: Node, clamp: Node | None) -> list[Way]:
    """Each kernel with bias and clamp behind it."""
    made = graph.values[node.output]
    weight, bias = (graph.weights.get(node.params.get(role, "")) for role in ("weight", "bias"))
    if weight is None:
        return []
    after = finish(None if bias is None else bias.decode(), made.shape[-1], clamp)
    kernels = LAYERS[node.op](node, graph.values[node.inputs[0]].shape, weight)
    return [Way(name, _Layer(kernel, after, made)) for name, kernel in kernels]


class _Layer:
    """A kernel, which runs once a row, a pixel or an image, and what follows. Views are kept from call to
    call, as making them takes as long as a small layer."""

    def __init__(self, kernel: Kernel, after: Kernel | None, made: Value) -> None:
        self._kernel, self._after, self._samples = kernel, after, -1
        self._sums, self._results = Buffer(made), Buffer(made)

    def __call__(self, x: Sequence[Array]) -> Sequence[Array]:
        (a,) = x
        if len(a) != self._samples:
            self._view(len(a))
        self._kernel(a.reshape(self._x_shape), self._y)
        if self._after is not None:
            self._after(self._z, self._clamped)
        return self._made

    def _view(self, samples: int) -> None:
        y, kernel, after = self._sums.of(samples), self._kernel, self._after
        self._y, self._made = y.reshape(-1, *kernel.y_shape), (y,)
        self._x_shape = (len(self._y), *kernel.x_shape)
        if after is not None:
            result = self._results.of(samples)
            self._z, self._clamped = (v.reshape(-1, *after.x_shape) for v in (y, result))
            self._made = (result,)
        self._samples = samples


def _elementwise(function: np.ufunc, buffer: Buffer, x: Sequence[Array]) -> Sequence[Array]:
    a, b = align(x)
    return (function(a, b, out=buffer.of(max(len(a), len(b)))),)


def _relu(buffer: Buffer, x: Sequence[Array]) -> Sequence[Array]:
    return (np.maximum(x[0], 0, out=buffer.of(len(x[0]))),)


def _channel_means(places: int, buffer: Buffer, x: Sequence[Array]) -> Sequence[Array]:
    """Over all places of an image: the sums as a product, which NumPy computes several times faster."""
    y = buffer.of(len(x[0]))
    rows = x[0].reshape(len(y), places, x[0].shape[-1])
    np.matmul(np.ones((1, places), np.float32), rows, out=y.reshape(len(y), 1, x[0].shape[-1]))
    return (np.divide(y, np.float32(places), out=y),)


def _numpy(graph: Graph, *nodes: Node) -> Way:
    """The reference's operators, one behind the other; their weights are decoded once."""
    steps = [_step(graph, node) for node in nodes]

    def run(x: Sequence[Array]) -> Sequence[Array]:
        for step in steps:
            x = step(x)
        return x

    return Way(NUMPY, run)


def _step(graph: Graph, node: Node) -> Run:
    whole = node.op.startswith("q.")
    weights = {
        role: executable(graph.weights[name]) if whole else graph.weights[name].decode()
        for role, name in node.params.items()
    }
    reads, makes = (tuple(graph.values[name] for name in names) for names in (node.inputs, node.outputs))
    function = FUNCTIONS[node.op]

    def run(x: Sequence[Array]) -> Sequence[Array]:
        made = function(Site(node, weights, reads, makes, len(x[0]) if x else 1), x)
        return (made,) if isinstance(made, np.ndarray) else made

    return run
