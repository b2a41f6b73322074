"""Rewrites before lowering keep the function."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Affine, Format, Grid
from smidgen.formats.affine import Granularity
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower.canonical import canonical
from smidgen.run.float_ops import run_float
from tests.networks import batch_norm


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


def normed(weight: Format, rng: np.random.Generator) -> Graph:
    """A layer and a BatchNorm, of which a channel turns round."""
    b = GraphBuilder("normed")
    h = batch_norm(b, b.linear(b.input("x", (5,)), weight), rng)
    return b.graph(b.op("mul_constant", [h], {"constant": np.array([1.0, -2.0, 0.5])}))


@pytest.mark.parametrize("granularity", ["tensor", "channel", "group"])
def test_a_batch_norm_folds_into_the_scales_of_symmetric_integers(granularity: Granularity) -> None:
    rng = np.random.default_rng(0)
    fmt = Affine.fit(rng.normal(size=(3, 5)).astype(np.float32), 3, granularity, group_size=2)
    graph, x = normed(fmt, rng), rng.normal(size=(20, 5)).astype(np.float32)
    folded = canonical(graph)
    assert [node.op for node in folded.nodes] == ["linear"]
    (made,) = (w for w in folded.weights.values() if isinstance(w, Affine))
    assert np.array_equal(np.abs(made.symbols), np.abs(fmt.symbols))
    np.testing.assert_allclose(run_float(folded, x), run_float(graph, x), rtol=1e-4, atol=1e-5)


def test_a_grid_that_turned_round_would_lack_a_value_stays() -> None:
    """One with a zero point, and one that holds the least of its integers."""
    rng = np.random.default_rng(0)
    least = Affine(np.full((3, 5), -4, np.int8), np.ones(3, np.float32), 3)
    for fmt in (Affine.fit(rng.normal(size=(3, 5)).astype(np.float32), 3, symmetric=False), least):
        folded = canonical(normed(fmt, rng))
        assert "conv" in [node.op for node in folded.nodes]
        assert any(weight is fmt for weight in folded.weights.values())
