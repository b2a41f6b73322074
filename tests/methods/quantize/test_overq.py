"""Overwrite quantization: one integer function in every back end, and only where it suits a layer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.emit.onnx_float import FloatOnnxEmitter
from smidgen.emit.onnx_qdq import QdqOnnxEmitter
from smidgen.emit.smg import SmgEmitter
from smidgen.formats import Grid
from smidgen.graph import Graph, GraphBuilder, Node
from smidgen.graph.coupling import channel_groups
from smidgen.graph.overwrite import Overwrite
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.methods.prune.channels import Channels
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.quantize.overq import OverwriteQuantization, fitted_step, held
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import layer_checksums, run_integer
from smidgen.targets.host import find_compiler
from smidgen.targets.target import Target
from tests.conftest import require
from tests.integer_networks import random_integers
from tests.networks import digits, kitchen_sink, noise_like, small_cnn

HOST = Target(name="host", kind="host")
LANES = OverwriteQuantization(bits=3, reach=3, fraction=2, tile=5, widen=0.5)


def applied(graph: Graph, step: OverwriteQuantization = LANES) -> tuple[Graph, list[str]]:
    ctx = Context(noise_like(graph), graph)
    return step.apply(graph, ctx), ctx.notes


def lane_nodes(graph: Graph, op: str = "overwrite") -> list[Node]:
    return [node for node in graph.nodes if node.op == op]


def integers(graph: Graph, step: OverwriteQuantization = LANES) -> Graph:
    return lower(AffineQuantization().apply(applied(graph, step)[0], Context(noise_like(graph), graph)))


def shared() -> Graph:
    """What a ReLU makes is read by two convolutions, a depthwise one and a sum; a sigmoid ends it."""
    rng = np.random.default_rng(3)
    b = GraphBuilder("shared")
    x = b.op("relu", [b.conv(b.input("x", (6, 6, 2)), rng.normal(size=(8, 1, 1, 2)), name="first")])
    one = b.conv(x, rng.normal(size=(8, 3, 3, 8)), padding=1, name="one")
    two = b.conv(x, rng.normal(size=(8, 1, 1, 8)), name="two")
    deep = b.conv(x, rng.normal(size=(8, 3, 3, 1)), padding=1, groups=8, name="deep")
    h = b.op("add", [b.op("add", [one, two]), b.op("add", [deep, x])])
    h = b.op("sigmoid", [h])
    return b.graph(b.linear(b.flatten(h), rng.normal(size=(3, 288)) / 9, name="last"))


@pytest.mark.parametrize("emitter", [SmgEmitter(), OnnxEmitter(), CEmitter()])
@pytest.mark.parametrize("build", [small_cnn, shared])
def test_exact_back_ends_agree_with_the_reference(emitter, build, tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph = integers(build())
    assert graph.is_integer
    assert lane_nodes(graph, "q.overwrite")
    x = random_integers(graph, 8)
    expected = run_integer(graph, x)
    found, sums = native_plan(graph).run_traced(x)
    np.testing.assert_array_equal(found, expected)
    assert sums == layer_checksums(graph, x)
    np.testing.assert_array_equal(emitter.emit(graph, HOST, tmp_path / "out").run(x), expected)


def test_nothing_is_requantized_where_only_lanes_read_a_value() -> None:
    assert not lane_nodes(integers(small_cnn()), "q.requantize")
    assert lane_nodes(integers(shared()), "q.requantize")


def test_real_numbers_have_room() -> None:
    graph = shared()
    made, notes = applied(graph)
    x = noise_like(graph, 4).test.x
    assert notes == []
    np.testing.assert_array_equal(run_float(made, x), run_float(graph, x))


def test_layers_that_read_one_value_share_its_lanes() -> None:
    made, _ = applied(shared())
    (lanes,) = lane_nodes(made)
    assert {node.name for node in made.consumers(lanes.output)} == {"one", "two"}
    assert {node.name for node in made.consumers(lanes.inputs[0])} >= {"deep", lanes.name}


def test_pools_and_reshapes_behind_a_rectifier_keep_zeros() -> None:
    b = GraphBuilder("net")
    h = b.op("relu", [b.conv(b.input("x", (4, 4, 1)), np.ones((3, 1, 1, 1)))])
    h = b.flatten(b.pool("max", h, 2))
    made, _ = applied(b.graph(b.linear(h, np.ones((2, 12)))))
    assert len(lane_nodes(made)) == 1


def test_a_network_without_rectifiers_is_left_alone_and_told_why() -> None:
    b = GraphBuilder("net")
    h = b.op("tanh", [b.linear(b.input("x", (4,)), np.eye(4))])
    graph = b.graph(b.linear(h, np.eye(4)))
    made, notes = applied(graph)
    assert [node.op for node in made.nodes] == [node.op for node in graph.nodes]
    assert len(notes) == 1
    assert "nothing changes" in notes[0]


def test_the_twin_computes_what_the_integers_do() -> None:
    """A step here and there apart: the twin's sums are real numbers."""
    graph = AffineQuantization().apply(applied(small_cnn())[0], Context(noise_like(small_cnn()), small_cnn()))
    whole, x = lower(graph), noise_like(graph, 16, 4).test.x
    source, out = (whole.values[ends[0]].grid for ends in (whole.inputs, whole.outputs))
    assert source
    assert out
    expected = run_integer(whole, source.quantize(x).astype(np.int8)).astype(int)
    with torch.no_grad():
        found = out.quantize(GraphTwin(graph).eval()(torch.from_numpy(x)).numpy())
    assert np.abs(found - expected).mean() < 0.1


def test_gradients_pass_through_lanes() -> None:
    graph = AffineQuantization().apply(applied(small_cnn())[0], Context(noise_like(small_cnn()), small_cnn()))
    twin = GraphTwin(graph)
    twin(torch.from_numpy(noise_like(graph, 4).test.x)).sum().backward()
    first = twin.weights[graph.nodes[0].params["weight"]]
    assert any(p.grad is not None and float(p.grad.abs().sum()) > 0 for p in first.parameters())


def test_training_keeps_the_grids_of_lanes() -> None:
    data = digits()
    steps = (OverwriteQuantization(bits=3), AffineQuantization(), Fit(epochs=1))
    made = Recipe(steps).apply(small_cnn(), Context(data, small_cnn()))
    for node in lane_nodes(made):
        expected = Grid(node.attrs["scale"], -128)
        assert made.values[node.output].grid == expected == made.values[node.inputs[0]].grid


def test_the_chosen_step_beats_those_beside_it() -> None:
    rng = np.random.default_rng(0)
    rows = np.maximum(rng.standard_t(3, (500, 16)), 0).astype(np.float32)
    for rule in (Overwrite(4, 0, 0, 16), Overwrite(4, 0, 3, 16), Overwrite(3, 2, 1, 16)):
        step = fitted_step(rows, rule)
        errors = [float(np.square(held(rows, step * f, rule) - rows).sum()) for f in (0.7, 1.0, 1.4)]
        assert errors[1] <= min(errors)


def test_overwriting_loses_less_than_clipping() -> None:
    rng = np.random.default_rng(1)
    rows = np.maximum(rng.standard_t(3, (500, 16)), 0).astype(np.float32)
    rules = [Overwrite(4, 0, reach, 16) for reach in range(4)]
    errors = [float(np.square(held(rows, fitted_step(rows, rule), rule) - rows).sum()) for rule in rules]
    assert errors == sorted(errors, reverse=True)


def test_pruning_follows_channels_through_lanes() -> None:
    graph = small_cnn()
    made, _ = applied(graph)
    assert len(channel_groups(made)) == len(channel_groups(graph))
    Channels(ratio=0.5).apply(made, Context(None, graph)).check()


def test_float_file_is_the_float_network_and_qdq_is_refused(tmp_path: Path) -> None:
    graph = small_cnn()
    made, x = applied(graph)[0], noise_like(graph, 4).test.x
    found = FloatOnnxEmitter().emit(made, HOST, tmp_path / "float").run(x)
    np.testing.assert_allclose(found, run_float(graph, x), atol=1e-4)
    problems = QdqOnnxEmitter().check(integers(graph), HOST)
    assert any("overwrite" in str(problem) for problem in problems)


def test_a_file_of_the_float_network_comes_back() -> None:
    made, _ = applied(kitchen_sink())
    again = unpack_smg(pack_smg([made])).graph
    assert [node.attrs for node in lane_nodes(again)] == [node.attrs for node in lane_nodes(made)]


@pytest.mark.parametrize(
    "wrong", [{"bits": 1}, {"reach": -1}, {"fraction": 5}, {"tile": 0}, {"widen": 0.0}, {"samples": 0}]
)
def test_settings_out_of_range_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"bits|reach|fraction|tile|widen|samples"):
        OverwriteQuantization(**wrong)  # type: ignore[arg-type]
