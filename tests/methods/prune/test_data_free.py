"""Data-free pruning: every layer loses its share, the rest makes up for it, and no data is read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from smidgen.formats import Sparse
from smidgen.graph import Graph
from smidgen.lower.canonical import canonical
from smidgen.methods.prune.data_free import DataFreePruning
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import kitchen_sink, noise_like, small_cnn, small_gru


def applied(graph: Graph, data: Any = None, **settings: Any) -> tuple[Graph, list[str]]:
    ctx = Context(data, graph, seed=1)
    return DataFreePruning(**{"steps": 100, **settings}).apply(graph, ctx), ctx.notes


def sparse(graph: Graph) -> dict[str, Sparse]:
    return {name: w for name, w in graph.weights.items() if isinstance(w, Sparse)}


@pytest.mark.parametrize("build", [small_cnn, kitchen_sink])
def test_every_layer_of_known_input_loses_exactly_its_share(build: type[Graph]) -> None:
    made, _ = applied(build(), sparsity=0.6)
    found = sparse(made)
    assert len(found) > 2
    for weight in found.values():
        assert abs((~weight.mask).sum() - 0.6 * weight.mask.size) <= 0.5


def test_data_changes_nothing() -> None:
    class Untouchable:
        def __getattribute__(self, name: str) -> Any:
            raise AssertionError(f"the training data was asked for {name}")

    without, beside = (applied(small_cnn(), data)[0] for data in (None, Untouchable()))
    assert all(
        np.array_equal(w.decode(), beside.weights[name].decode()) for name, w in without.weights.items()
    )


def test_what_is_left_makes_up_for_what_is_gone() -> None:
    graph = small_cnn()
    x = noise_like(graph, 200, seed=7).test.x
    wanted = run_float(graph, x)

    def loss(made: Graph) -> float:
        return float(np.square(run_float(made, x) - wanted).mean())

    magnitude = GlobalMagnitude(0.5, scope="uniform").apply(canonical(graph), Context(None, graph))
    fitted, _ = applied(graph, smoothness=0.0, steps=300)
    assert loss(fitted) < loss(magnitude) / 2


def test_pruned_weights_stay_pruned() -> None:
    once, _ = applied(small_cnn(), sparsity=0.3)
    twice, _ = applied(once, sparsity=0.6)
    for name, before in sparse(once).items():
        assert not (sparse(twice)[name].mask & ~before.mask).any()


def test_a_network_that_is_sparse_enough_stays_and_says_so() -> None:
    once, _ = applied(small_cnn(), sparsity=0.5)
    twice, notes = applied(once, sparsity=0.5)
    assert twice is once
    assert "nothing changes" in notes[-1]


def test_layers_behind_a_recurrence_stay() -> None:
    graph = small_gru()
    made, notes = applied(graph)
    assert made is graph
    assert "nothing changes" in notes[-1]


def test_sparsity_of_everything_is_refused() -> None:
    with pytest.raises(ValueError, match="sparsity"):
        DataFreePruning(sparsity=1.0)
