"""Layers on planes of bits, what stands between them fused or not, against float32 and int8 ones.

A chain, as planes are worth packing where several layers hand them on: int8 goes in and out. `fused`: each
layer compares its sums and writes the next one's planes. `unfused`: the same kernel makes int8, and a 1x1
convolution a channel (ShiftNorm), a requantization (clip and round) and a packing of planes follow, all of
them integers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from benchmarks.kernel_cases.case import Case
from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import SmidgenError
from smidgen.formats import Binary, Format, Grid, Integer
from smidgen.graph import Graph, GraphBuilder, Node, Value
from smidgen.lower import lower
from smidgen.lower.grids import with_grids
from smidgen.measure.baselines import baselines
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer

LAYERS, SIZE, CHANNELS = 4, 14, 256
BITS = (1, 2, 3)
INT8 = {"lo": -128, "hi": 127}
RNG = np.random.default_rng(0)


def conv_256() -> Case:
    """Fused and unfused at 1, 2 and 3 bits, and the same convolutions in other runtimes."""
    weights = [RNG.normal(size=(CHANNELS, 3, 3, CHANNELS)).astype(np.float32) / 48 for _ in range(LAYERS)]
    candidates: dict[str, Callable[[], object]] = {}
    for bits in BITS:
        fused = chain(weights, bits)
        for name, graph in ((f"{bits} bits, fused", fused), (f"{bits} bits, unfused", unfused(fused))):
            candidates[name] = _ready(graph)
    candidates |= _others(weights)
    name = f"{LAYERS} × conv 3×3, {CHANNELS}→{CHANNELS} @{SIZE}²"
    return Case(name, candidates, f"{BITS[0]} bits, fused", note="The same sizes, each in its own numbers.")


def chain(weights: list[np.ndarray], bits: int) -> Graph:
    """The integer graph of the layers, ShiftNorm and an activation of `bits` bits between them."""
    b, scale = GraphBuilder("chain"), 1.0
    x = b.input("x", (SIZE, SIZE, CHANNELS))
    h = b.op(f"unipolar{bits}", [x])
    for i, weight in enumerate(weights):
        signs = Binary.fit_powers(weight, "tensor")
        h = b.conv(h, signs, padding=1)
        scale = float(signs.scale[0])
        if i < len(weights) - 1:
            spread = 9 * CHANNELS / 4 * scale**2
            params = {"mean": RNG.normal(size=CHANNELS) * spread**0.5, "variance": np.full(CHANNELS, spread)}
            h = b.op("shift_norm", [h], params, epsilon=1e-5, extra_scale=1.0)
            h = b.op(f"unipolar{bits}", [h])
    return lower(with_grids(b.graph(h), {"x": Grid(1 / 64, 0), h: Grid(2 * scale, 0)}))


def unfused(graph: Graph) -> Graph:
    """`graph` with int8 between a layer and three operators that make the next layer's planes of it."""
    for node in [node for node in graph.nodes if node.op == "q.serial_conv_planes"]:
        graph = _apart(graph, node)
    graph.check()
    return graph


def _apart(graph: Graph, node: Node) -> Graph:
    name, out = node.name, graph.values[node.output]
    assert out.grid is not None
    shape = (SIZE, SIZE, CHANNELS)
    own: dict[str, Format] = {
        f"{name}.ones": Integer(np.ones((CHANNELS, 1, 1, 1), np.int8)),
        f"{name}.none": Integer(np.zeros(CHANNELS, np.int32)),
        f"{name}.m": Integer(np.full(1, 2**15, np.uint16)),
        f"{name}.s": Integer(np.full(1, 18, np.uint8)),
    }
    ratio = {"multiplier": f"{name}.m", "shift": f"{name}.s"}
    window = {key: node.attrs[key] for key in ("stride", "padding", "dilation", "groups")}
    point = {"stride": (1, 1), "padding": ((0, 0), (0, 0)), "dilation": (1, 1), "groups": CHANNELS}
    sums, norm, levels = (f"{name}.{part}" for part in ("sums", "norm", "clipped"))
    ends = {"lo": out.grid.qmin, "hi": out.grid.qmax}
    glue = {**node.params, "weight": f"{name}.ones"}
    nodes = (
        Node(sums, "q.serial_conv", node.inputs, (sums,), _roles(node, name, ratio), {**window, **INT8}),
        Node(norm, "q.conv", (sums,), (norm,), glue, {**point, **INT8}),
        Node(levels, "q.requantize", (norm,), (levels,), ratio, ends),
        Node(name, "q.planes", (levels,), node.outputs, {}, ends),
    )
    values = {sums: Value(shape, "int8", Grid(1.0, 0)), norm: Value(shape, "int8", Grid(1.0, 0))}
    values[levels] = Value(shape, "int8", out.grid)
    return graph.with_weights(own).with_values(values).replace(name, *nodes)


def _roles(node: Node, name: str, ratio: Mapping[str, str]) -> dict[str, str]:
    return {"weight": node.params["weight"], "bias": f"{name}.none", **ratio}


def _ready(graph: Graph) -> Callable[[], object]:
    x = RNG.integers(-128, 128, (1, SIZE, SIZE, CHANNELS)).astype(np.int8)
    plan = native_plan(graph)
    np.testing.assert_array_equal(plan.run(x), run_integer(graph, x))
    return lambda: plan.run(x)


def _others(weights: list[np.ndarray]) -> dict[str, Callable[[], object]]:
    """ReLU between the layers, in the runtimes that are installed."""
    b = GraphBuilder("float")
    h = b.input("x", (SIZE, SIZE, CHANNELS))
    for weight in weights:
        h = b.op("relu", [b.conv(h, weight, np.zeros(CHANNELS), padding=1)])
    graph = b.graph(h)
    noise = Dataset(RNG.normal(size=(8, SIZE, SIZE, CHANNELS)).astype(np.float32), np.zeros(8, np.int64))
    whole = lower(AffineQuantization().apply(graph, Context(Splits(noise, noise, noise, ("0", "1")), graph)))
    with TemporaryDirectory() as folder:
        opened = list(baselines(graph, whole, 1, Path(folder)))
    return {name: made.call for name, made in opened if not isinstance(made, SmidgenError)}


CASES = [conv_256]
