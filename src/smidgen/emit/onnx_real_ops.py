"""Real-valued operators in float32 ONNX, one function each: shared by the float and the QDQ flavour."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np

from smidgen.emit.onnx_functions import FUNCTIONS, Write, clipped
from smidgen.emit.onnx_layout import Carried, in_order, placed
from smidgen.emit.onnx_ops import aligned, padded, pads, reduce_max, reshape, sliced, transpose
from smidgen.emit.onnx_products import gather, spread
from smidgen.emit.onnx_site import Site
from smidgen.emit.onnx_writer import OnnxWriter
from smidgen.graph import Graph, Node

INTEGERS = ("indices",)  # params that are numbers of positions
Operand = Callable[[str, bool], str]


@dataclass(frozen=True)
class RealSite(Site):
    """A node being written in float32; `weights` holds its `INTEGERS` alone.

    Attributes:
        params: ONNX names of its weights by role; the weight of a convolution is [O, I/groups, *k].
        first: inputs and output are channels first.
        lowest: what padding under a maximum holds.
        entries: rows of an embedding's table.
    """

    params: Mapping[str, str] = field(default_factory=dict)
    first: bool = False
    lowest: float = -np.inf
    entries: int = 0

    @property
    def rank(self) -> int:
        """Axes of one sample of the first input."""
        return len(self.inputs[0].shape)

    def optional(self, role: str) -> list[str]:
        return [self.params[role]] if role in self.params else []


RealRule = Callable[[OnnxWriter, RealSite], str]


def write_real(
    w: OnnxWriter,
    graph: Graph,
    node: Node,
    carried: Carried,
    operand: Operand,
    params: Mapping[str, str],
    lowest: float = -np.inf,
) -> tuple[str, bool]:
    """Append `node`; (ONNX name of its float32 result, whether that is channels first).

    `operand(value, first)` names a float32 input in the layout.
    """
    op = node.op.removeprefix("q.")
    data = node.inputs[:1] if op in ("linear", "conv") else node.inputs
    inputs = tuple(graph.values[name] for name in data)
    first = carried.prefers_first(op, node, inputs)
    names = tuple(operand(name, first) for name in data)
    output = graph.values[node.output]
    entries = graph.weights[node.params["weight"]].shape[0] if op == "embedding" else 0
    weights = {role: graph.weights[node.params[role]].decode() for role in INTEGERS if role in node.params}
    site = RealSite(
        node, weights, inputs, output, names, f"{node.output}.value", params, first, lowest, entries
    )
    return REAL_RULES[op](w, site), first and _keeps_channels(site)


def _keeps_channels(site: RealSite) -> bool:
    """Whether the output of a channels-first operator is channels first as well: a mean may drop axes."""
    if len(site.output.shape) < 2:
        return False
    dropped = site.node.op.endswith("mean") and not site.attrs["keepdims"]
    return not (dropped and site.rank - 1 in site.attrs["axes"])


def _linear(w: OnnxWriter, site: RealSite) -> str:
    operands = [site.names[0], site.params["weight"]]
    if site.rank == 1:
        return w.op("Gemm", [*operands, *site.optional("bias")], site.out, transB=1)
    turned = w.op("Transpose", [operands[1]], f"{site.out}.weight", perm=[1, 0])
    product = w.op("MatMul", [operands[0], turned], f"{site.out}.product")
    bias = site.optional("bias")
    return w.op("Add", [product, *bias], site.out) if bias else product


def _conv(w: OnnxWriter, site: RealSite) -> str:
    a = site.attrs
    return w.op(
        "Conv",
        [site.names[0], site.params["weight"], *site.optional("bias")],
        site.out,
        strides=list(a["stride"]),
        pads=pads(a["padding"]),
        dilations=list(a["dilation"]),
        group=a["groups"],
    )


def wide_padding(node: Node) -> bool:
    """Whether a pool's padding is as wide as its window, which ONNX's own padding may not be."""
    pairs = zip(node.attrs["kernel"], node.attrs["padding"], strict=True)
    return any(max(pair) >= kernel for kernel, pair in pairs)


def _max_pool(w: OnnxWriter, site: RealSite) -> str:
    a = site.attrs
    x, around = site.names[0], pads(a["padding"])
    if wide_padding(site.node):
        x = padded(w, x, [(0, 0), *a["padding"]], np.float32(site.lowest), f"{site.out}.padded")
        around = [0] * len(around)
    kernel = list(a["kernel"])
    return w.op("MaxPool", [x], site.out, kernel_shape=kernel, strides=list(a["stride"]), pads=around)


def _avg_pool(w: OnnxWriter, site: RealSite) -> str:
    a = site.attrs
    return w.op(
        "AveragePool",
        [site.names[0]],
        site.out,
        kernel_shape=list(a["kernel"]),
        strides=list(a["stride"]),
        pads=pads(a["padding"]),
        count_include_pad=int(a["count_padding"]),
    )


def _mean(w: OnnxWriter, site: RealSite) -> str:
    axes = sorted(placed(axis, site.rank, site.first) for axis in site.attrs["axes"])
    return w.op("ReduceMean", [site.names[0]], site.out, axes=axes, keepdims=int(site.attrs["keepdims"]))


def _normalize(w: OnnxWriter, site: RealSite) -> str:
    x, out = site.names[0], site.out
    over = {"axes": [axis + 1 for axis in site.attrs["axes"]], "keepdims": 1}
    if site.attrs["centered"]:
        x = w.op("Sub", [x, w.op("ReduceMean", [x], f"{out}.mean", **over)], f"{out}.centred")
    variance = w.op("ReduceMean", [w.op("Mul", [x, x], f"{out}.square")], f"{out}.variance", **over)
    epsilon = w.constant(site.attrs["epsilon"], np.float32, f"{out}.epsilon")
    deviation = w.op("Sqrt", [w.op("Add", [variance, epsilon], f"{out}.positive")], f"{out}.deviation")
    return w.op("Div", [x, deviation], out)


def _softmax(w: OnnxWriter, site: RealSite) -> str:
    """Where a mask lets nothing through, the weights would be equal: they become 0."""
    if "mask" not in site.params:
        return w.op("Softmax", [site.names[0]], site.out, axis=-1)
    mask, lowest = site.params["mask"], np.finfo(np.float32).min
    kept = w.cast(mask, np.bool_, f"{site.out}.mask")
    scores = [kept, site.names[0], w.constant(lowest, np.float32, "lowest")]
    weights = w.op("Softmax", [w.op("Where", scores, f"{site.out}.kept")], f"{site.out}.weights", axis=-1)
    return w.op("Mul", [weights, mask], site.out)


def _concat(w: OnnxWriter, site: RealSite) -> str:
    return w.op("Concat", list(site.names), site.out, axis=placed(site.attrs["axis"], site.rank, site.first))


def _pad(w: OnnxWriter, site: RealSite) -> str:
    around = in_order(site.attrs["pads"], site.first)
    return padded(w, site.names[0], around, np.float32(site.attrs.get("value", 0.0)), site.out)


def _slice(w: OnnxWriter, site: RealSite) -> str:
    axis = placed(site.attrs["axis"], site.rank, site.first)
    return sliced(w, site.names[0], axis, site.attrs, site.out)


def _matmul(w: OnnxWriter, site: RealSite) -> str:
    scale = site.attrs["scale"]
    product = w.op("MatMul", aligned(w, site), site.out)
    if scale == 1.0:
        return product
    return w.op("Mul", [product, w.constant(scale, np.float32, f"{site.out}.scale")], f"{site.out}.scaled")


def _spread(w: OnnxWriter, site: RealSite) -> str:
    return spread(w, site, np.float32(0))


def _embedding(w: OnnxWriter, site: RealSite) -> str:
    """A whole number outside the table means its nearest row."""
    rounded = w.op("Round", [site.names[0]], f"{site.out}.whole")
    inside = clipped(w, rounded, 0.0, site.entries - 1.0, f"{site.out}.inside")
    return w.op("Gather", [site.params["weight"], w.cast(inside, np.int64, f"{site.out}.row")], site.out)


def _named(kind: str, **attrs: float) -> RealRule:
    return lambda w, site: w.op(kind, aligned(w, site), site.out, **attrs)


def _function(write: Write) -> RealRule:
    return lambda w, site: write(w, site.names[0], site.out)


REAL_RULES: Mapping[str, RealRule] = {
    **{name: _function(write) for name, write in FUNCTIONS.items()},
    "linear": _linear,
    "conv": _conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "mean": _mean,
    "reduce_max": reduce_max,
    "softmax": _softmax,
    "normalize": _normalize,
    "add": _named("Add"),
    "sub": _named("Sub"),
    "mul": _named("Mul"),
    "matmul": _matmul,
    "concat": _concat,
    "reshape": reshape,
    "transpose": transpose,
    "pad": _pad,
    "slice": _slice,
    "spread": _spread,
    "gather": gather,
    "embedding": _embedding,
    "requantize": lambda w, site: site.names[0],
}
