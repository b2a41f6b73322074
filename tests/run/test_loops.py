"""Joined and hoisted products of loops: fewer calls, the same integers."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.emit.c_golden import random_inputs
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower.program import Call
from smidgen.lower.schedule import schedule
from smidgen.run.loops import with_joined_products
from smidgen.run.native import native_plan
from smidgen.run.reference import layer_checksums, run_integer
from tests.recurrent import CELLS, FEATURES, integers_of_recurrent, recurrent_network


def products(graph: Graph) -> list[tuple[int, int]]:
    """(turns, rows) of the linear calls that the native plan makes inside or before the loop."""
    calls: tuple[Call, ...] = native_plan(graph).program.calls
    return [(c.turns, dict(c.args)["rows"]) for c in calls if "linear" in c.kernel and c.node != "out"]


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(CELLS), st.booleans(), st.booleans(), st.integers(1, 7), st.integers(0, 99))
def test_every_layer_equals_the_reference(kind, reverse, streaming, steps, seed) -> None:
    graph = integers_of_recurrent(recurrent_network(kind, seed, reverse, False, steps))
    x = random_inputs(graph, 3)
    y, checksums = native_plan(graph).run_traced(x)
    np.testing.assert_array_equal(y, run_integer(graph, x))
    assert checksums == layer_checksums(graph, x)


@pytest.mark.parametrize(("kind", "inside"), [("lstm", 1), ("gru_after", 1), ("gru_before", 2)])
def test_one_product_takes_all_steps_and_one_all_gates(kind: str, inside: int) -> None:
    """The reset gate of `gru_before` must be known before its last product."""
    found = products(integers_of_recurrent(recurrent_network(kind)))
    assert found == [(1, 6), *[(6, 1)] * inside]


def test_a_product_of_a_product_is_hoisted_too() -> None:
    """A factorized input weight: both factors run ahead of the loop."""
    graph = integers_of_recurrent(factorized())
    assert products(graph) == [(1, 6), (1, 6), (6, 1)]
    x = random_inputs(graph, 4)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


def factorized() -> Graph:
    rng = np.random.default_rng(3)
    body = GraphBuilder("body")
    x, h = body.input("body.x", (FEATURES,)), body.input("body.h", (5,))
    terms = [
        body.linear(
            body.linear(x, rng.standard_normal((2, FEATURES)), None, "v"),
            rng.standard_normal((5, 2)),
            None,
            "u",
        ),
        body.linear(h, rng.standard_normal((5, 5)) * 0.3, None, "r"),
    ]
    following = body.op("tanh", [body.op("add", terms, name="sum")], name="next")
    builder = GraphBuilder("factorized")
    sequence, *_ = builder.scan(
        builder.input("x", (6, FEATURES)), body.graph([following, following]), name="layer"
    )
    return builder.graph(builder.op("mean", [sequence], axes=(0,), keepdims=False))


def test_programs_without_loops_stay_as_they_are() -> None:
    from tests.networks import small_cnn
    from tests.run.test_native import lowered

    program = schedule(lowered(small_cnn()))
    assert with_joined_products(program) == program
