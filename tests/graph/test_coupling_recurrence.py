"""Removing hidden units of recurrent layers equals zeroing them, whatever the layers stand between."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.graph.coupling import channel_groups, remove
from smidgen.graph.scan import body_of, states_of
from tests.graph.test_coupling import Net, assert_removal_is_zeroing, sizes, some
from tests.recurrent import CELLS, cell

STEPS = 4


class RecurrentNet(Net):
    """A builder of layers over sequences [STEPS, features]."""

    def __init__(self, seed: int = 0, features: int = 3) -> None:
        super().__init__(seed, (STEPS, features))

    def layer(
        self,
        kind: str,
        x: str,
        units: int,
        name: str,
        sequence: bool = True,
        reverse: bool = False,
        initial: tuple[str, ...] = (),
    ) -> tuple[str, ...]:
        body = cell(kind, self.rng, name, self.b.shape(x)[-1], units, sequence)
        return self.b.scan(x, body, kind=kind, reverse=reverse, initial=initial)

    def classifier(self, x: str) -> Graph:
        return self.b.graph(self.linear(x, 3, name="head"))


@pytest.mark.parametrize("kind", CELLS)
def test_a_hidden_unit_leaves_every_gate_and_the_state(kind: str) -> None:
    net = RecurrentNet()
    graph = net.classifier(net.layer(kind, net.x, 6, "r", sequence=False)[0])
    (group,) = channel_groups(graph)
    assert len(group.units) == 6
    smaller = assert_removal_is_zeroing(graph, [group.units[1], group.units[4]])
    for name, weight in smaller.weights.items():
        if name.endswith(".recurrent"):
            assert weight.shape == (4, 4)
        elif name.endswith(".input"):
            assert weight.shape == (4, 3)
    (scan,) = (node for node in smaller.nodes if node.op == "scan")
    assert {body_of(scan).values[state].shape for state in states_of(scan)} == {(4,)}


@pytest.mark.parametrize("kind", CELLS)
def test_the_layer_above_reads_fewer_inputs(kind: str) -> None:
    net = RecurrentNet()
    below = net.layer(kind, net.x, 5, "below")[0]
    graph = net.classifier(net.layer(kind, below, 4, "above", sequence=False)[0])
    assert sorted(sizes(graph).values()) == [4, 5]
    smaller = assert_removal_is_zeroing(graph, some(channel_groups(graph)))
    kept = smaller.weights["below.new.bias" if kind != "lstm" else "below.cell.bias"].shape[0]
    read = {
        weight.shape[1]
        for name, weight in smaller.weights.items()
        if name.startswith("above.") and name.endswith(".input")
    }
    assert read == {kept}


@pytest.mark.parametrize("kind", CELLS)
def test_both_directions_are_cut_independently(kind: str) -> None:
    net = RecurrentNet()
    forward = net.layer(kind, net.x, 5, "forward", sequence=False)[0]
    backward = net.layer(kind, net.x, 4, "backward", sequence=False, reverse=True)[0]
    graph = net.classifier(net.b.op("concat", [forward, backward], axis=0))
    assert sorted(sizes(graph).values()) == [4, 5]
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_an_initial_state_shares_the_units_of_what_makes_it() -> None:
    net = RecurrentNet()
    first = net.b.op("slice", [net.x], axis=0, start=0, stop=1, step=1)
    start = net.linear(net.b.op("reshape", [first], shape=(3,)), 6, name="start")
    graph = net.classifier(net.layer("gru_after", net.x, 6, "r", False, initial=(start,))[0])
    assert sizes(graph) == {"start.weight": 6}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_an_initial_state_from_outside_keeps_its_units() -> None:
    net = RecurrentNet()
    start = net.b.input("start", (6,))
    graph = net.classifier(net.layer("gru_after", net.x, 6, "r", False, initial=(start,))[0])
    assert sizes(graph) == {}


def test_a_sequence_that_leaves_the_network_keeps_its_units() -> None:
    net = RecurrentNet()
    assert sizes(net.b.graph(net.layer("lstm", net.x, 6, "r")[0])) == {}


def test_channels_along_the_steps_stay() -> None:
    net = RecurrentNet()
    turned = net.b.op("transpose", [net.linear(net.x, 5, name="before")], perm=(1, 0))
    graph = net.classifier(net.layer("gru_after", turned, 4, "r", sequence=False)[0])
    assert list(sizes(graph).values()) == [4]
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_the_last_hidden_unit_can_not_leave() -> None:
    net = RecurrentNet()
    graph = net.classifier(net.layer("lstm", net.x, 3, "r", sequence=False)[0])
    with pytest.raises(BadInput, match="at least one must stay"):
        remove(graph, channel_groups(graph)[0].units)


def test_a_slice_of_channels_makes_two_groups() -> None:
    net = Net(shape=(4,))
    hidden = net.relu(net.linear(net.x, 8, name="hidden"))
    taken = net.b.op("slice", [hidden], axis=0, start=2, stop=5, step=1)
    graph = net.b.graph(net.b.op("concat", [net.linear(taken, 2), net.linear(hidden, 2)], axis=0))
    assert sorted(len(group.units) for group in channel_groups(graph)) == [3, 5]
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_every_other_channel_stays() -> None:
    net = Net(shape=(4,))
    hidden = net.linear(net.x, 8, name="hidden")
    graph = net.b.graph(net.linear(net.b.op("slice", [hidden], axis=0, start=0, stop=8, step=2), 2))
    assert sizes(graph) == {}


def test_a_slice_of_positions_passes_the_channels_on() -> None:
    net = RecurrentNet()
    hidden = net.linear(net.x, 6, name="hidden")
    last = net.b.op("slice", [hidden], axis=0, start=3, stop=4, step=1)
    graph = net.classifier(net.b.op("reshape", [last], shape=(-1,)))
    assert sizes(graph) == {"hidden.weight": 6}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


def test_features_of_an_embedding_leave_its_table() -> None:
    net = Net(shape=(STEPS,))
    words = net.b.op("embedding", [net.x], {"weight": net.rng.normal(size=(9, 6))}, name="words")
    mean = net.b.op("mean", [words], axes=(0,), keepdims=False)
    graph = net.b.graph(net.linear(mean, 3, name="head"))
    assert sizes(graph) == {"words.weight": 6}
    smaller = assert_removal_is_zeroing(graph, some(channel_groups(graph)))
    assert smaller.weights["words.weight"].shape[0] == 9


def test_a_difference_couples_its_sides() -> None:
    net = Net(shape=(4,))
    left, right = net.linear(net.x, 6, name="left"), net.linear(net.x, 6, name="right")
    graph = net.b.graph(net.linear(net.b.op("sub", [left, right]), 3))
    assert sizes(graph) == {"left.weight": 6}
    assert_removal_is_zeroing(graph, some(channel_groups(graph)))


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.sampled_from(CELLS), st.integers(2, 5), st.booleans()), min_size=1, max_size=3),
    st.integers(0, 1000),
)
def test_removal_is_zeroing_in_stacks_of_layers(layers: list[tuple[str, int, bool]], seed: int) -> None:
    net = RecurrentNet(seed)
    x = net.x
    for number, (kind, units, both) in enumerate(layers):
        made = [net.layer(kind, x, units, f"layer{number}")[0]]
        if both:
            made.append(net.layer(kind, x, units + 1, f"layer{number}.back", reverse=True)[0])
        x = net.b.op("concat", made, axis=1) if both else made[0]
    graph = net.classifier(net.b.op("mean", [x], axes=(0,), keepdims=False))
    assert_removal_is_zeroing(graph, some(channel_groups(graph), seed))
