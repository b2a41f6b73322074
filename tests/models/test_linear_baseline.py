"""Logistic regression as a graph, against scikit-learn's own predictions."""

import numpy as np
import pytest

from smidgen.data import Dataset, Splits
from smidgen.errors import BadInput
from smidgen.models import linear


def splits(classes: int, shape: tuple[int, ...] = (3, 2), seed: int = 0) -> Splits:
    """Blobs around random centres, features on very different scales, one of them constant."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(classes, *shape)) * 2
    scale = np.geomspace(0.5, 20, num=int(np.prod(shape))).reshape(shape)
    scale.flat[0] = 0.0

    def part(n: int) -> Dataset:
        y = np.arange(n) % classes
        x = (centres[y] + rng.normal(size=(n, *shape))) * scale + 5
        return Dataset(x.astype(np.float32), y.astype(np.int64))

    return Splits(part(300), part(100), part(100), classes)


def outputs(data: Dataset, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    return data.x.reshape(len(data), -1).astype(np.float64) @ weight.T + bias


@pytest.mark.parametrize("classes", [2, 4])
def test_it_predicts_what_scikit_learn_predicts_on_standardised_inputs(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression

    data = splits(classes)
    graph = linear.fit(data, strengths=(0.05,))
    flat = data.train.x.reshape(300, -1).astype(np.float64)
    deviation = flat.std(axis=0)
    deviation = np.maximum(deviation, 0.1 * np.sqrt((deviation**2).mean()))
    model = LogisticRegression(C=0.05, max_iter=1000).fit(
        (flat - flat.mean(axis=0)) / deviation, data.train.y
    )
    test = (data.test.x.reshape(100, -1) - flat.mean(axis=0)) / deviation
    ours = outputs(data.test, graph.weights["logits.weight"].decode(), graph.weights["logits.bias"].decode())
    ours = np.exp(ours - ours.max(axis=1, keepdims=True))
    np.testing.assert_allclose(ours / ours.sum(axis=1, keepdims=True), model.predict_proba(test), atol=0.01)


def test_it_is_one_linear_layer_on_the_flattened_input() -> None:
    graph = linear.fit(splits(4))
    graph.check()
    assert [node.op for node in graph.nodes] == ["reshape", "linear"]
    assert graph.values["logits"].shape == (4,)


def test_flat_inputs_need_no_flattening() -> None:
    assert [node.op for node in linear.fit(splits(3, shape=(5,))).nodes] == ["linear"]


def test_a_constant_feature_gets_no_weight() -> None:
    weight = linear.fit(splits(3)).weights["logits.weight"].decode()
    assert np.abs(weight[:, 0]).max() < 1e-6 * np.abs(weight).max()


def test_validation_chooses_the_penalty() -> None:
    data = splits(3)
    useless, useful = 1e-9, 0.1
    chosen = linear.fit(data, strengths=(useless, useful)).weights["logits.weight"].decode()
    assert np.array_equal(chosen, linear.fit(data, strengths=(useful,)).weights["logits.weight"].decode())


def test_the_same_seed_gives_the_same_weights() -> None:
    once, again = (linear.fit(splits(3), seed=1).weights["logits.weight"].decode() for _ in range(2))
    assert np.array_equal(once, again)


def test_a_class_without_rows_is_refused() -> None:
    data = splits(3)
    with pytest.raises(BadInput, match="a class without training rows"):
        linear.fit(Splits(data.train, data.validation, data.test, 4))
