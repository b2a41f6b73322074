"""An exact linear layer inside a plan: weights packed as they are read, against the int8 plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np

from benchmarks.kernel_cases import onnx_peer
from benchmarks.kernel_cases.case import Case
from smidgen.formats import Grid, Integer
from smidgen.graph import Graph, Node, Value
from smidgen.kernels.isa import chosen_isa
from smidgen.run.native import NativePlan, native_plan

SIZE, GROUP, MANY, EMPTY = 4096, 128, 24, 0.9
NOTE = "The same integers; what measuring chose by itself: {chosen}."


def layer(weight: np.ndarray) -> Graph:
    """y = W x in integers, W int8 [out, in]."""
    out, width = weight.shape
    values = {"x": Value((width,), "int8", Grid(0.5, 3)), "y": Value((out,), "int8", Grid(0.5, -5))}
    arrays = {
        "weight": weight.astype(np.int8),
        "bias": np.zeros(out, np.int32),
        "multiplier": np.full(out, 40000, np.uint16),
        "shift": np.full(out, 26, np.uint8),
    }
    node = Node("layer", "q.linear", ("x",), ("y",), {role: role for role in arrays}, {"lo": -128, "hi": 127})
    graph = Graph("layer", (node,), values, {k: Integer(v) for k, v in arrays.items()}, ("x",), ("y",))
    graph.check()
    return graph


def few_bits(bits: int, samples: int, cold: bool) -> Case:
    rng = np.random.default_rng(0)
    low, high = (-8, 7) if bits == 4 else (-1, 1)
    weight = rng.integers(low, high, (SIZE, SIZE), endpoint=True)
    kind = "4-bit" if bits == 4 else "ternary"
    return _case(kind, f"{bits} bits", weight, samples, cold, bits, SIZE * SIZE * bits // 8)


def blocks(samples: int, cold: bool) -> Case:
    rng = np.random.default_rng(0)
    kept = np.repeat(rng.random((SIZE // 16, SIZE)) >= EMPTY, 16, axis=0)
    weight = rng.integers(-127, 127, (SIZE, SIZE), endpoint=True) * kept
    name = f"int8, {EMPTY:.0%} of 16x1 blocks empty,"
    return _case(name, "blocks", weight, samples, cold, 4, int(kept.mean() * SIZE * SIZE))


def _case(
    kind: str, how: str, weight: np.ndarray, samples: int, cold: bool, bits: int, read_bytes: int
) -> Case:
    """`bits` of the peer's weights."""
    rng = np.random.default_rng(1)
    x = rng.integers(-128, 127, (samples, SIZE), endpoint=True).astype(np.int8)
    real = x.astype(np.float32)
    graph = layer(weight)
    usual = native_plan(graph)
    return Case(
        f"{kind} {SIZE}x{SIZE} in a plan, batch {samples}, {'cold' if cold else 'warm'}",
        {
            f"plan, {how}": _run(graph, usual, f"{chosen_isa()} {how}", x),
            "plan, int8": _run(graph, usual, chosen_isa(), x),
            "ORT fp32": onnx_peer.matmul(weight.astype(np.float32), real),
            f"ORT MatMulNBits({bits})": onnx_peer.matmul_few_bits(weight.shape, real, bits, GROUP),
        },
        ours=f"plan, {how}",
        cold=cold,
        read_bytes=read_bytes if samples == 1 else None,
        note=NOTE.format(chosen=usual.chosen[0]),
    )


def _run(graph: Graph, usual: NativePlan, kernel: str, x: np.ndarray) -> Callable[[], object]:
    plan = NativePlan(graph, usual.program, [kernel])
    assert plan.chosen == [kernel]
    np.testing.assert_array_equal(plan.run(x), usual.run(x))
    return partial(plan.run, x)


CASES = [
    *(partial(few_bits, bits, 1, cold) for bits in (4, 2) for cold in (True, False)),
    partial(blocks, 1, True),
    partial(blocks, 1, False),
    partial(few_bits, 4, MANY, False),
    partial(few_bits, 2, MANY, False),
    partial(blocks, MANY, False),
]
