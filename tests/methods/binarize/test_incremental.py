"""Incremental binarization: which layers change, how training mixes, and that what is left is exact bits."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.data.dataset import Dataset, Splits
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.formats import Binary, Sparse
from smidgen.graph import Graph, Node
from smidgen.learn.hooks import FitState
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.methods.binarize.incremental import Incremental
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.models import denoiser
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.host import find_compiler
from tests.conftest import require
from tests.networks import digits, small_cnn, small_gru

HOST = load_target("generic-c")
STEPS, BITS = 9, 40
SCHEDULE = Incremental(levels=4, first_round=0.2, until=0.8)


def signs(seed: int = 0) -> Splits:
    """Random signs, and signs that follow from them and their past."""
    rng = np.random.default_rng(seed)
    x = rng.choice(np.array([-1, 1], np.float32), (48, STEPS, BITS))
    before = np.roll(x, 1, axis=1)
    y = np.where(x[..., ::4] + before[..., 1::4] + x[..., 2::4] > 0, 1, -1).astype(np.float32)
    whole = Dataset(x, y.reshape(len(x), -1))
    return Splits(whole, whole, whole, None)


def network(recurrent: bool) -> Graph:
    return (denoiser.gru if recurrent else denoiser.dense)((STEPS, BITS), 0, width=0.1)


def trained(graph: Graph, step: Incremental, data: Splits, epochs: int = 3) -> Graph:
    training = Fit(epochs=epochs, lr=1e-2, batch_size=8)
    return Recipe((step, training)).apply(graph, Context(data, graph))


def integers(graph: Graph, data: Splits) -> Graph:
    return lower(AffineQuantization().apply(graph, Context(data, graph)))


def outputs(graph: Graph, x: np.ndarray) -> np.ndarray:
    """Of the reference, which native code must equal, as real numbers."""
    grid, made = (graph.values[name].grid for name in (graph.inputs[0], graph.outputs[0]))
    q = grid.quantize(x).astype(np.int8)
    found = run_integer(graph, q)
    np.testing.assert_array_equal(native_plan(graph).run(q), found)
    return (found.astype(np.float64) - made.zero) * made.scale


def bitwise_gru(graph: Graph, x: np.ndarray) -> np.ndarray:
    """The paper's equations, written out: x [n, T, I] -> [n, T * O]."""
    w = {name: weight.decode().astype(np.float64) for name, weight in graph.weights.items()}

    def layer(name: str, bias: str, v: np.ndarray) -> np.ndarray:
        return v @ w[name].T + w[bias]

    h = np.tile(np.where(w["gru.start"] >= 0, 1.0, -1.0), (len(x), 1))
    made = []
    for t in range(x.shape[1]):
        seen = np.hstack([x[:, t], h])
        r = layer("gru.reset.weight", "gru.reset.bias", seen) > 0
        u = layer("gru.update.weight", "gru.update.bias", seen) > 0
        candidate = layer("gru.new.weight", "gru.new.bias", np.hstack([x[:, t], r * h])) >= 0
        h = np.where(u, np.where(candidate, 1.0, -1.0), h)
        made.append(np.where(layer("sums.weight", "sums.bias", h) >= 0, 1.0, -1.0))
    return np.stack(made, axis=1).reshape(len(x), -1)


@pytest.mark.parametrize("sparsity", [0.0, 0.4])
def test_every_bit_of_the_integer_gru_is_that_of_the_papers_equations(sparsity: float) -> None:
    data = signs()
    made = trained(network(recurrent=True), Incremental(sparsity, "all"), data)
    (again,) = unpack_smg(pack_smg([integers(made, data)])).graphs
    x = signs(seed=1).train.x
    found = outputs(again, x)
    assert set(np.unique(found)) == {-1.0, 1.0}
    np.testing.assert_array_equal(found, bitwise_gru(made, x))
    np.testing.assert_array_equal(found, run_float(made, x))


def test_first_states_near_zero_keep_their_signs() -> None:
    data = signs()
    made = trained(network(recurrent=True), Incremental(layers="all"), data, epochs=1)
    start = made.weights["gru.start"]
    assert isinstance(start, Binary)
    turned = Binary.fit(np.resize(np.array([1e-4, -1e-4, 2, -2, 1e-4], np.float32), start.shape), "tensor")
    made = made.with_weights({"gru.start": turned})
    np.testing.assert_array_equal(
        outputs(integers(made, data), data.train.x), bitwise_gru(made, data.train.x)
    )


@pytest.mark.parametrize("sparsity", [0.0, 0.4])
def test_every_bit_of_the_integer_layers_is_the_float_networks(sparsity: float) -> None:
    data = signs()
    made = trained(network(recurrent=False), Incremental(sparsity, "all"), data)
    x = signs(seed=1).train.x
    np.testing.assert_array_equal(outputs(integers(made, data), x), run_float(made, x))


def test_the_bitwise_gru_runs_its_gates_on_packed_bits_in_every_back_end(tmp_path: Path) -> None:
    data = signs()
    whole = integers(trained(network(recurrent=True), Incremental(layers="all"), data, epochs=1), data)
    assert [node.op for node in whole.walk()].count("q.binary_linear") == 2
    grid = whole.values[whole.inputs[0]].grid
    x = grid.quantize(data.test.x).astype(np.int8)
    expected = run_integer(whole, x)
    np.testing.assert_array_equal(OnnxEmitter().emit(whole, HOST, tmp_path / "onnx").run(x), expected)
    require(find_compiler(), "a C compiler")
    np.testing.assert_array_equal(CEmitter().emit(whole, HOST, tmp_path / "c").run(x), expected)


def test_layers_on_signs_run_on_packed_bits() -> None:
    data = signs()
    whole = integers(trained(network(recurrent=False), Incremental(layers="all"), data, epochs=1), data)
    bits = ["q.binarize", "q.binary_linear_bits", "q.binary_linear_bits", "q.binary_linear"]
    assert [node.op for node in whole.nodes] == [*bits, "q.table", "q.reshape"]


def test_a_weight_is_stored_as_a_bit() -> None:
    data = signs()
    made = trained(network(recurrent=True), Incremental(layers="all"), data, epochs=1)
    weights = [fmt for name, fmt in made.weights.items() if name.endswith("weight")]
    assert len(weights) == 4
    assert all(isinstance(fmt, Binary) for fmt in weights)
    bits = sum(fmt.decode().size for fmt in weights)
    assert sum(fmt.stored_bytes() for fmt in weights) <= bits / 8 + 3 * len(weights)


def test_the_smallest_weights_become_zero() -> None:
    data = signs()
    made = trained(network(recurrent=False), Incremental(0.3, "all"), data, epochs=1)
    for name, fmt in made.weights.items():
        assert isinstance(fmt, Sparse) == name.endswith("weight")
        if isinstance(fmt, Sparse):
            assert (fmt.decode() == 0).mean() == pytest.approx(0.3, abs=1 / fmt.mask.size)
            assert np.abs(fmt.latent)[fmt.mask].min() >= np.abs(fmt.latent)[~fmt.mask].max()


def test_inner_layers_leave_the_first_and_the_last() -> None:
    graph = network(recurrent=False)
    made = Incremental().apply(graph, Context(signs(), graph))
    kinds = [isinstance(made.weights[n.params["weight"]], Binary) for n in made.nodes if n.op == "linear"]
    assert kinds == [False, True, False]
    assert [n.op for n in made.nodes] == [
        *("binarize", "linear", "binarize", "linear", "tanh", "linear", "tanh", "reshape"),
    ]


def test_a_recurrence_on_real_inputs_reads_their_signs_behind_a_batch_norm() -> None:
    graph = small_gru()
    made = Incremental().apply(graph, Context(digits(), graph))
    assert [n.op for n in made.nodes] == [
        *("reshape", "batch_norm", "binarize", "constant", "binarize", "scan", "linear"),
    ]
    assert isinstance(made.weights["logits.weight"].decode(), np.ndarray)
    assert not isinstance(made.weights["logits.weight"], Binary)


def test_networks_on_real_inputs_learn() -> None:
    """A convolutional and a recurrent one on the 8x8 digits; chance is 10%."""
    data = digits()
    few = replace(data, train=data.train.head(400))
    for graph, layers, least in ((small_cnn(), "all", 0.4), (small_gru(), "inner", 0.25)):
        made = trained(graph, Incremental(layers=layers), few, epochs=5)
        found = outputs(integers(made, data), data.test.x).argmax(axis=1)
        assert (found == data.test.y).mean() > least


@given(st.floats(0, 1), st.floats(0, 1), st.integers(1, 20), st.floats(0, 0.7))
def test_the_share_of_signs_only_grows_and_ends_at_one(a: float, b: float, levels: int, first: float) -> None:
    step = Incremental(levels=levels, first_round=first, until=0.75)
    early, late = sorted((a, b))
    assert 0 <= step.share_at(early) <= step.share_at(late) <= 1
    assert step.share_at(0.75) == 1.0
    assert step.share_at(first) == 1 / levels


def test_the_first_round_is_tanh_and_the_last_level_what_is_kept() -> None:
    """Outputs of the twin at the beginning and at the end of the schedule."""
    data, graph = signs(), network(recurrent=False)
    step = replace(SCHEDULE, layers="all")
    declared = step.apply(graph, Context(data, graph))
    twin = GraphTwin(declared)
    state = FitState(twin, epochs=1, steps_per_epoch=100)
    (hook,) = step.hooks(Context(data, graph))
    hook.on_fit_start(state)
    import torch

    x = torch.from_numpy(data.train.x)
    squeezed = graph.with_weights(
        {name: type(fmt)(np.clip(fmt.array, -0.999, 0.999)) for name, fmt in graph.weights.items()}
    )
    np.testing.assert_allclose(twin(x).detach().numpy(), run_float(squeezed, data.train.x), atol=1e-5)
    state.step = 99
    hook.on_step(state)
    np.testing.assert_array_equal(twin(x).detach().numpy(), run_float(twin.freeze(), data.train.x))


def test_between_the_rounds_the_asked_share_of_weights_is_signs() -> None:
    data, graph = signs(), network(recurrent=False)
    step = replace(SCHEDULE, layers="all")
    twin = GraphTwin(step.apply(graph, Context(data, graph)))
    state = FitState(twin, epochs=1, steps_per_epoch=100, step=50)
    (hook,) = step.hooks(Context(data, graph))
    hook.on_fit_start(state)
    hook.on_step(state)
    mixed = twin.weights["sums.weight"]
    size = float(np.abs(mixed.freeze().decode()).max())
    drawn = [np.isclose(np.abs(mixed.weight().detach().numpy()), size, atol=1e-7).mean() for _ in range(30)]
    assert step.share_at(0.5) == 0.5
    assert np.mean(drawn) == pytest.approx(0.5, abs=0.05)
    assert np.std(drawn) > 0


def test_gradients_of_signs_are_those_of_their_smooth_forms() -> None:
    import torch

    from smidgen.graph.core import Value
    from smidgen.methods.binarize._mixing import MixedSign, Share

    a = torch.linspace(-2, 2, 9, requires_grad=True)
    for op, expected in (
        ("binarize", lambda v: 1 - torch.tanh(v) ** 2),
        ("step", lambda v: 2 * torch.sigmoid(v) * (1 - torch.sigmoid(v))),
    ):
        made = MixedSign(Share(1.0))(Node("n", op, ("a",), ("n",)), [a], {}, Value((9,)))
        (found,) = torch.autograd.grad(made.sum(), a)
        torch.testing.assert_close(found, expected(a.detach()))
        assert set(made.detach().numpy().tolist()) <= {-1.0, 0.0, 1.0}


def test_another_recurrence_is_left_alone_and_a_second_time_too() -> None:
    graph = small_gru()
    ctx = Context(digits(), graph)
    once = Incremental().apply(graph, ctx)
    assert not ctx.notes
    twice = Incremental().apply(once, ctx)
    assert "nothing changes" in ctx.notes[0]
    assert twice is once


def test_settings_out_of_range_are_refused() -> None:
    for wrong in ({"sparsity": 1.0}, {"first_round": 1.0}, {"until": 0.1}, {"levels": 0}, {"layers": "none"}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Incremental(**wrong)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(["binarize", "step"]))
def test_signs_of_integer_sums_are_those_of_the_real_ones(seed: int, op: str) -> None:
    """One layer with a bias near its thresholds, its sign read as int8."""
    from smidgen.graph import GraphBuilder

    rng = np.random.default_rng(seed)
    b = GraphBuilder("one")
    x = b.op("binarize", [b.input("x", (12,))])
    weight = Binary.fit(rng.normal(size=(5, 12)).astype(np.float32), rng.choice(["tensor", "channel"]))
    bias = weight.scale * rng.choice([-2, -1, -0.5, -1e-3, 0, 1e-3, 1, 1.5], 5)
    graph = b.graph(b.op(op, [b.linear(x, weight, bias.astype(np.float32))]))
    data = Dataset(rng.choice(np.array([-1, 1], np.float32), (32, 12)), np.zeros((32, 5), np.float32))
    whole = integers(graph, Splits(data, data, data, None))
    sums = data.x.astype(np.float64) @ weight.decode().T.astype(np.float64) + bias.astype(np.float32)
    exact = np.where(sums >= 0, 1, -1) if op == "binarize" else (sums > 0)
    np.testing.assert_array_equal(outputs(whole, data.x), exact)
