"""Removing channels must equal zeroing whatever produces them, on every way that channels can be coupled."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.formats import Affine, Dense
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.coupling import ChannelGroup, Unit, channel_groups, remove
from smidgen.models import cnn1d, dscnn, lenet, mobilenet, resnet8
from smidgen.models.layers import parameter_count
from smidgen.run.float_ops import run_float
from smidgen.tasks.task import Build

IMAGE = (6, 6, 3)


class Net:
    """A builder with random weights: each method adds a layer of `out` channels."""

    def __init__(self, seed: int = 0, shape: tuple[int, ...] = IMAGE) -> None:
        self.rng = np.random.default_rng(seed)
        self.b = GraphBuilder("net")
        self.x = self.b.input("x", shape)

    def conv(self, x: str, out: int, kernel: int = 3, groups: int = 1, name: str | None = None) -> str:
        weight = self.rng.normal(size=(out, kernel, kernel, self.b.shape(x)[-1] // groups)) / 3
        return self.b.conv(
            x, weight, self.rng.normal(size=out), padding=kernel // 2, groups=groups, name=name
        )

    def norm(self, x: str) -> str:
        c = self.b.shape(x)[-1]
        roles = ("gamma", "beta", "mean")
        params = {role: self.rng.normal(size=c) for role in roles} | {"variance": self.rng.uniform(0.5, 2, c)}
        return self.b.op("batch_norm", [x], params, epsilon=1e-3)

    def linear(self, x: str, out: int, name: str | None = None) -> str:
        weight = self.rng.normal(size=(out, self.b.shape(x)[-1])) / 3
        return self.b.linear(x, weight, self.rng.normal(size=out), name=name)

    def relu(self, x: str) -> str:
        return self.b.op("relu", [x])

    def head(self, x: str) -> Graph:
        """Spatial mean and a classifier of 3 classes."""
        return self.b.graph(self.linear(self.b.op("mean", [x], axes=(0, 1), keepdims=False), 3, name="head"))


def zeroed(graph: Graph, cut: list[Unit]) -> Graph:
    """The original with all that produces the cut channels set to zero: axis 0 of weights and vectors, axis 1
    of the tables of embeddings."""
    weights = {name: fmt.decode().copy() for name, fmt in graph.weights.items()}
    tables = {node.params["weight"] for node in graph.walk() if node.op == "embedding"}
    for unit in cut:
        for part in unit.slices:
            if part.weight in tables:
                weights[part.weight][:, list(part.indices)] = 0
            elif part.axis == 0:
                weights[part.weight][list(part.indices)] = 0
    return graph.with_weights({name: Dense(array) for name, array in weights.items()})


def assert_removal_is_zeroing(graph: Graph, cut: list[Unit]) -> Graph:
    x = np.random.default_rng(7).normal(size=(2, *graph.values[graph.inputs[0]].shape)).astype(np.float32)
    smaller = remove(graph, cut)
    np.testing.assert_allclose(run_float(smaller, x), run_float(zeroed(graph, cut), x), rtol=1e-4, atol=1e-4)
    assert smaller.values[smaller.outputs[0]].shape == graph.values[graph.outputs[0]].shape
    return smaller


def some(groups: tuple[ChannelGroup, ...], seed: int = 3) -> list[Unit]:
    """A random selection that leaves at least one unit of each group."""
    rng = np.random.default_rng(seed)
    return [
        group.units[i]
        for group in groups
        for i in rng.permutation(len(group.units))[: rng.integers(len(group.units))]
    ]


def sizes(graph: Graph) -> dict[str, int]:
    return {group.name: len(group.units) for group in channel_groups(graph)}


def test_chain_of_convolutions_and_batch_norms() -> None:
    net = Net()
    x = net.relu(net.norm(net.conv(net.x, 8, name="a")))
    graph = net.head(net.relu(net.norm(net.conv(x, 6, name="b"))))
    assert sizes(graph) == {"a.weight": 8, "b.weight": 6}
    first = channel_groups(graph)[0]
    smaller = assert_removal_is_zeroing(graph, list(first.units[:5]))
    assert smaller.weights["a.weight"].shape == (3, 3, 3, 3)
    assert smaller.weights["b.weight"].shape == (6, 3, 3, 3)


def test_residual_branches_are_one_group() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 8, name="stem"))
    inner = net.relu(net.norm(net.conv(x, 5, name="inner")))
    x = net.b.op("add", [x, net.conv(inner, 8, name="back")])
    graph = net.head(net.relu(x))
    assert sizes(graph) == {"stem.weight": 8, "inner.weight": 5}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_squeeze_and_excitation_gate_shares_the_channels_it_scales() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 8, name="stem"))
    squeezed = net.b.op("mean", [x], axes=(0, 1), keepdims=True)
    gate = net.b.op("sigmoid", [net.linear(net.relu(net.linear(squeezed, 4, name="down")), 8, name="up")])
    graph = net.head(net.b.op("mul", [x, gate]))
    assert sizes(graph) == {"stem.weight": 8, "down.weight": 4}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_gate_of_width_one_stays() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 8, name="stem"))
    graph = net.head(net.b.op("mul", [x, net.b.op("sigmoid", [net.conv(x, 1, name="gate")])]))
    assert sizes(graph) == {"stem.weight": 8}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_concatenated_branches_are_cut_independently() -> None:
    net = Net()
    left, right = net.relu(net.conv(net.x, 4, name="left")), net.relu(net.conv(net.x, 6, name="right"))
    joined = net.b.op("concat", [left, right, left], axis=2)
    graph = net.head(net.relu(net.conv(joined, 5, name="after")))
    assert sizes(graph) == {"left.weight": 4, "right.weight": 6, "after.weight": 5}
    smaller = assert_removal_is_zeroing(graph, some(channel_groups(graph)))
    kept = smaller.weights["left.weight"].shape[0] * 2 + smaller.weights["right.weight"].shape[0]
    assert smaller.weights["after.weight"].shape[-1] == kept


@pytest.mark.parametrize("multiplier", [1, 2])
def test_depthwise_filters_leave_with_their_channel(multiplier: int) -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 6, name="expand"))
    x = net.relu(net.norm(net.conv(x, 6 * multiplier, groups=6, name="depthwise")))
    graph = net.head(net.relu(net.conv(x, 4, kernel=1, name="project")))
    group = channel_groups(graph)[0]
    smaller = assert_removal_is_zeroing(graph, [group.units[1], group.units[4]])
    assert smaller.node("depthwise").attrs["groups"] == 4
    assert smaller.weights["depthwise.weight"].shape == (4 * multiplier, 3, 3, 1)
    assert smaller.weights["project.weight"].shape == (4, 1, 1, 4 * multiplier)


def test_grouped_convolution_keeps_equal_groups() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 8, name="before"))
    graph = net.head(net.relu(net.conv(x, 12, groups=2, name="grouped")))
    assert sizes(graph) == {"before.weight": 4, "grouped.weight": 6}
    smaller = assert_removal_is_zeroing(graph, [g.units[2] for g in channel_groups(graph)])
    assert smaller.node("grouped").attrs["groups"] == 2
    assert smaller.weights["grouped.weight"].shape == (10, 3, 3, 3)


def test_channel_shuffle_is_followed_through_its_reshapes() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 8, groups=1, name="before"))
    x = net.relu(net.conv(x, 8, kernel=1, groups=2, name="grouped"))
    split = net.b.op("reshape", [x], shape=(6, 6, 2, 4))
    swapped = net.b.op("transpose", [split], perm=(0, 1, 3, 2))
    x = net.b.op("reshape", [swapped], shape=(6, 6, 8))
    graph = net.head(net.relu(net.conv(x, 6, kernel=1, groups=2, name="after")))
    assert sizes(graph)["grouped.weight"] >= 2
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_flattened_image_drops_a_column_for_every_position() -> None:
    net = Net()
    x = net.b.pool("max", net.relu(net.conv(net.x, 5, name="conv")), 2)
    hidden = net.relu(net.linear(net.b.flatten(x), 7, name="hidden"))
    graph = net.b.graph(net.linear(hidden, 3))
    assert sizes(graph) == {"conv.weight": 5, "hidden.weight": 7}
    smaller = assert_removal_is_zeroing(graph, some(channel_groups(graph)))
    assert smaller.weights["hidden.weight"].shape[1] == 9 * smaller.weights["conv.weight"].shape[0]


def test_flatten_of_a_channels_first_copy_drops_blocks_of_columns() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 5, name="conv"))
    first = net.b.op("transpose", [x], perm=(2, 0, 1))
    graph = net.b.graph(net.linear(net.b.op("reshape", [first], shape=(180,)), 3, name="out"))
    unit = channel_groups(graph)[0].units[1]
    (columns,) = (part for part in unit.slices if part.weight == "out.weight")
    assert columns.indices == tuple(range(36, 72))
    assert_removal_is_zeroing(graph, [unit])


def test_padded_shortcut_of_a_wider_stage_merges_only_the_real_channels() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 4, name="narrow"))
    shortcut = net.b.op("pad", [x], pads=((0, 0), (0, 0), (2, 2)), value=0.0)
    graph = net.head(net.b.op("add", [shortcut, net.conv(x, 8, name="wide")]))
    assert sizes(graph) == {"narrow.weight": 4}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_tied_weights_tie_their_channels() -> None:
    net = Net(shape=(8,))
    net.b.weight("shared", net.rng.normal(size=(8, 8)))
    x = net.relu(net.linear(net.x, 8, name="in"))
    for _ in range(2):
        x = net.relu(net.b.linear(x, "shared"))
    graph = net.b.graph(net.linear(x, 3))
    assert sizes(graph) == {"in.weight": 8}
    smaller = assert_removal_is_zeroing(graph, some(channel_groups(graph)))
    assert smaller.weights["shared"].shape[0] == smaller.weights["shared"].shape[1] < 8


def test_values_that_cross_the_boundary_are_frozen() -> None:
    net = Net()
    x = net.relu(net.conv(net.x, 8, name="seen"))
    net.b.op(
        "island", [x], name="island", kind="k", source="s", payload=b"", shapes=((3,),), reason="", remedy=""
    )
    assert sizes(net.b.graph("island")) == {}
    assert sizes(net.b.graph(x)) == {}


@pytest.mark.parametrize("op", ["softmax", "mean"])
def test_operators_that_mix_channels_freeze_them(op: str) -> None:
    net = Net(shape=(4,))
    hidden = net.linear(net.x, 8, name="hidden")
    mixed = (
        net.b.op("softmax", [hidden])
        if op == "softmax"
        else net.b.op("mean", [hidden], axes=(0,), keepdims=True)
    )
    graph = net.b.graph(net.linear(net.relu(net.linear(mixed, 5, name="after")), 2))
    assert sizes(graph) == {"after.weight": 5}


def test_a_constant_leaves_with_the_channels_that_it_is_added_to() -> None:
    net = Net(shape=(3, 4))
    hidden = net.linear(net.x, 8, name="hidden")
    positions = net.b.op("constant", [], {"value": np.arange(24.0).reshape(3, 8)}, name="positions")
    graph = net.b.graph(net.linear(net.relu(net.b.op("add", [hidden, positions])), 2))
    (group,) = channel_groups(graph)
    cut = list(group.units[2:5])
    smaller = remove(graph, cut)
    assert smaller.weights["positions.value"].shape == (3, 5)
    stored = graph.weights["positions.value"].decode().copy()
    stored[:, 2:5] = 0
    muted = zeroed(graph.with_weights({"positions.value": Dense(stored)}), cut)
    x = np.ones((2, 3, 4), np.float32)
    np.testing.assert_allclose(run_float(smaller, x), run_float(muted, x), rtol=1e-5)


def test_sequence_mixer_over_the_other_axis_freezes_what_it_can_not_follow() -> None:
    net = Net(shape=(5, 4))
    x = net.relu(net.linear(net.x, 6, name="channels"))
    mixed = net.linear(net.b.op("transpose", [x], perm=(1, 0)), 3, name="tokens")
    back = net.b.op("transpose", [net.linear(net.relu(mixed), 5)], perm=(1, 0))
    graph = net.b.graph(net.linear(back, 2))
    assert sizes(graph) == {"tokens.weight": 3}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_the_last_unit_of_a_group_can_not_leave() -> None:
    net = Net()
    graph = net.head(net.relu(net.conv(net.x, 4, name="a")))
    with pytest.raises(
        BadInput, match=r"a.weight: all 4 channels would be removed, but at least one must stay"
    ):
        remove(graph, channel_groups(graph)[0].units)


def test_units_of_another_graph_are_refused() -> None:
    with pytest.raises(BadInput, match="can't leave this graph alone"):
        remove(_one_conv(0, 4), channel_groups(_one_conv(1, 6))[0].units[5:])


def test_quantized_weights_are_refused() -> None:
    graph = _one_conv(0, 4)
    weight = Affine.fit(graph.weights["a.weight"].decode(), 8)
    with pytest.raises(BadInput, match=r"a.weight: the weight is stored as affine8"):
        remove(graph.with_weights({"a.weight": weight}), channel_groups(graph)[0].units[:1])


def test_removing_nothing_returns_the_same_graph() -> None:
    graph = _one_conv(0, 4)
    assert remove(graph, ()) is graph


def _one_conv(seed: int, width: int) -> Graph:
    net = Net(seed)
    return net.head(net.relu(net.conv(net.x, width, name="a")))


BUILT_IN = {
    cnn1d.build: ((32, 6), 3),
    dscnn.build: ((16, 10, 1), 5),
    lenet.build: ((28, 28, 1), 4),
    mobilenet.build: ((32, 32, 3), 14),
    resnet8.build: ((16, 16, 3), 6),
}


@pytest.mark.parametrize("build", BUILT_IN, ids=lambda build: build.__module__)
def test_built_in_architectures_lose_every_other_channel(build: Build) -> None:
    shape, groups = BUILT_IN[build]
    graph = build(shape, 4, 0.25)
    found = channel_groups(graph)
    assert len(found) == groups
    smaller = assert_removal_is_zeroing(graph, [unit for group in found for unit in group.units[::2][:-1]])
    assert parameter_count(smaller) < 0.6 * parameter_count(graph)


LAYERS = ("conv", "norm", "relu", "grouped", "depthwise", "residual", "gate", "branch", "pool", "split")


def random_net(kinds: list[str], widths: list[int], seed: int, flat: bool) -> Graph:
    """Stack the named layers; every one keeps an even number of channels."""
    net = Net(seed, (4, 4, 2))
    x = net.conv(net.x, 4)
    for kind, width in zip(kinds, widths, strict=True):
        c = net.b.shape(x)[-1]
        if kind == "conv":
            x = net.conv(x, width)
        elif kind == "norm":
            x = net.norm(x)
        elif kind == "relu":
            x = net.relu(x)
        elif kind == "grouped":
            x = net.conv(x, width, kernel=1, groups=2)
        elif kind == "depthwise":
            x = net.conv(x, c, groups=c)
        elif kind == "residual":
            x = net.b.op("add", [net.relu(x), net.conv(net.relu(net.conv(x, width)), c, kernel=1)])
        elif kind == "gate":
            pooled = net.b.op("mean", [x], axes=(0, 1), keepdims=True)
            x = net.b.op("mul", [x, net.b.op("sigmoid", [net.linear(pooled, c)])])
        elif kind == "branch":
            x = net.b.op("concat", [x, net.conv(x, width, kernel=1)], axis=2)
        elif kind == "pool" and net.b.shape(x)[0] > 1:
            x = net.b.pool("max" if width % 4 else "avg", x, 2)
        elif kind == "split":
            h, w = net.b.shape(x)[:2]
            parts = net.b.op(
                "transpose", [net.b.op("reshape", [x], shape=(h, w, 2, c // 2))], perm=(0, 1, 3, 2)
            )
            x = net.b.op("reshape", [parts], shape=(h, w, c))
    if not flat:
        return net.head(x)
    return net.b.graph(net.linear(net.relu(net.linear(net.b.flatten(x), 5)), 3))


@settings(max_examples=120)
@given(
    st.lists(st.tuples(st.sampled_from(LAYERS), st.sampled_from([2, 4, 6, 8])), max_size=6),
    st.integers(0, 1000),
    st.booleans(),
)
def test_removal_is_zeroing_on_random_architectures(
    layers: list[tuple[str, int]], seed: int, flat: bool
) -> None:
    graph = random_net([k for k, _ in layers], [w for _, w in layers], seed, flat)
    assert_removal_is_zeroing(graph, some(channel_groups(graph), seed))


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.sampled_from(LAYERS), st.sampled_from([2, 4, 6, 8])), max_size=5),
    st.integers(0, 1000),
)
def test_every_unit_can_leave_alone(layers: list[tuple[str, int]], seed: int) -> None:
    graph = random_net([k for k, _ in layers], [w for _, w in layers], seed, flat=True)
    for group in channel_groups(graph):
        unit = group.units[seed % len(group.units)]
        smaller = remove(graph, [unit])
        lost = sum(len(part.indices) for part in unit.slices if part.weight == group.name and part.axis == 0)
        assert smaller.weights[group.name].shape[0] == graph.weights[group.name].shape[0] - lost
