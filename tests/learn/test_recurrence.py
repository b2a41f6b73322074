"""Training scans: all ways to run one agree, and what was trained on grids is what the integers compute."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from smidgen.formats import Dense, Grid, LowRank
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.scan import body_of, with_body
from smidgen.learn.fit import FitSettings, fit, float_logits, logits
from smidgen.learn.scan import parts_of
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.lower.grids import trainable_grids
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.networks import digits, noise_like, small_gru
from tests.recurrent import CELLS, FEATURES, HIDDEN, STEPS, cell


def recurrent(
    kind: str, reverse: bool = False, initial: bool = False, sequence: bool = True, biases: bool = True
) -> Graph:
    """One layer; its sequence, if there is one, and all its final states side by side."""
    rng = np.random.default_rng(1)
    b = GraphBuilder("net")
    x = b.input("x", (STEPS, FEATURES))
    body = cell(kind, rng, "r", sequence=sequence, biases=biases)
    starts = []
    if initial:
        first = b.op("reshape", [b.op("slice", [x], axis=0, start=0, stop=1, step=1)], shape=(FEATURES,))
        starts = [b.linear(first, rng.normal(size=(HIDDEN, FEATURES))) for _ in body.inputs[1:]]
    made = b.scan(x, body, kind=kind, reverse=reverse, initial=starts)
    flat = [b.flatten(name) if len(b.shape(name)) > 1 else name for name in made]
    return b.graph(b.op("concat", flat, axis=0) if len(flat) > 1 else flat[0])


@pytest.mark.parametrize("kind", CELLS)
@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("initial", [False, True])
@pytest.mark.parametrize("sequence", [False, True])
def test_a_twin_computes_what_the_interpreter_computes(
    kind: str, reverse: bool, initial: bool, sequence: bool
) -> None:
    graph = recurrent(kind, reverse, initial, sequence)
    x = noise_like(graph, 6).train.x
    assert np.allclose(float_logits(graph, x), run_float(graph, x), atol=1e-5)


@pytest.mark.parametrize("kind", ["lstm", "gru_after"])
@pytest.mark.parametrize("biases", [False, True])
def test_the_fused_kernel_equals_the_loop_forward_and_backward(kind: str, biases: bool) -> None:
    graph = recurrent(kind, reverse=True, initial=True, biases=biases)
    looped = with_kind(graph, "custom")
    x = torch.from_numpy(noise_like(graph, 6).train.x)
    outputs, gradients = zip(*(output_and_gradients(g, x) for g in (graph, looped)), strict=True)
    assert torch.allclose(*outputs, atol=1e-5)
    for name in graph.weights:
        assert torch.allclose(gradients[0][name], gradients[1][name], atol=1e-4), name


def with_kind(graph: Graph, kind: str) -> Graph:
    (scan,) = (node for node in graph.nodes if node.op == "scan")
    return graph.replace(scan.name, replace(scan, attrs={**scan.attrs, "kind": kind}))


def output_and_gradients(graph: Graph, x: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    twin = GraphTwin(graph)
    y = twin(x)
    y.square().sum().backward()
    return y.detach(), {name: inner.latent.grad for name, inner in twin.weights.items()}


def test_a_body_that_only_looks_like_its_kind_runs_as_it_is() -> None:
    graph = recurrent("lstm")
    (scan,) = (node for node in graph.nodes if node.op == "scan")
    body = body_of(scan, graph.weights)
    nodes = tuple(replace(n, op="hardsigmoid") if n.op == "sigmoid" else n for n in body.nodes)
    changed = graph.replace(scan.name, with_body(scan, replace(body, nodes=nodes)))
    x = noise_like(changed, 6).train.x
    assert np.allclose(float_logits(changed, x), run_float(changed, x), atol=1e-5)
    assert not np.allclose(run_float(changed, x), run_float(graph, x), atol=1e-3)


@pytest.mark.parametrize(("kind", "gates"), [("lstm", 4), ("gru_after", 3), ("gru_before", 3)])
def test_products_with_the_input_alone_run_ahead_of_the_loop(kind: str, gates: int) -> None:
    (scan,) = (node for node in recurrent(kind).nodes if node.op == "scan")
    ahead, stepwise = parts_of(body_of(scan))
    assert [node.params["weight"].split(".")[-1] for node in ahead] == ["input"] * gates
    assert len(ahead) + len(stepwise) == len(body_of(scan).nodes)


def test_embeddings_slices_and_differences_train_as_they_run() -> None:
    rng = np.random.default_rng(0)
    b = GraphBuilder("words")
    x = b.input("x", (6,))
    h = b.op("embedding", [x], {"weight": rng.normal(size=(9, 4))})
    h = b.op("slice", [h], axis=0, start=1, stop=6, step=2)
    first = b.op("slice", [h], axis=0, start=0, stop=1, step=1)
    graph = b.graph(b.op("sub", [h, first]))
    words = rng.uniform(-2, 12, size=(5, 6)).astype(np.float32)
    assert np.allclose(float_logits(graph, words), run_float(graph, words), atol=1e-6)


def test_a_low_rank_gate_trains_as_its_two_factors() -> None:
    rng, graph = np.random.default_rng(0), recurrent("gru_after")
    left, right = (Dense(rng.normal(size=s).astype(np.float32)) for s in ((HIDDEN, 2), (2, FEATURES)))
    graph = graph.with_weights({"r.new.input": LowRank(left, right)})
    x = noise_like(graph, 6).train.x
    assert np.allclose(float_logits(graph, x), run_float(graph, x), atol=1e-5)
    twin = GraphTwin(graph)
    twin(torch.from_numpy(x)).square().sum().backward()
    assert all(parameter.grad is not None for parameter in twin.parameters())


@pytest.fixture(scope="module")
def trained() -> Graph:
    return fit(small_gru(), digits(), FitSettings(epochs=10, lr=2e-2, batch_size=32))


def test_training_learns(trained: Graph) -> None:
    data = digits()
    assert (run_float(trained, data.test.x).argmax(axis=1) == data.test.y).mean() > 0.85


@pytest.fixture(scope="module")
def tuned(trained: Graph) -> Graph:
    steps = (AffineQuantization(bits=2), Fit(epochs=3, lr=5e-3))
    return Recipe(steps).apply(trained, Context(digits(), trained))


def test_quantized_training_repairs_what_rounding_broke(trained: Graph, tuned: Graph) -> None:
    data = digits()
    rounded = AffineQuantization(bits=2).apply(trained, Context(data, trained))
    before, after = (right_integers(graph) for graph in (rounded, tuned))
    assert after > before + 0.1


def right_integers(graph: Graph) -> float:
    lowered, data = lower(graph), digits()
    x = lowered.values[lowered.inputs[0]].grid.quantize(data.test.x)
    return float((run_integer(lowered, x.astype(np.int8)).argmax(axis=1) == data.test.y).mean())


def test_the_twin_is_within_a_few_steps_of_the_integers(tuned: Graph) -> None:
    lowered, x = lower(tuned), digits().test.x
    q = lowered.values[lowered.inputs[0]].grid.quantize(x).astype(np.int8)
    grid = lowered.values[lowered.outputs[0]].grid
    found = (run_integer(lowered, q).astype(np.float64) - grid.zero) * grid.scale
    assert np.abs(logits(GraphTwin(tuned), x) - found).mean() < grid.scale


def test_training_moves_the_grid_of_the_state_and_no_16_bit_grid(trained: Graph, tuned: Graph) -> None:
    start = AffineQuantization(bits=2).apply(trained, Context(digits(), trained))
    before, after = trainable_grids(start), trainable_grids(tuned)
    assert before["gru.h"] != after["gru.h"]
    assert wide_grids(start) == wide_grids(tuned) != {}


def wide_grids(graph: Graph) -> dict[str, Grid]:
    (scan,) = (node for node in graph.nodes if node.op == "scan")
    values = body_of(scan).values
    return {name: value.grid for name, value in values.items() if value.grid and value.grid.bits == 16}
