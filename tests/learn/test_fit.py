"""Training: it learns, repeats, and what it trained is what gets lowered."""

from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch

from smidgen.data.augment import Augmentation
from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.formats import Dense, Sparse
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit, float_logits, logits
from smidgen.learn.hooks import FitState, Hook
from smidgen.learn.objectives.distillation import soft_cross_entropy
from smidgen.learn.twin import GraphTwin
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.run.float_ops import run_float
from smidgen.run.reference import run_integer
from tests.networks import digits, kitchen_sink, noise_like, small_cnn

QUICK = FitSettings(epochs=8, lr=8e-3, batch_size=32)


@pytest.fixture(scope="module")
def trained() -> tuple[Graph, Splits]:
    data = digits()
    return fit(small_cnn(), data, QUICK), data


def score(outputs: np.ndarray, data: Dataset) -> float:
    return float((outputs.argmax(axis=1) == data.y).mean())


def integer_score(graph: Graph, data: Dataset) -> float:
    lowered = lower(graph)
    q = lowered.values[lowered.inputs[0]].grid.quantize(data.x).astype(np.int8)
    return score(run_integer(lowered, q), data)


@pytest.mark.parametrize("build", [kitchen_sink, small_cnn])
def test_a_twin_computes_what_the_interpreter_computes(build: object) -> None:
    graph = build()
    x = noise_like(graph, 8).train.x
    assert np.allclose(float_logits(graph, x), run_float(graph, x), atol=1e-4)


def test_training_learns(trained: tuple[Graph, Splits]) -> None:
    graph, data = trained
    assert score(run_float(graph, data.test.x), data.test) > 0.93


def test_same_seed_same_weights() -> None:
    data = digits()
    quick = FitSettings(1, 1e-3, 64)
    first, second = (fit(small_cnn(), data, quick, seed=3) for _ in range(2))
    other = fit(small_cnn(), data, quick, seed=4)
    same = [np.array_equal(first.weights[k].decode(), second.weights[k].decode()) for k in first.weights]
    differs = [
        not np.array_equal(first.weights[k].decode(), other.weights[k].decode()) for k in first.weights
    ]
    assert all(same)
    assert any(differs)


def test_training_leaves_torchs_random_state_and_the_input_graph_alone() -> None:
    graph = small_cnn()
    before = {k: f.decode().copy() for k, f in graph.weights.items()}
    state = torch.random.get_rng_state()
    fit(graph, digits(), FitSettings(1, 1e-2, 64))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(np.array_equal(before[k], f.decode()) for k, f in graph.weights.items())


def test_batch_norm_statistics_are_written_back(trained: tuple[Graph, Splits]) -> None:
    fresh, graph = small_cnn(), trained[0]
    node = next(n for n in graph.nodes if n.op == "batch_norm")
    name = node.params["mean"]
    assert not np.allclose(fresh.weights[name].decode(), graph.weights[name].decode())


def test_quantization_aware_training_repairs_two_bits(trained: tuple[Graph, Splits]) -> None:
    graph, data = trained
    rough = AffineQuantization(bits=2).apply(graph, Context(data, graph))
    tuned = fit(rough, data, QUICK)
    assert integer_score(tuned, data.test) > integer_score(rough, data.test) + 0.2
    assert integer_score(tuned, data.test) > 0.88


def test_the_quantized_twin_and_the_integers_agree_to_a_step(trained: tuple[Graph, Splits]) -> None:
    graph, data = trained
    quantized = AffineQuantization().apply(graph, Context(data, graph))
    lowered = lower(quantized)
    grid = lowered.values[lowered.outputs[0]].grid
    q = run_integer(lowered, lowered.values["x"].grid.quantize(data.test.x).astype(np.int8))
    assert np.abs(grid.quantize(logits(GraphTwin(quantized), data.test.x)) - q).max() <= 2


def test_freezing_an_untouched_twin_gives_the_graph_back(trained: tuple[Graph, Splits]) -> None:
    graph, data = trained
    quantized = AffineQuantization(bits=3).apply(graph, Context(data, graph))
    again = GraphTwin(quantized).freeze()
    assert dict(again.values) == dict(quantized.values)
    assert all(np.array_equal(again.weights[k].decode(), f.decode()) for k, f in quantized.weights.items())


def test_masks_survive_training(trained: tuple[Graph, Splits]) -> None:
    graph, data = trained
    name = next(n.params["weight"] for n in graph.nodes if n.op == "linear")
    w = graph.weights[name].decode()
    mask = np.abs(w) > np.median(np.abs(w))
    tuned = fit(graph.with_weights({name: Sparse(mask, Dense(w))}), data, FitSettings(1, 1e-2, 32))
    after = tuned.weights[name].decode()
    assert not after[~mask].any()
    assert not np.array_equal(after[mask], w[mask])


def test_patience_stops_early() -> None:
    reports: list[float] = []
    settings = FitSettings(40, 1e-9, 64, patience=2)
    fit(small_cnn(), digits(), settings, report=lambda fraction, message: reports.append(fraction))
    assert 0 < len(reports) < 39


def test_a_schedule_driven_by_hooks_is_trained_to_its_end() -> None:
    class Count(Hook):
        epochs = 0

        def on_epoch_start(self, state: FitState) -> None:
            self.epochs += 1

    count = Count()
    fit(small_cnn(), digits(), FitSettings(6, 1e-9, 64, patience=1), hooks=[count])
    assert count.epochs == 6


def test_a_diverging_loss_is_one_clear_error() -> None:
    data = digits()
    bad = Dataset(np.full_like(data.train.x, np.inf), data.train.y)
    with pytest.raises(BadInput, match="learning rate"):
        fit(small_cnn(), Splits(bad, data.validation, data.test, 10), FitSettings(1, 1e-3, 64))


def test_distillation_gradients_keep_their_size_over_temperatures() -> None:
    rng = np.random.default_rng(0)
    teacher = torch.from_numpy(rng.normal(size=(64, 10)) * 3)
    sizes = {}
    for temperature in (2.0, 5.0, 20.0):
        student = torch.from_numpy(rng.normal(size=(64, 10))).requires_grad_()
        soft_cross_entropy(student, teacher, temperature).backward()
        sizes[temperature] = float(student.grad.abs().mean())
    assert max(sizes.values()) < 2 * min(sizes.values())


def test_distillation_at_high_temperature_matches_logits() -> None:
    """(z_s - z_t) / K for zero-mean logits, the limit given by Hinton et al. 2015."""
    rng = np.random.default_rng(1)
    student, teacher = (torch.from_numpy(z - z.mean(1, keepdims=True)) for z in rng.normal(size=(2, 8, 5)))
    student.requires_grad_()
    soft_cross_entropy(student, teacher, 1e4).backward()
    assert torch.allclose(student.grad, (student.detach() - teacher) / 5 / 8, atol=1e-4)


@dataclass(frozen=True)
class Recording(Augmentation):
    """Mirrors images and keeps what it made."""

    made: list[np.ndarray]

    def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        self.made.append(x[:, :, ::-1].copy())
        return self.made[-1]


def test_every_training_on_the_splits_sees_varied_batches() -> None:
    data = digits()
    mirror = Recording([])
    Fit(epochs=1, batch_size=64).apply(small_cnn(), Context(replace(data, augmentation=mirror), small_cnn()))
    seen = {row.tobytes() for batch in mirror.made for row in batch}
    assert len(seen) == len(data.train) // 64 * 64
    assert seen <= {row[:, ::-1].tobytes() for row in data.train.x}


def test_training_learns_from_the_varied_samples() -> None:
    class Erasing(Augmentation):
        def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            return np.zeros_like(x)

    data = replace(digits(), augmentation=Erasing())
    assert score(run_float(fit(small_cnn(), data, QUICK), data.test.x), data.test) < 0.3


def test_augmentation_leaves_the_order_of_samples_alone() -> None:
    class Nothing(Augmentation):
        def __call__(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
            rng.random(7)
            return x

    data, once = digits(), FitSettings(1, 1e-3, 64)
    plain, same = (fit(small_cnn(), d, once, seed=3) for d in (data, replace(data, augmentation=Nothing())))
    assert all(np.array_equal(plain.weights[k].decode(), same.weights[k].decode()) for k in plain.weights)
