"""Layout: transposes go, values stay."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.graph import Graph, GraphBuilder
from smidgen.load.finish import finish
from smidgen.load.layout import composed, is_reshape, simplify
from smidgen.load.reshape_groups import axis_groups, regroup
from smidgen.run.float_ops import run_float
from tests.load.onnx_models import floats


def transposes(graph: Graph) -> int:
    return sum(node.op == "transpose" for node in graph.nodes)


def simplified(graph: Graph) -> Graph:
    """The simplified graph, which must compute the same."""
    x = floats(2, *graph.values[graph.inputs[0]].shape)
    found = simplify(graph)
    np.testing.assert_allclose(run_float(found, x), run_float(graph, x), rtol=1e-5, atol=1e-5)
    return found


OPS = (
    "relu",
    "double",
    "conv",
    "mean",
    "pad",
    "concat",
    "self",
    "first",
    "transpose",
    "join",
    "split",
    "flat",
)


def append(b: GraphBuilder, made: list[str], choice: str, number: int) -> str:
    """Some operator on the last value, with whatever settings its shape allows."""
    x, shape = made[-1], b.shape(made[-1])
    rank, axis = len(shape), number % len(shape)
    if choice == "double":
        return b.op("mul_constant", [x], {"constant": floats(shape[-1], seed=number)})
    if choice == "conv" and rank == 3:
        return b.conv(x, floats(3, 1, 1, shape[-1], seed=number))
    if choice == "mean" and rank > 1:
        return b.op("mean", [x], axes=(axis,), keepdims=bool(number % 2))
    if choice == "pad":
        return b.op("pad", [x], pads=tuple((int(a == axis), 0) for a in range(rank)), value=0.5)
    if choice == "concat":
        return b.op("concat", [x, b.op("relu", [x])], axis=axis)
    if choice == "self":
        return b.op("add", [x, b.op("sigmoid", [x])])
    if choice == "first":
        fits = [v for v in made if b.shape(v) == shape]
        return b.op("mul", [x, fits[0]])
    if choice == "transpose":
        perms = list(itertools.permutations(range(rank)))
        return b.op("transpose", [x], perm=perms[number % len(perms)])
    if choice == "join" and rank > 1:
        a = number % (rank - 1)
        return b.op("reshape", [x], shape=(*shape[:a], shape[a] * shape[a + 1], *shape[a + 2 :]))
    if choice == "split" and shape[axis] % 2 == 0 and rank < 4:
        return b.op("reshape", [x], shape=(*shape[:axis], 2, shape[axis] // 2, *shape[axis + 1 :]))
    if choice == "flat":
        flat = b.op("relu", [b.flatten(x)])
        return b.linear(flat, floats(6, b.shape(flat)[0], seed=number))
    return b.op("relu", [x])


@settings(max_examples=150)
@given(steps=st.lists(st.tuples(st.sampled_from(OPS), st.integers(0, 23)), max_size=9))
def test_any_network_keeps_its_values(steps: list[tuple[str, int]]) -> None:
    b = GraphBuilder("random")
    made = [b.input("x", (2, 4, 3))]
    for choice, number in steps:
        made.append(append(b, made, choice, number))
    graph = b.graph(made[-1]) if len(made) > 1 else b.graph(b.op("relu", ["x"]))
    x = floats(2, 2, 4, 3)
    found = finish(graph)
    np.testing.assert_allclose(run_float(found, x), run_float(graph, x), rtol=1e-4, atol=1e-5)


def test_inverse_transposes_cancel() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (2, 3, 4))], perm=(1, 2, 0))
    x = b.op("transpose", [b.op("relu", [x])], perm=(2, 0, 1))
    assert transposes(simplified(b.graph(x))) == 0


def test_a_flatten_between_layouts_permutes_the_next_weight() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (2, 3, 4))], perm=(2, 0, 1))
    graph = b.graph(b.linear(b.flatten(x), floats(5, 24), floats(5)))
    found = simplified(graph)
    assert transposes(found) == 0
    assert [node.op for node in found.nodes] == ["reshape", "linear"]


def test_a_flatten_is_followed_through_per_channel_operators() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (2, 3, 4))], perm=(2, 0, 1))
    roles = ("gamma", "beta", "mean", "variance")
    x = b.op("batch_norm", [b.flatten(x)], {role: np.arange(1, 25) for role in roles}, epsilon=1e-3)
    x = b.op("add_constant", [b.op("softmax", [x])], {"constant": floats(24)})
    assert transposes(simplified(b.graph(b.linear(x, floats(5, 24))))) == 0


def test_a_tied_weight_is_not_permuted() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (2, 3, 4))], perm=(2, 0, 1))
    weight = b.weight("w", floats(24, 24))
    found = simplified(b.graph(b.linear(b.linear(b.flatten(x), weight), weight)))
    assert list(found.weights) == ["w"]
    assert transposes(found) == 1


def test_a_flatten_that_reaches_an_output_keeps_the_users_order() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (2, 3, 4))], perm=(2, 0, 1))
    assert transposes(simplified(b.graph(b.op("relu", [b.flatten(x)])))) == 1


def test_the_same_transpose_is_carried_out_once() -> None:
    b = GraphBuilder("g")
    x = b.input("x", (3, 4, 4))
    branches = [
        b.conv(b.op("transpose", [x], perm=(1, 2, 0)), floats(3, 1, 1, 3, seed=seed)) for seed in range(2)
    ]
    assert transposes(simplified(b.graph(b.op("add", branches)))) == 1


def test_a_transpose_of_axes_of_one_is_a_reshape() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (1, 5, 6))], perm=(1, 2, 0))
    found = simplified(b.graph(b.conv(x, floats(2, 3, 3, 1))))
    assert [node.op for node in found.nodes] == ["reshape", "conv"]


def test_a_shuffle_inside_the_network_costs_one_transpose() -> None:
    b = GraphBuilder("g")
    x = b.conv(b.input("x", (5, 5, 4)), floats(8, 1, 1, 4))
    x = b.op("reshape", [b.op("transpose", [x], perm=(2, 0, 1))], shape=(2, 4, 5, 5))
    x = b.op("reshape", [b.op("transpose", [x], perm=(1, 0, 2, 3))], shape=(8, 5, 5))
    x = b.conv(b.op("transpose", [x], perm=(1, 2, 0)), floats(8, 3, 3, 8))
    assert transposes(simplified(b.graph(x))) == 1


def test_the_graph_given_is_left_alone() -> None:
    b = GraphBuilder("g")
    x = b.op("transpose", [b.input("x", (2, 3, 4))], perm=(2, 0, 1))
    graph = b.graph(b.linear(b.flatten(x), floats(5, 24)))
    before = (graph.nodes, graph.weights["linear1.weight"].decode().copy())
    simplify(graph)
    assert graph.nodes == before[0]
    np.testing.assert_array_equal(graph.weights["linear1.weight"].decode(), before[1])


shapes = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)


@given(shape=shapes, data=st.data())
def test_regrouping_equals_the_reshape(shape: tuple[int, ...], data: st.DataObject) -> None:
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    x = np.arange(np.prod(shape)).reshape(shape)
    value = x.transpose(perm)
    joined = [n for n in value.shape if n > 1]
    cut = data.draw(st.integers(0, len(joined)))
    target = (1, *joined[:cut], int(np.prod(joined[cut:], dtype=int)))
    found = regroup(shape, perm, target)
    if found is None:
        assert x.size == 1
        return
    move, grouped, after = found
    np.testing.assert_array_equal(x.transpose(move).reshape(grouped).transpose(after), value.reshape(target))


@pytest.mark.parametrize(
    ("shape", "target", "groups"),
    [
        ((6, 5), (2, 3, 5), [([0], [0, 1]), ([1], [2])]),
        ((2, 3, 5), (6, 5), [([0, 1], [0]), ([2], [1])]),
        ((4, 6), (8, 3), [([0, 1], [0, 1])]),
        ((1, 4), (4, 1), [([1], [0, 1])]),
        ((1, 1), (1,), None),
    ],
)
def test_groups_of_a_reshape(shape, target, groups) -> None:  # type: ignore[no-untyped-def]
    assert axis_groups(shape, target) == groups


@given(a=st.permutations(range(4)), b=st.permutations(range(4)))
def test_composed_moves(a: list[int], b: list[int]) -> None:
    x = np.arange(120).reshape(2, 3, 4, 5)
    move = composed(tuple(a), tuple(b))
    np.testing.assert_array_equal(x.transpose(move).transpose(b), x.transpose(a))


@given(shape=shapes, data=st.data())
def test_reshapes_among_transposes_are_recognized(shape: tuple[int, ...], data: st.DataObject) -> None:
    perm = tuple(data.draw(st.permutations(range(len(shape)))))
    x = np.arange(np.prod(shape)).reshape(shape)
    assert is_reshape(perm, shape) == bool((x.transpose(perm).ravel() == x.ravel()).all())
