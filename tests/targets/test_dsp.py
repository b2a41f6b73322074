"""The DSP variants of Cortex-M4, M7 and M33 against plain loops, in the emulator, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.graph import Graph
from smidgen.models import mlp
from smidgen.run.reference import run_integer
from tests.integer_networks import integers_of
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_ratios
from tests.targets.test_cross import emulated

# CMSIS-NN built the same way: 5,547 instructions for FC 64 -> 32.
CMSIS_INSTRUCTIONS_A_MAC = 2.71


def side_by_side(graphs: Sequence[Graph]) -> Graph:
    """One graph of several: every input and output of all, so that one firmware tests all of them."""
    nodes, values, weights, inputs, outputs = [], {}, {}, [], []
    for number, graph in enumerate(graphs):
        name = f"g{number}.".__add__
        for node in graph.nodes:
            params = {role: name(weight) for role, weight in node.params.items()}
            renamed = tuple(map(name, node.inputs)), tuple(map(name, node.outputs))
            nodes.append(
                replace(node, name=name(node.name), inputs=renamed[0], outputs=renamed[1], params=params)
            )
        values |= {name(key): value for key, value in graph.values.items()}
        weights |= {name(key): weight for key, weight in graph.weights.items()}
        inputs += map(name, graph.inputs)
        outputs += map(name, graph.outputs)
    return Graph("many", tuple(nodes), values, weights, tuple(inputs), tuple(outputs))


def conv(rng, space, channels, out, kernel, stride=1, pad=0, dilation=1, groups=1, low=14, high=40) -> Graph:
    w = random_int8(rng, out, kernel, kernel, channels // groups)
    bias = rng.integers(-50000, 50000, out).astype(np.int32)
    params = {"weight": w, "bias": bias, **random_ratios(rng, int(rng.choice([1, out])), low, high)}
    attrs = {"stride": (stride,) * 2, "padding": ((pad, pad),) * 2, "dilation": (dilation,) * 2}
    zero = int(rng.choice([-128, 127, 5]))
    return one_node(
        "q.conv", [(space, space, channels)], params, (zero,), **attrs, groups=groups, lo=LO, hi=HI
    )


def linear(rng, rows, features, out, bits=8) -> Graph:
    bias = rng.integers(-50000, 50000, out).astype(np.int32)
    params = {"weight": random_int8(rng, out, features), "bias": bias, **random_ratios(rng, out, 1, 47)}
    lo, hi = (LO, HI) if bits == 8 else (-30000, 32767)
    return one_node("q.linear", [(*rows, features)], params, (-128,), out_bits=bits, lo=lo, hi=hi)


def cases() -> list[Graph]:
    rng = np.random.default_rng(0)
    return [
        *(linear(rng, rows, n, out) for rows, n, out in [((), 1, 1), ((), 13, 7), ((3,), 64, 32)]),
        linear(rng, (2, 2), 7, 5),
        *(linear(rng, (), n, out, 16) for n, out in [(13, 7), (32, 4)]),
        conv(rng, 6, 3, 5, 3, pad=1),
        conv(rng, 7, 8, 8, 3, stride=2, pad=2),
        conv(rng, 9, 4, 6, 3, dilation=2, pad=1),
        conv(rng, 5, 6, 9, 2, groups=3),
        conv(rng, 5, 16, 4, 1),
        conv(rng, 2, 3, 4, 5, pad=4),
        *(conv(rng, 6, n, n, 3, pad=1, groups=n) for n in (3, 4, 10)),
        conv(rng, 7, 8, 8, 3, stride=2, pad=2, dilation=2, groups=8),
        conv(rng, 10, 5, 5, 9, pad=3, groups=5),
        conv(rng, 3, 4, 4, 1, groups=4, low=1, high=47),
    ]  # fmt: skip


def samples_and_outputs(graph: Graph) -> tuple[tuple[np.ndarray, ...], list[np.ndarray]]:
    """Five random samples for every input, and what the reference makes of them, output by output."""
    rng = np.random.default_rng(1)
    x = tuple(random_int8(rng, 5, *graph.values[name].shape) for name in graph.inputs)
    made: dict[str, np.ndarray] = {}
    run_integer(graph, x, lambda node, outputs: made.update(zip(node.outputs, outputs, strict=True)))
    return x, [made[name] for name in graph.outputs]


@pytest.mark.parametrize("target", ["cortex-m4", "cortex-m0"])
def test_odd_shapes_are_bit_exact(target: str, tmp_path: Path) -> None:
    graph = side_by_side(cases())
    x, expected = samples_and_outputs(graph)
    for found, true in zip(emulated(graph, x, tmp_path, target).outputs, expected, strict=True):
        np.testing.assert_array_equal(found, true)


def test_a_fully_connected_layer_takes_fewer_instructions_than_cmsis_nn(tmp_path: Path) -> None:
    graph = integers_of(mlp.build((64,), 32, sizes=()))
    ran = emulated(graph, np.zeros((1, 64), np.int8), tmp_path)
    assert ran.total_instructions / (64 * 32) <= CMSIS_INSTRUCTIONS_A_MAC
