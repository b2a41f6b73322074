"""The oracle itself, against plain Python loops over exact integers straight from docs/NUMERICS.md."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.formats import Grid, Integer
from smidgen.graph import Graph, Node, Value
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.interpreter import CHUNK
from smidgen.run.reference import layer_checksums, run_integer
from tests.networks import noise_like, small_cnn

X_GRID, Y_GRID = Grid(0.1, 3), Grid(0.2, -5)
small = st.integers(1, 3)


def shift_half_up(value: int, shift: int) -> int:
    return (value + (1 << (shift - 1))) >> shift  # Python's >> floors, as the rule asks


def single(op: str, shape: tuple[int, ...], weights: dict[str, np.ndarray], **attrs: object) -> Graph:
    """A graph of one integer operator from int8 [shape] on X_GRID to Y_GRID."""
    node = Node("n", op, ("x",), ("y",), {role: role for role in weights}, {"lo": -128, "hi": 127, **attrs})
    values = {"x": Value(shape, "int8", X_GRID), "y": Value((), "int8", Y_GRID)}
    stored = {role: Integer(array) for role, array in weights.items()}
    return Graph("one", (node,), values, stored, ("x",), ("y",)).inferred()


def ratios(rng: np.random.Generator, n: int) -> dict[str, np.ndarray]:
    return {
        "multiplier": rng.integers(2**15, 2**16, n).astype(np.uint16),
        "shift": rng.integers(18, 26, n).astype(np.uint8),
    }


@settings(max_examples=40)
@given(
    st.integers(0, 9999),
    st.tuples(st.integers(3, 6), st.integers(3, 6)),
    small,
    small,
    small,
    st.tuples(small, small),
    st.tuples(st.integers(0, 2), st.integers(0, 2)),
    st.integers(1, 2),
)
def test_convolution_equals_the_loop(seed, space, groups, per_in, per_out, kernel, pad, stride) -> None:
    rng = np.random.default_rng(seed)
    c_in, c_out = groups * per_in, groups * per_out
    w = rng.integers(-127, 128, (c_out, *kernel, per_in)).astype(np.int8)
    bias = rng.integers(-1000, 1000, c_out).astype(np.int32)
    params = {"weight": w, "bias": bias, **ratios(rng, c_out)}
    padding = ((pad[0], pad[1]), (pad[1], pad[0]))
    graph = single(
        "q.conv", (*space, c_in), params, stride=(stride, 1), padding=padding, dilation=(1, 1), groups=groups
    )
    x = rng.integers(-128, 128, (1, *space, c_in)).astype(np.int8)
    y = run_integer(graph, x)
    for i, j, o in itertools.product(*map(range, y.shape[1:])):
        acc = int(bias[o])
        for a, b, c in itertools.product(range(kernel[0]), range(kernel[1]), range(per_in)):
            r, s = i * stride + a - padding[0][0], j + b - padding[1][0]
            if 0 <= r < space[0] and 0 <= s < space[1]:
                acc += int(w[o, a, b, c]) * (int(x[0, r, s, o // per_out * per_in + c]) - X_GRID.zero)
        q = shift_half_up(acc * int(params["multiplier"][o]), int(params["shift"][o])) + Y_GRID.zero
        assert y[0, i, j, o] == min(max(q, -128), 127)


@settings(max_examples=30)
@given(st.integers(0, 9999), st.integers(3, 7), st.integers(1, 3), st.integers(1, 2), st.booleans())
def test_average_pool_counts_only_positions_inside(seed, length, kernel, stride, count_padding) -> None:
    rng = np.random.default_rng(seed)
    pad = (kernel - 1, kernel // 2)
    params = ratios(rng, 1 if count_padding else kernel)
    graph = single(
        "q.avg_pool",
        (length, 2),
        params,
        kernel=(kernel,),
        stride=(stride,),
        padding=(pad,),
        count_padding=count_padding,
    )
    x = rng.integers(-128, 128, (1, length, 2)).astype(np.int8)
    y = run_integer(graph, x)
    for i, c in itertools.product(*map(range, y.shape[1:])):
        inside = [t for t in range(i * stride - pad[0], i * stride - pad[0] + kernel) if 0 <= t < length]
        which = 0 if count_padding else len(inside) - 1
        acc = sum(int(x[0, t, c]) - X_GRID.zero for t in inside)
        q = shift_half_up(acc * int(params["multiplier"][which]), int(params["shift"][which])) + Y_GRID.zero
        assert y[0, i, c] == min(max(q, -128), 127)


@settings(max_examples=30)
@given(st.integers(0, 9999), st.integers(1, 9))
def test_softmax_equals_the_exact_division(seed, n) -> None:
    rng = np.random.default_rng(seed)
    table = np.sort(rng.integers(0, 65536, 256))[::-1].astype(np.uint16)
    table[0] = 65535
    graph = single("q.softmax", (n,), {"table": table})
    x = rng.integers(-128, 128, (1, n)).astype(np.int8)
    e = [int(table[int(x.max()) - int(v)]) for v in x[0]]
    assert run_integer(graph, x)[0].tolist() == [min((256 * v + sum(e) // 2) // sum(e) - 128, 127) for v in e]


def test_a_batch_larger_than_a_chunk_equals_single_samples() -> None:
    graph = small_cnn()
    lowered = lower(AffineQuantization().apply(graph, Context(noise_like(graph), graph)))
    x = np.random.default_rng(0).integers(-128, 128, (CHUNK + 3, 8, 8, 1)).astype(np.int8)
    whole = run_integer(lowered, x)
    assert np.array_equal(whole, np.concatenate([run_integer(lowered, x[i : i + 1]) for i in range(len(x))]))


def test_checksums_name_every_layer_and_notice_one_bit() -> None:
    graph = small_cnn()
    lowered = lower(AffineQuantization().apply(graph, Context(noise_like(graph), graph)))
    x = np.zeros((1, 8, 8, 1), np.int8)
    before = layer_checksums(lowered, x)
    x[0, 4, 4, 0] = 50
    after = layer_checksums(lowered, x)
    assert list(before) == [node.name for node in lowered.nodes]
    assert before[lowered.nodes[0].name] != after[lowered.nodes[0].name]


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 8, 7, 1), (8, 8, 1)])
def test_a_wrong_input_shape_is_one_clear_error(shape: tuple[int, ...]) -> None:
    graph = small_cnn()
    lowered = lower(AffineQuantization().apply(graph, Context(noise_like(graph), graph)))
    with pytest.raises(BadInput, match=r"\[n, 8, 8, 1\] is needed"):
        run_integer(lowered, np.zeros(shape, np.int8))
