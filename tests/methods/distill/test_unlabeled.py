"""Distillation without labels: no label has any influence, and the student becomes its teacher."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from smidgen.data.dataset import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.graph import Graph
from smidgen.learn.fit import FitSettings, fit
from smidgen.learn.objectives.agreement import Agreement, divergence
from smidgen.learn.objectives.distillation import soft_cross_entropy
from smidgen.learn.twin import GraphTwin
from smidgen.methods.distill.logits import Logits
from smidgen.methods.distill.unlabeled import Unlabeled
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context
from smidgen.methods.tune.fit import Fit
from smidgen.run.float_ops import run_float
from tests.networks import digits, small_cnn

SOFT = partial(divergence, temperature=4.0)


@pytest.fixture(scope="module")
def taught() -> tuple[Graph, Splits]:
    data = digits()
    return fit(small_cnn(), data, FitSettings(epochs=8, lr=8e-3, batch_size=32)), data


def relabeled(part: Dataset, seed: int) -> Dataset:
    return replace(part, y=np.random.default_rng(seed).integers(0, 10, len(part)))


def distilled(teacher: Graph, data: Splits, epochs: int = 6, patience: int = 2) -> Graph:
    recipe = Recipe((Unlabeled(), Fit(epochs=epochs, lr=8e-3, batch_size=32, patience=patience)))
    return recipe.apply(small_cnn(seed=5), Context(data, teacher))


def test_labels_change_nothing_not_even_when_training_stops(taught: tuple[Graph, Splits]) -> None:
    teacher, data = taught
    wrong = replace(data, train=relabeled(data.train, 1), validation=relabeled(data.validation, 2))
    first, second = distilled(teacher, data), distilled(teacher, wrong)
    assert all(np.array_equal(first.weights[n].decode(), w.decode()) for n, w in second.weights.items())


def test_a_student_without_labels_learns_what_its_teacher_knows(taught: tuple[Graph, Splits]) -> None:
    teacher, data = taught
    blind = replace(data, train=relabeled(data.train, 1), validation=relabeled(data.validation, 2))
    student = distilled(teacher, blind, epochs=10, patience=0)
    found, expected = (run_float(g, data.test.x).argmax(axis=1) for g in (student, teacher))
    assert (found == expected).mean() > 0.93
    assert (found == data.test.y).mean() > 0.9


def test_early_stopping_goes_by_the_teachers_classes(taught: tuple[Graph, Splits]) -> None:
    teacher, data = taught
    objective = Agreement(GraphTwin(teacher), SOFT)
    found = objective.targets(relabeled(data.validation, 0))
    assert np.array_equal(found, run_float(teacher, data.validation.x).argmax(axis=1))


def test_the_divergence_is_the_formula() -> None:
    rng = np.random.default_rng(0)
    student, teacher = rng.normal(size=(2, 5, 7))
    t = 3.0

    def softmax(z: np.ndarray) -> np.ndarray:
        e = np.exp(z / t)
        return e / e.sum(axis=1, keepdims=True)

    p, q = softmax(teacher), softmax(student)
    expected = t**2 * (p * np.log(p / q)).sum(axis=1).mean()
    assert float(divergence(torch.from_numpy(student), torch.from_numpy(teacher), t)) == pytest.approx(
        expected
    )


def test_an_equal_student_has_no_divergence() -> None:
    outputs = torch.randn(4, 9, generator=torch.Generator().manual_seed(0))
    assert float(divergence(outputs, outputs, 2.0)) == pytest.approx(0.0, abs=1e-6)


def test_its_gradient_is_that_of_the_soft_cross_entropy() -> None:
    generator = torch.Generator().manual_seed(0)
    student, teacher = torch.randn(2, 4, 9, generator=generator)
    student.requires_grad_()
    first, second = (
        torch.autograd.grad(loss(student, teacher, 3.0), student)[0]
        for loss in (divergence, soft_cross_entropy)
    )
    assert torch.allclose(first, second, atol=1e-6)


def test_the_teacher_sees_the_very_batch(taught: tuple[Graph, Splits]) -> None:
    seen = []

    class Recording(GraphTwin):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.append(x)
            return super().forward(x)

    batch = torch.rand(3, 8, 8, 1), torch.zeros(3, dtype=torch.int64)
    Agreement(Recording(taught[0]), SOFT).loss(torch.zeros(3, 10), batch)
    assert seen[0] is batch[0]


def test_another_objective_before_it_is_refused(taught: tuple[Graph, Splits]) -> None:
    teacher, data = taught
    with pytest.raises(BadInput, match="Drop one"):
        Recipe((Logits(), Unlabeled(), Fit(epochs=1))).apply(small_cnn(), Context(data, teacher))


def test_a_temperature_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match="temperature"):
        Unlabeled(temperature=0.5)
