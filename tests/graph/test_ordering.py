"""The lean order: the same computation with a smaller arena."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
from hypothesis import given, settings

from benchmarks.device_networks import integers
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.ordering import lean_order
from smidgen.graph.planner import plan_memory
from smidgen.run.reference import run_integer
from tests.graph.test_planner import BOUNDS, graphs, integer, linear_params
from tests.integer_networks import integers_of, random_integers


def test_branches_are_finished_one_by_one() -> None:
    b = GraphBuilder("branches")
    x = b.input("x", (8,))
    wide = [b.op("q.linear", [x], linear_params(100, 8), name=f"wide{i}", **BOUNDS) for i in range(3)]
    thin = [
        b.op("q.linear", [w], linear_params(4, 100), name=f"thin{i}", **BOUNDS) for i, w in enumerate(wide)
    ]
    graph = integer(b.graph(b.op("q.concat", thin, axis=0)))
    lean = lean_order(graph)
    assert plan_memory(graph, 1).arena_bytes == 304
    assert plan_memory(lean, 1).arena_bytes == 112  # 100 + 3 * 4
    assert [node.name for node in lean.nodes][:4] == ["wide0", "thin0", "wide1", "thin1"]


def test_a_chain_is_left_as_it_is() -> None:
    graph = integers("LeNet-5")
    assert lean_order(graph) is graph


@settings(max_examples=60)
@given(graphs())
def test_the_order_stays_legal_and_never_needs_more(graph: Graph) -> None:
    lean = lean_order(graph)
    made = set(lean.inputs)
    for node in lean.nodes:
        assert made.issuperset(node.inputs)
        made.update(node.outputs)
    assert sorted(node.name for node in lean.nodes) == sorted(node.name for node in graph.nodes)
    assert plan_memory(lean).arena_bytes <= plan_memory(graph).arena_bytes


def test_the_best_of_all_orders_is_found() -> None:
    b = GraphBuilder("diamond")
    x = b.op("q.linear", [b.input("x", (8,))], linear_params(16, 8), name="x0", **BOUNDS)
    big = b.op("q.linear", [x], linear_params(90, 16), **BOUNDS)
    mid = b.op("q.linear", [x], linear_params(50, 16), **BOUNDS)
    ends = [
        b.op("q.linear", [v], linear_params(n, b.shape(v)[0]), **BOUNDS) for v, n in ((big, 30), (mid, 5))
    ]
    graph = integer(b.graph(b.op("q.concat", ends, axis=0)))
    arenas = []
    for nodes in permutations(graph.nodes):
        made = {"x"}
        if all(made.issuperset(node.inputs) and not made.update(node.outputs) for node in nodes):
            arenas.append(plan_memory(replace(graph, nodes=nodes)).arena_bytes)
    assert plan_memory(lean_order(graph)).arena_bytes == min(arenas) < max(arenas)


def branching() -> Graph:
    rng = np.random.default_rng(0)
    b = GraphBuilder("branching")
    x = b.input("x", (8, 8, 2))
    wide = [b.op("relu", [b.conv(x, rng.normal(size=(12, 3, 3, 2)), padding=1)]) for _ in range(3)]
    thin = [b.conv(w, rng.normal(size=(2, 1, 1, 12))) for w in wide]
    h = b.op("add", [b.op("add", thin[:2]), thin[2]])
    return b.graph(b.linear(b.flatten(h), rng.normal(size=(4, 128)) * 0.1))


def test_lowering_orders_leanly_and_computes_the_same() -> None:
    lean = integers_of(branching())
    made = {node.name: node for node in lean.nodes}
    wide = [node for node in lean.nodes if node.inputs == ("x",)]
    other = replace(lean, nodes=(*wide, *(made[name] for name in made if made[name] not in wide)))
    other.check()
    x = random_integers(lean, 5)
    assert np.array_equal(run_integer(lean, x), run_integer(other, x))
    assert plan_memory(lean).arena_bytes < plan_memory(other).arena_bytes
