"""Whole plans in the emulator: variants beside portable kernels, on one arena."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.graph import Graph
from smidgen.models import gru
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer
from tests.integer_networks import integer_network, integers_of, random_integers
from tests.kernels.guarded import graphs
from tests.kernels.one_node import random_integers as random_values

SETS = ("neon", "dotprod")


@pytest.mark.parametrize("name", ["sink", "binary", "very sparse"])
def test_a_network_equals_the_reference(isa: str, name: str) -> None:
    graph = integer_network(name)
    x = random_integers(graph, 3)
    plan = native_plan(graph)
    assert any(isa in kernel for kernel in plan.chosen)
    np.testing.assert_array_equal(plan.run(x), run_integer(graph, x))


def test_a_recurrence_equals_the_reference(isa: str) -> None:
    graph = integers_of(gru.build((6, 5), 3, 0.1))
    x = random_integers(graph, 3)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


def names(graph: Graph, isa: str) -> set[str]:
    """All that could run some call of the graph."""
    found = load("one", *serialize(native_plan(graph).program)).candidates(isa)
    return {name for pairs in found for name, _ in pairs}


@pytest.mark.parametrize("seed", range(3))
def test_every_candidate_stays_inside_its_arrays(isa: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    for graph in graphs(rng):
        values = [graph.values[name] for name in graph.inputs]
        x = [random_values(rng, int(v.dtype[3:]), 3, *v.shape) for v in values]
        program = native_plan(graph).program
        for name in names(graph, isa):
            plan = NativePlan(graph, program, [name] * len(program.calls))
            np.testing.assert_array_equal(plan.run(x), run_integer(graph, x), err_msg=name)


def test_what_stays_portable(isa: str) -> None:
    plans = [native_plan(graph) for graph in graphs(np.random.default_rng(0))]
    calls = [pair for plan in plans for pair in zip(plan.program.calls, plan.chosen, strict=True)]
    portable = {call.kernel for call, name in calls if name == "ref"}
    expected = {"smg_q_softmax16", "smg_q_matmul", "smg_transpose", "smg_pad"}
    assert portable == expected if isa == "neon" else portable > expected


def test_who_reads_beyond_an_array_is_stopped(isa: str) -> None:
    import unicorn

    from tests.kernels.neon.processor import Processor

    processor = Processor(isa)
    x, y = processor.place(bytes(100)), processor.place(bytes(100))
    args = processor.place(np.array([1, 101, 101, 101], np.int32).tobytes())
    with pytest.raises(unicorn.UcError, match="READ_UNMAPPED"):
        processor.call(processor.image.address("smg_copy"), args, x, y)
