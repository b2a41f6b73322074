"""Rewrites before lowering keep the function."""

from __future__ import annotations

import numpy as np

from smidgen.formats import Grid
from smidgen.graph import GraphBuilder
from smidgen.lower.canonical import canonical
from smidgen.run.float_ops import run_float


def test_constants_in_a_row_fold_into_one_layer() -> None:
    builder = GraphBuilder("row")
    x = builder.input("x", (4, 3))
    for index, op in enumerate(("mul_constant", "add_constant", "mul_constant", "add_constant")):
        x = builder.op(op, [x], {"constant": np.full(3, 0.5 + index, np.float32)})
    graph = builder.graph(x)
    made = canonical(graph)
    made.check()
    assert [node.op for node in made.nodes] == ["conv"]
    batch = np.random.default_rng(0).normal(size=(2, 4, 3)).astype(np.float32)
    np.testing.assert_allclose(run_float(made, batch), run_float(graph, batch), rtol=1e-5)


def test_the_grid_of_what_never_moved_is_the_finest() -> None:
    assert Grid.wide(0.0).scale == 2.0**-21
