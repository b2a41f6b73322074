"""A streaming network over a whole stream computes what it computes by chunks, in reals and in integers."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from smidgen.errors import Unsupported
from smidgen.formats import Affine
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cells import lstm_cell
from smidgen.graph.sequence import over_sequence
from smidgen.graph.states import with_states
from smidgen.graph.streaming import streaming
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.lower.grids import with_grids
from smidgen.methods.post_training import quantized_weights, weight_names
from smidgen.probe.calibration import calibrate
from smidgen.run.float_ops import run_float, run_float_all
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.run.stream import run_stream
from tests.streaming_networks import chunks, stacked_memory


def one_step_lstm() -> Graph:
    """What exporters of frame-by-frame networks write: a recurrent layer over one step, states outside."""
    rng = np.random.default_rng(1)
    shapes = {"input": (5, 4), "recurrent": (5, 5), "bias": (5,)}
    gates = ("input", "forget", "cell", "output")
    weights = {f"{gate}.{role}": rng.normal(size=s) * 0.5 for gate in gates for role, s in shapes.items()}
    b = GraphBuilder("frame")
    x, h, c = b.input("x", (4,)), b.input("h_in", (5,)), b.input("c_in", (5,))
    row = b.op("reshape", [x], name="row", shape=(1, 4))
    y, *states = b.scan(row, lstm_cell("lstm", 4, 5, weights), kind="lstm", initial=(h, c), name="lstm")
    ends = [b.op("reshape", [s], name=n, shape=(5,)) for s, n in zip(states, ("h_out", "c_out"), strict=True)]
    return with_states(b.graph([b.linear(y, rng.normal(size=(2, 5)), name="y"), *ends]))


@pytest.mark.parametrize("network", [stacked_memory, one_step_lstm])
def test_a_whole_stream_is_what_its_chunks_are(network: object) -> None:
    graph: Graph = network()  # type: ignore[operator]
    given = chunks(7)
    by_chunk = [made[0] for _, made in run_stream(graph, graph.states, given, partial(run_float_all, graph))]
    whole = run_float(over_sequence(graph, 7), np.stack([x for (x,) in given], 1))
    assert np.allclose(whole, np.stack(by_chunk, 1), atol=1e-5)


@pytest.mark.parametrize("network", [stacked_memory, one_step_lstm])
def test_its_integers_are_those_that_the_stream_of_it_gives(network: object) -> None:
    graph = canonical(over_sequence(network(), 6))  # type: ignore[operator]
    x = np.stack([c for (c,) in chunks(6)], 1)
    weights = quantized_weights(graph, dict.fromkeys(weight_names(graph), 8), Affine.fit)
    whole = lower(with_grids(graph, calibrate(graph, [x], 8)).with_weights(weights))
    grid = whole.values[whole.inputs[0]].grid
    assert grid is not None
    stored = grid.quantize(x).astype(np.int8)
    expected = run_integer(whole, stored)
    assert np.array_equal(np.asarray(native_plan(whole).run(stored)).reshape(expected.shape), expected)
    step = streaming(whole)
    parts = [(stored[:, t : t + 1],) for t in range(6)]
    made = [out[0] for _, out in run_stream(step, step.states, parts, native_plan(step).run)]
    assert np.array_equal(np.concatenate(made, 1).reshape(expected.shape), expected)


def test_a_network_without_states_is_refused() -> None:
    b = GraphBuilder("plain")
    graph = b.graph([b.op("relu", [b.input("x", (4,))])])
    with pytest.raises(Unsupported, match="0 states"):
        over_sequence(graph, 3)
