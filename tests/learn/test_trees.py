"""Trees in torch: the same sums, and leaves that learn while the structure stays."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.data import Dataset, Splits
from smidgen.learn.fit import FitSettings, fit, float_logits
from smidgen.run.float_ops import run_float
from tests.random_trees import float_trees


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("seed", range(3))
def test_torch_gives_the_sums_of_numpy(seed: int, width: int) -> None:
    graph = float_trees(seed, width=width)
    x = np.random.default_rng(1).normal(size=(50, 5)).astype(np.float32)
    np.testing.assert_allclose(float_logits(graph, x), run_float(graph, x), rtol=1e-5, atol=1e-5)


def test_training_moves_leaves_and_nothing_else() -> None:
    graph = float_trees()
    rng = np.random.default_rng(0)
    part = Dataset(rng.normal(size=(64, 5)).astype(np.float32), rng.integers(0, 3, 64))
    trained = fit(graph, Splits(part, part, part, 3), FitSettings(epochs=2, lr=0.1))
    changed = {
        name
        for name, fmt in graph.weights.items()
        if not np.array_equal(fmt.decode(), trained.weights[name].decode())
    }
    assert changed == {"y.leaf", "y.bias"}
