"""The DSP variants of Cortex-M4, M7 and M33 against plain loops, in the emulator, and what they cost."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from smidgen.formats import Affine, Binary, Codebook, Format, Ternary
from smidgen.graph import Graph
from smidgen.lower.device import on_device
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.models import dscnn, mlp
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


STORED = (
    lambda w: Affine.fit(w, 4, "channel", True),
    lambda w: Affine.fit(w, 3, "channel", False),
    lambda w: Affine.fit(w, 5, "group", True, group_size=7),
    lambda w: Codebook.fit(w, 4),
    lambda w: Ternary.fit(w, "channel"),
    lambda w: Binary.fit(w, "tensor"),
    lambda w: Affine.fit(w, 7, "tensor", False),
)


def stored_weight(rng: np.random.Generator, number: int, shape: Sequence[int]) -> Format:
    """Every form of dense weights in turns, scaled so that few outputs saturate."""
    return STORED[number % len(STORED)](rng.normal(size=tuple(shape)).astype(np.float32))


def with_stored_weights(graphs: Sequence[Graph]) -> list[Graph]:
    """The same operators with weights of fewer than 8 bits, whose device reads them as they are stored."""
    rng, found = np.random.default_rng(2), []
    for number, graph in enumerate(graphs):
        fmt = stored_weight(rng, number, graph.weights["weight"].shape)
        found.append(replace(graph, weights={**graph.weights, "weight": fmt}))
    return found


def stored_cases() -> list[Graph]:
    """Those of `cases`, and rows longer than a part that is unpacked at a time, alone and with others."""
    rng = np.random.default_rng(3)
    own = [
        linear(rng, (), 200, 6),
        linear(rng, (5,), 80, 9),
        linear(rng, (), 130, 7, 16),
        conv(rng, 7, 30, 6, 3, pad=1),
        conv(rng, 6, 17, 5, 5, stride=2, pad=2),
        conv(rng, 8, 10, 4, 3, dilation=2, pad=2),
        conv(rng, 6, 80, 6, 1),
        conv(rng, 5, 44, 6, 3, pad=2, groups=2),
        conv(rng, 12, 3, 3, 10, pad=4, groups=3),
    ]
    return with_stored_weights([*cases(), *own])


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


@pytest.mark.parametrize("part", range(6))
def test_stored_weights_of_odd_shapes_are_bit_exact(part: int, tmp_path: Path) -> None:
    graph = side_by_side(stored_cases()[part::6])
    kernels = [call.kernel for call in on_device(graph, "stored").program.calls]
    assert sum(kernel.endswith("_stored") for kernel in kernels) > len(kernels) * 2 // 3
    x, expected = samples_and_outputs(graph)
    for found, true in zip(emulated(graph, x, tmp_path).outputs, expected, strict=True):
        np.testing.assert_array_equal(found, true)


def test_stored_weights_of_four_bits_take_few_more_instructions_than_those_of_eight(tmp_path: Path) -> None:
    network = dscnn.build((49, 10, 1), 12, 0.25)
    few, eight = (
        emulated(graph, np.zeros((1, 49, 10, 1), np.int8), tmp_path / graph.name)
        for graph in (
            replace(integers_of(network, AffineQuantization(bits=bits)), name=f"bits{bits}")
            for bits in (4, 8)
        )
    )
    assert few.total_instructions < 1.5 * eight.total_instructions
    assert few.stack_bytes <= 1024


def test_a_fully_connected_layer_takes_fewer_instructions_than_cmsis_nn(tmp_path: Path) -> None:
    graph = integers_of(mlp.build((64,), 32, sizes=()))
    ran = emulated(graph, np.zeros((1, 64), np.int8), tmp_path)
    assert ran.total_instructions / (64 * 32) <= CMSIS_INSTRUCTIONS_A_MAC
