"""Streaming: chunks with their states fed back compute what the whole sequence does."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.errors import Unsupported
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cells import GRU_GATES, LSTM_GATES, gru_cell, lstm_cell
from smidgen.graph.streaming import streaming
from smidgen.numerics import Array
from smidgen.run.float_ops import run_float_all
from smidgen.run.interpreter import interpret_chunks
from smidgen.run.reference import FUNCTIONS, executable
from tests.recurrent import FEATURES, STEPS, integers_of_recurrent

T, H, N = STEPS, 4, 5


def weights(rng: np.random.Generator, gates: tuple[str, ...], inputs: int) -> dict[str, Array]:
    roles = {"input": (H, inputs), "recurrent": (H, H), "bias": (H,)}
    return {
        f"{gate}.{role}": rng.normal(size=shape).astype(np.float32)
        for gate in gates
        for role, shape in roles.items()
    }


def network(reverse: bool = False) -> Graph:
    """Two layers; the outputs are the sequence after a linear layer, and the last state of the second."""
    rng, b = np.random.default_rng(0), GraphBuilder("net")
    x = b.linear(b.input("x", (T, FEATURES)), rng.normal(size=(H, FEATURES)), name="embed")
    x = b.op("reshape", [b.op("tanh", [x])], shape=(T, 2, 2))
    x = b.op("reshape", [x], shape=(T, H))
    lower = gru_cell("gru", H, H, weights(rng, GRU_GATES, H))
    x, _ = b.scan(x, lower, kind="gru_after", name="gru")
    upper = lstm_cell("lstm", H, H, weights(rng, LSTM_GATES, H))
    x, h, _ = b.scan(x, upper, kind="lstm", name="lstm", reverse=reverse)
    return b.graph([b.linear(x, rng.normal(size=(2, H)), name="head"), h])


def chunked(graph: Graph, whole: Graph, x: Array, steps: int, functions, weights) -> list[Array]:  # type: ignore[no-untyped-def]
    """Every output of the whole graph, from chunks: joined along time, or as the last chunk left it."""
    states: list[Array] = []
    parts = []
    for start in range(0, x.shape[1], steps):
        made = interpret_chunks(graph, [x[:, start : start + steps], *states], functions, weights)
        parts.append(made[: len(whole.outputs)])
        states = list(made[len(whole.outputs) :])
    timed = [whole.values[name].shape[:1] == x.shape[1:2] for name in whole.outputs]
    columns = zip(timed, zip(*parts, strict=True), strict=True)
    return [np.concatenate(column, axis=1) if along else column[-1] for along, column in columns]


@pytest.mark.parametrize("steps", [1, 2, 3, 6])
def test_chunks_of_a_float_network_compute_the_whole(steps: int) -> None:
    whole = network()
    x = np.random.default_rng(1).normal(size=(N, T, FEATURES)).astype(np.float32)
    decoded = {name: fmt.decode() for name, fmt in whole.weights.items()}
    found = chunked(streaming(whole, steps), whole, x, steps, FUNCTIONS, decoded.__getitem__)
    for mine, expected in zip(found, run_float_all(whole, x), strict=True):
        np.testing.assert_allclose(mine, expected, atol=1e-6)


def test_states_are_the_last_inputs_and_outputs() -> None:
    graph = streaming(network(), 2)
    assert graph.inputs == ("x", "gru.final_h.before", "lstm.final_h.before", "lstm.final_c.before")
    assert graph.outputs[-3:] == ("gru.final_h", "lstm.final_h.after", "lstm.final_c")
    assert graph.values["x"].shape == (2, FEATURES)
    assert graph.values[graph.outputs[0]].shape == (2, 2)


@pytest.mark.parametrize("bits", [8, 4])
def test_chunks_of_an_integer_network_are_the_whole_bit_for_bit(bits: int) -> None:
    whole = integers_of_recurrent(network(), bits)
    grid = whole.values["x"].grid
    assert whole.is_integer
    assert grid is not None
    x = grid.quantize(np.random.default_rng(1).normal(size=(N, T, FEATURES))).astype(np.int8)
    stored = {name: executable(fmt) for name, fmt in whole.weights.items()}
    expected = interpret_chunks(whole, x, FUNCTIONS, stored.__getitem__)
    found = chunked(streaming(whole, 2), whole, x, 2, FUNCTIONS, stored.__getitem__)
    for mine, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def refused(build) -> str:  # type: ignore[no-untyped-def]
    b = GraphBuilder("net")
    rng = np.random.default_rng(0)
    cell = gru_cell("gru", FEATURES, H, weights(rng, GRU_GATES, FEATURES))
    x, h = b.scan(b.input("x", (T, FEATURES)), cell, name="gru")
    graph = b.graph([build(b, x), h])
    with pytest.raises(Unsupported) as found:
        streaming(graph)
    return str(found.value)


ACROSS_TIME = {
    "mean": lambda b, x: b.op("mean", [x], axes=(0,), keepdims=False, name="node"),
    "window": lambda b, x: b.conv(x, np.ones((2, 3, H)), name="node"),
    "pool": lambda b, x: b.pool("max", x, 2, name="node"),
    "reshape": lambda b, x: b.op("reshape", [x], shape=(-1,), name="node"),
    "slice": lambda b, x: b.op("slice", [x], axis=0, start=0, stop=2, step=1, name="node"),
    "transpose": lambda b, x: b.op("transpose", [x], perm=(1, 0), name="node"),
    "concat": lambda b, x: b.op("concat", [x, x], axis=0, name="node"),
    "its own end": lambda b, x: b.op("add", [x, "gru.final_h"], name="node"),
    "something of fixed length": lambda b, x: b.op("add", [x, b.input("y", (1, 1, H))], name="node"),
    "a scan over something else": lambda b, x: b.scan(
        b.op("reshape", ["gru.final_h"], shape=(1, H)),
        lstm_cell("node", H, H, weights(np.random.default_rng(0), LSTM_GATES, H)),
        name="node",
    )[0],
}


@pytest.mark.parametrize("case", ACROSS_TIME)
def test_what_needs_the_whole_sequence_is_refused(case: str) -> None:
    assert refused(ACROSS_TIME[case]).startswith("node")


def test_a_scan_in_reverse_is_refused() -> None:
    with pytest.raises(Unsupported, match="lstm: scan runs from the last step to the first"):
        streaming(network(reverse=True))


def test_a_network_that_has_initial_states_is_refused() -> None:
    with pytest.raises(Unsupported, match="gru: scan has initial states already"):
        streaming(streaming(network(), 2))


def test_a_network_without_recurrence_and_empty_chunks_are_refused() -> None:
    b = GraphBuilder("net")
    plain = b.graph(b.op("tanh", [b.input("x", (T, FEATURES))]))
    with pytest.raises(Unsupported, match="no recurrent layer"):
        streaming(plain)
    with pytest.raises(Unsupported, match="at least one"):
        streaming(network(), 0)
