"""Structured weights mean their factored execution, and every way to run them does just that."""

import math

import numpy as np
import pytest

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.errors import BadFile, IllegalGraph
from smidgen.formats import Affine, Dense, Half, LowRank, from_parts, to_parts
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cost import macs
from smidgen.graph.structured import expand_structured
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.lower.canonical import canonical
from smidgen.methods.prune.channels import Channels
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from tests.networks import batch_norm, digits, noise_like

RNG = np.random.default_rng(0)


def factors(outputs: int, rank: int, *rest: int) -> LowRank:
    left = RNG.normal(size=(outputs, *(1,) * (len(rest) - 1), rank)) / math.sqrt(rank)
    right = RNG.normal(size=(rank, *rest)) / math.sqrt(math.prod(rest))
    return LowRank(Dense(left.astype(np.float32)), Dense(right.astype(np.float32)))


def network() -> Graph:
    """Low-rank everywhere: strided and dilated windows, BatchNorm behind one, tied linear layers."""
    b = GraphBuilder("structured")
    x = b.input("x", (8, 8, 1))
    h = b.conv(x, b.weight("k1", factors(6, 3, 3, 3, 1)), np.zeros(6), stride=2, padding=1, name="conv1")
    h = b.op("relu", [batch_norm(b, h, RNG)])
    h = b.conv(h, b.weight("k2", factors(8, 2, 2, 2, 6)), dilation=2, name="conv2")
    h = b.linear(b.flatten(h), factors(16, 4, 32), RNG.normal(size=16), name="fc")
    tied = b.weight("tied", factors(16, 5, 16))
    h = b.linear(b.op("relu", [b.linear(h, tied, name="once")]), tied, name="twice")
    return b.graph(b.linear(h, RNG.normal(size=(10, 16)), name="logits"))


GRAPH = network()
X = noise_like(GRAPH, 16).test.x


def multiplied_out(graph: Graph) -> Graph:
    """The graph with dense products: equal in real numbers, up to float rounding."""
    return graph.with_weights({n: Dense(f.decode()) for n, f in graph.weights.items()})


@pytest.mark.parametrize(
    "run",
    [
        run_float,
        float_logits,
        lambda graph, x: run_float(expand_structured(graph), x),
        lambda graph, x: run_float(canonical(graph), x),
        lambda graph, x: run_float(unpack_smg(pack_smg([graph])).graph, x),
        lambda graph, x: run_float(unpack_smg(pack_smg([lower(graph)])).graph, x),
    ],
    ids=["run_float", "twin", "expanded", "canonical", "file", "lowered file"],
)
def test_every_way_to_run_it_computes_what_the_products_mean(run: object) -> None:
    assert np.allclose(run(GRAPH, X), run_float(multiplied_out(GRAPH), X), atol=1e-4)


def test_expansion_makes_plain_layers_of_the_factors() -> None:
    expanded = expand_structured(GRAPH)
    expanded.check()
    assert not any(isinstance(fmt, LowRank) for fmt in expanded.weights.values())
    assert expanded.values["conv1.factor"].shape == (4, 4, 3)
    assert expanded.weights["k1"] is GRAPH.weights["k1"].left
    assert expanded.weights["conv1.factor.weight"] is GRAPH.weights["k1"].right
    assert expanded.node("conv1").attrs["stride"] == (1, 1)
    assert "bias" not in expanded.node("conv1.factor").params


def test_tied_weights_stay_tied() -> None:
    expanded = expand_structured(GRAPH)
    assert {n.name for n in expanded.users("tied")} == {"once", "twice"}
    assert {n.name for n in expanded.users("once.factor.weight")} == {"once.factor", "twice.factor"}


def test_a_graph_without_structured_weights_is_returned_as_it_is() -> None:
    expanded = expand_structured(GRAPH)
    assert expand_structured(expanded) is expanded


def test_names_that_are_taken_are_avoided() -> None:
    b = GraphBuilder("taken")
    x = b.input("fc.factor", (6,))
    b.weight("fc.factor.weight", RNG.normal(size=(4, 5)))
    h = b.linear(x, factors(5, 2, 6), name="fc")
    graph = b.graph(b.linear(h, "fc.factor.weight", name="last"))
    expanded = expand_structured(graph)
    expanded.check()
    x = RNG.normal(size=(3, 6)).astype(np.float32)
    assert np.allclose(run_float(expanded, x), run_float(multiplied_out(graph), x), atol=1e-5)


def test_costs_count_the_factors() -> None:
    expanded, whole = macs(expand_structured(GRAPH)), macs(GRAPH)
    for name in ("conv1", "conv2", "fc", "twice"):
        assert whole[name] == expanded[name] + expanded[f"{name}.factor"]


def test_training_trains_the_factors_and_keeps_the_rank() -> None:
    data = digits()
    trained = fit(GRAPH, data, FitSettings(epochs=3, lr=5e-3, batch_size=32))
    before, after = GRAPH.weights["fc.weight"], trained.weights["fc.weight"]
    assert isinstance(after, LowRank)
    assert after.rank == before.rank
    assert not np.allclose(after.left.decode(), before.left.decode())
    assert not np.allclose(after.right.decode(), before.right.decode())
    assert {n.name for n in trained.nodes} == {n.name for n in GRAPH.nodes}
    assert (run_float(trained, data.test.x).argmax(1) == data.test.y).mean() > 0.5


def test_freezing_an_untouched_twin_gives_the_graph_back() -> None:
    frozen = GraphTwin(GRAPH).freeze()
    assert all(np.array_equal(frozen.weights[n].decode(), f.decode()) for n, f in GRAPH.weights.items())


def test_pruning_takes_weights_off_the_factors() -> None:
    pruned = GlobalMagnitude(0.5).apply(GRAPH, Context(None, GRAPH))
    assert {fmt.label for name, fmt in pruned.weights.items() if name in ("k1", "tied")} == {"sparse(dense)"}


def test_channel_pruning_narrows_the_factors() -> None:
    narrow = Channels(0.5).apply(GRAPH, Context(None, GRAPH))
    narrow.check()
    assert sum(macs(narrow).values()) < sum(macs(GRAPH).values())


def test_a_grouped_convolution_has_no_low_rank_meaning() -> None:
    b = GraphBuilder("grouped")
    x = b.input("x", (4, 4, 4))
    graph = b.graph(b.conv(x, b.weight("w", factors(4, 1, 3, 3, 2)), groups=2, name="conv"))
    with pytest.raises(IllegalGraph, match="grouped convolution"):
        expand_structured(graph)


def test_factors_nest_any_format() -> None:
    w = RNG.normal(size=(6, 8)).astype(np.float32)
    fmt = LowRank(Affine.fit(w[:, :2], 4), Half.fit(w[:2]))
    assert fmt.label == "low_rank2(affine4, half)"
    expected = fmt.left.decode().astype(np.float64) @ fmt.right.decode().astype(np.float64)
    assert np.allclose(fmt.decode(), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("left", "right"), [((4, 2), (3, 5)), ((4, 2, 2), (2, 3, 5)), ((4, 2), (2, 3, 5)), ((4,), (4,))]
)
def test_factors_that_do_not_multiply_are_refused(left: tuple[int, ...], right: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="do not multiply"):
        LowRank(Dense(np.zeros(left, np.float32)), Dense(np.zeros(right, np.float32)))


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [7, 8]},
        {"left": None},
        {"right": {"format": "LowRank"}},
        {"left": {"format": "Dense", "shape": [6, 1]}},
        {"left": {"format": "Dense", "shape": [4, 3]}},
    ],
    ids=str,
)
def test_a_description_that_does_not_fit_its_streams_is_refused(change: dict[str, object]) -> None:
    meta, leaves = to_parts(factors(6, 2, 8))
    with pytest.raises(BadFile):
        from_parts({**meta, **change}, {leaf.name: leaf.symbols for leaf in leaves})
