"""Ways to run a node on real numbers: library kernels with its weights packed once, NumPy for the rest.

A way computes float32 from float32; ways of one node differ by rounding alone (docs/NUMERICS.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
import numpy.typing as npt

from smidgen.formats import Format
from smidgen.graph import Graph, Node
from smidgen.graph.core import Value
from smidgen.kernels.call import Kernel
from smidgen.kernels.product import float_products
from smidgen.kernels.winograd import strided, tiles, winograd
from smidgen.numerics import Array
from smidgen.run.float_ops import align
from smidgen.run.interpreter import Site
from smidgen.run.reference import FUNCTIONS, executable

Run = Callable[[Sequence[Array]], Sequence[Array]]
REAL = "float32"


@dataclass(frozen=True)
class Way:
    """One way to run a node: its name, and outputs [n, ...] for inputs [n, ...]. Outputs are overwritten by
    the next run."""

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


def ways_of(graph: Graph, node: Node) -> list[Way]:
    """All ways to run `node`; the last one is always there."""
    made = graph.values[node.output]
    reads = [graph.values[name] for name in node.inputs]
    if any(value.dtype != REAL for value in (*reads, made)):
        return [_numpy(graph, node)]
    if node.op in UFUNCS:
        return [Way("NumPy", partial(_elementwise, UFUNCS[node.op], Buffer(made)))]
    if node.op == "relu":
        return [Way("NumPy", partial(_relu, Buffer(made)))]
    formats = {role: graph.weights[name] for role, name in node.params.items()}
    if node.op == "linear" and "weight" in formats:
        products = float_products(formats["weight"])
        return [_biased(kernel.name, kernel, formats, Buffer(made)) for kernel in products]
    if node.op == "conv" and "weight" in formats:
        kernels = _convolutions(node, reads[0].shape, formats["weight"])
        found = [_biased(name, kernel, formats, Buffer(made)) for name, kernel in kernels]
        return found or [_numpy(graph, node)]
    return [_numpy(graph, node)]


UFUNCS: Mapping[str, np.ufunc] = {"add": np.add, "sub": np.subtract, "mul": np.multiply}


def _elementwise(function: np.ufunc, buffer: Buffer, x: Sequence[Array]) -> Sequence[Array]:
    a, b = align(x)
    return (function(a, b, out=buffer.of(max(len(a), len(b)))),)


def _relu(buffer: Buffer, x: Sequence[Array]) -> Sequence[Array]:
    return (np.maximum(x[0], 0, out=buffer.of(len(x[0]))),)


def _numpy(graph: Graph, node: Node) -> Way:
    """The reference's operator; its weights are decoded once."""
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

    return Way("NumPy", run)


def _biased(name: str, kernel: Kernel, formats: Mapping[str, Format], buffer: Buffer) -> Way:
    """The kernel for all its samples in a batch (rows of a sequence, pixels, whole images), and the bias."""
    bias = formats["bias"].decode() if "bias" in formats else None
    return Way(name, partial(_kernel, kernel, bias, buffer))


def _kernel(
    kernel: Kernel, bias: npt.NDArray[np.float32] | None, buffer: Buffer, x: Sequence[Array]
) -> Sequence[Array]:
    y = buffer.of(len(x[0]))
    kernel(x[0].reshape(-1, *kernel.x_shape), y.reshape(-1, *kernel.y_shape))
    if bias is not None:
        np.add(y, bias, out=y)
    return (y,)


def _convolutions(node: Node, shape: tuple[int, ...], weight: Format) -> list[tuple[str, Kernel]]:
    """Kernels by name for a convolution over one or two axes; none for groups and gaps between taps."""
    a = node.attrs
    if a["groups"] != 1 or len(shape) > 3 or any(step != 1 for step in a["dilation"]):
        return []
    missing = 3 - len(shape)  # a sequence is an image of one row
    size = (1,) * missing + shape[:-1]
    padding = ((0, 0),) * missing + tuple(tuple(pair) for pair in a["padding"])
    stride = (1,) * missing + tuple(a["stride"])
    dense = weight.decode()
    filters = dense.reshape(dense.shape[0], *(1,) * missing, *dense.shape[1:]).transpose(0, 3, 1, 2)
    kernels = [("convolution", strided(filters, size, padding, stride))]
    taps = filters.shape[2:]
    even = all(before == after for before, after in padding)
    if stride == (1, 1) and even:
        around = (padding[0][0], padding[1][0])
        kernels += [
            (f"winograd {tile}", winograd(filters, (size[0], size[1]), around, tile)) for tile in tiles(*taps)
        ]
    if stride == (1, 1) and taps == (1, 1) and not np.any(padding):
        kernels += [(kernel.name, kernel) for kernel in float_products(weight)]
    return kernels
