"""Every architecture lowers to integers and keeps its function: no target is out of reach."""

from collections.abc import Callable

import numpy as np
import pytest

from smidgen.data import Dataset, Splits
from smidgen.graph import Graph
from smidgen.learn.fit import float_logits
from smidgen.lower import lower
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.models import cnn1d, dscnn, lenet, linear, mlp, resnet8
from smidgen.run.reference import run_integer

CASES = {
    "mlp": (mlp.build, (8, 8, 1)),
    "cnn1d": (cnn1d.build, (40, 6)),
    "lenet5": (lenet.build, (12, 12, 1)),
    "resnet8": (resnet8.build, (8, 8, 3)),
    "dscnn": (dscnn.build, (12, 8, 1)),
}


def noise(shape: tuple[int, ...]) -> Splits:
    x = np.random.default_rng(0).standard_normal((48, *shape)).astype(np.float32)
    data = Dataset(x, np.arange(48, dtype=np.int64) % 4)
    return Splits(data, data, data, 4)


def agreement(graph: Graph, splits: Splits) -> float:
    """Correlation of the integer graph's outputs with the float graph's."""
    integer = lower(AffineQuantization().apply(graph, Context(splits, graph)))
    x = splits.train.x
    grid = integer.values[integer.inputs[0]].grid
    assert grid is not None
    outputs = run_integer(integer, grid.quantize(x))
    return float(np.corrcoef(outputs.ravel(), float_logits(graph, x).ravel())[0, 1])


@pytest.mark.parametrize(("build", "shape"), CASES.values(), ids=CASES.keys())
def test_an_architecture_works_in_integers(build: Callable[..., Graph], shape: tuple[int, ...]) -> None:
    assert agreement(build(shape, 4, width=0.25, seed=1), noise(shape)) > 0.995


def test_the_linear_baseline_works_in_integers() -> None:
    splits = noise((6, 2))
    assert agreement(linear.fit(splits), splits) > 0.995
