"""Techniques reach the gates of recurrent layers and the tables of embeddings, and what they make runs."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.data.dataset import Dataset, Splits
from smidgen.formats import Affine, Codebook, Dense, Sparse
from smidgen.graph import Graph, GraphBuilder
from smidgen.lower import lower
from smidgen.measure.feasibility import problems_of
from smidgen.methods.prune.channels import Channels
from smidgen.methods.prune.global_magnitude import GlobalMagnitude
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.bias_correction import BiasCorrection
from smidgen.methods.share.codebook import WeightSharing
from smidgen.methods.step import Context, Step
from smidgen.models.layers import parameter_count
from smidgen.report.layers import layers_of
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets.registry import load_target
from tests.networks import noise_like, small_gru
from tests.recurrent import cell

WORDS, STEPS = 9, 6


def reader(seed: int = 0) -> Graph:
    """Words, as numbers 0..8, through an embedding and an LSTM into 3 classes."""
    rng, b = np.random.default_rng(seed), GraphBuilder("reader")
    words = b.op("embedding", [b.input("x", (STEPS,))], {"weight": rng.normal(size=(WORDS, 4))}, "words")
    last = b.scan(words, cell("lstm", rng, "lstm", 4, 5, sequence=False), kind="lstm", name="lstm")[0]
    return b.graph(b.linear(last, rng.normal(size=(3, 5)), np.zeros(3), "logits"))


def sentences(n: int = 64) -> Splits:
    x = np.random.default_rng(1).integers(0, WORDS, (n, STEPS)).astype(np.float32)
    part = Dataset(x, np.zeros(n, np.int64))
    return Splits(part, part, part, 3)


def gates(graph: Graph) -> list[str]:
    return [name for name in graph.weights if name.endswith((".input", ".recurrent"))]


def test_the_hidden_unit_with_the_smallest_gates_leaves() -> None:
    graph = small_gru()
    weak = {
        name: Dense(np.where(np.arange(10)[:, None] == 3, 0.01, 1.0) * graph.weights[name].decode())
        for name in gates(graph)
    }
    smaller = Channels(ratio=0.1).apply(graph.with_weights(weak), Context(None, graph))
    kept = np.delete(weak["gru.new.input"].array, 3, axis=0)
    np.testing.assert_array_equal(smaller.weights["gru.new.input"].decode(), kept)
    assert smaller.weights["gru.new.recurrent"].shape == (9, 9)
    assert parameter_count(smaller) < parameter_count(graph)


def test_the_weakest_feature_of_an_embedding_leaves() -> None:
    graph = reader()
    table = graph.weights["words.weight"].decode() * np.array([1, 1, 0.001, 1], np.float32)
    graph = graph.with_weights({"words.weight": Dense(table)})
    smaller = Channels(ratio=0.25).apply(graph, Context(None, graph))
    np.testing.assert_array_equal(smaller.weights["words.weight"].decode(), np.delete(table, 2, axis=1))


def test_pruning_counts_the_gates() -> None:
    graph = small_gru()
    pruned = GlobalMagnitude(sparsity=0.6).apply(graph, Context(None, graph))
    assert all(isinstance(pruned.weights[name], Sparse) for name in gates(graph))
    weights = [pruned.weights[name].decode() for name in (*gates(graph), "logits.weight")]
    assert sum((w == 0).sum() for w in weights) == round(0.6 * sum(w.size for w in weights))


@pytest.mark.parametrize(
    ("step", "kind"), [(AffineQuantization(bits=4), Affine), (WeightSharing(linear_bits=3), Codebook)]
)
def test_gates_and_embeddings_are_quantized_and_run(step: Step, kind: type) -> None:
    graph, data = reader(), sentences()
    changed = step.apply(graph, Context(data, graph))
    for name in (*gates(graph), "words.weight", "logits.weight"):
        assert isinstance(changed.weights[name], kind), name
    integers = lower(changed)
    x = integers.values["x"].grid.quantize(data.test.x).astype(np.int8)
    np.testing.assert_array_equal(native_plan(integers).run(x), run_integer(integers, x))


def test_bias_correction_leaves_the_inside_of_a_recurrence_and_says_so() -> None:
    graph = small_gru()
    ctx = Context(noise_like(graph), graph)
    before = AffineQuantization(bits=3).apply(graph, ctx)
    after = BiasCorrection().apply(before, ctx)
    changed = {name for name in after.weights if after.weights[name] is not before.weights[name]}
    assert changed == {"logits.bias"}
    assert "inside recurrences keep their biases" in ctx.notes[-1]


@pytest.mark.parametrize("target", ["x86-64", "generic-c"])
def test_a_recurrent_network_is_judged_without_training(target: str) -> None:
    assert problems_of(small_gru(), load_target(target)) == []
    assert problems_of(reader(), load_target(target)) == []


def test_a_report_shows_a_recurrent_layer_as_one() -> None:
    start = small_gru()
    graph = AffineQuantization(bits=4).apply(start, Context(noise_like(start), start))
    row = next(layer for layer in layers_of(graph) if layer.op == "scan")
    numbers = 3 * 10 * (8 + 10)
    assert row.format == "affine4"
    assert row.raw_bytes == 4 * (numbers + 3 * 10 + 10)
    assert row.macs == 8 * numbers
    assert 4 < row.bits < 8
