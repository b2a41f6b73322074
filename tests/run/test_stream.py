"""Networks with states run over a stream, identically in reference and native, and are calibrated on one."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from smidgen.errors import BadInput
from smidgen.formats import Affine
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.states import state_pairs
from smidgen.lower import lower
from smidgen.lower.grids import with_grids
from smidgen.probe.calibration import calibrate
from smidgen.run.float_ops import run_float_all
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer_all
from smidgen.run.stream import run_stream


def leaky() -> Graph:
    """Two states: a sum that forgets, and the last input."""
    b = GraphBuilder("leaky")
    x, total, last = b.input("x", (4,)), b.input("h_in", (4,)), b.input("last_state", (4,))
    kept = b.linear(total, np.eye(4) * 0.5, name="kept")
    both = b.op("add", [x, last], name="both")
    made = b.op("add", [kept, both], name="h_out")
    following = b.linear(x, np.eye(4), name="new_last_state")
    return b.graph([b.op("relu", [made], name="y"), made, following])


def chunks(n: int = 12) -> list[tuple[np.ndarray]]:
    return [(c,) for c in np.random.default_rng(3).normal(size=(n, 5, 4)).astype(np.float32)]


def test_states_are_found_by_name_and_shape() -> None:
    assert state_pairs(leaky()) == (("h_in", "h_out"), ("last_state", "new_last_state"))


def test_declared_pairs_count_instead() -> None:
    assert state_pairs(leaky(), ["h_in=h_out"]) == (("h_in", "h_out"),)


@pytest.mark.parametrize("wrong", [["h_in=nothing"], ["h_in"], ["h_in=y", "last_state=y"]])
def test_pairs_that_can_not_be_are_refused(wrong: list[str]) -> None:
    with pytest.raises(BadInput, match="states"):
        state_pairs(leaky(), wrong)


def test_a_stream_computes_what_a_loop_by_hand_does() -> None:
    graph = leaky()
    total, last = np.zeros((5, 4)), np.zeros((5, 4))
    stream = run_stream(graph, state_pairs(graph), chunks(), partial(run_float_all, graph))
    for (x,), (_, made) in zip(chunks(), stream, strict=True):
        total, last = 0.5 * total + x + last, x
        assert np.allclose(made[1], total, atol=1e-5)


def test_calibrated_on_a_stream_reference_and_native_agree_on_it_exactly() -> None:
    graph = leaky()
    pairs = state_pairs(graph)
    seen = [inputs for inputs, _ in run_stream(graph, pairs, chunks(40), partial(run_float_all, graph))]
    weights = {name: Affine.fit(fmt.decode(), 8) for name, fmt in graph.weights.items()}
    lowered = lower(with_grids(graph, calibrate(graph, seen, 8)).with_weights(weights))
    grids = {name: value.grid for name, value in lowered.values.items()}
    source, out = grids["x"], grids["y"]
    assert source is not None
    assert out is not None
    whole = [(source.quantize(x).astype(np.int8),) for (x,) in chunks()]
    native = list(run_stream(lowered, pairs, whole, native_plan(lowered).run))
    exact = run_stream(lowered, pairs, whole, partial(run_integer_all, lowered))
    floats = run_stream(graph, pairs, chunks(), partial(run_float_all, graph))
    for (_, real), (_, made), (_, same) in zip(floats, native, exact, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(made, same, strict=True))
        assert np.abs(out.dequantize(made[0]) - real[0]).max() < 6 * out.scale


def test_a_chunk_without_all_inputs_is_refused() -> None:
    graph = leaky()
    with pytest.raises(BadInput, match="chunk"):
        list(run_stream(graph, state_pairs(graph), [()], partial(run_float_all, graph)))
