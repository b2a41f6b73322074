"""What exporters of streaming models write: slices of whole axes, caches that are overwritten in part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx.reference import ReferenceEvaluator

from smidgen.load import load
from smidgen.run.float_ops import run_float
from smidgen.run.islands import islands
from tests.load.onnx_models import floats, integers, model, op, write


def block(shape: tuple[int, ...], first: tuple[int, ...]) -> np.ndarray:
    """Positions of a block, as exporters list them."""
    ranges = [np.arange(start, start + n) for start, n in zip(first, shape)]
    return np.stack(np.meshgrid(*ranges, indexing="ij"), -1)


def test_a_slice_that_takes_the_whole_batch_takes_part_of_other_axes(tmp_path: Path) -> None:
    end = np.iinfo(np.int64).max
    weights = {"a": integers(0, 1), "b": integers(end, 3), "axes": integers(0, 1), "steps": integers(1, 1)}
    made = model([op("Slice", "x a b axes steps")], weights, ("n", 4))
    graph, x = load(write(made, tmp_path / "m.onnx")), floats(5, 4)
    assert not islands(graph)
    assert np.array_equal(run_float(graph, x), x[:, 1:3])


@pytest.mark.parametrize("start", [0, 1, 3])
def test_a_block_written_over_a_cache_is_captured(start: int, tmp_path: Path) -> None:
    weights = {"at": block((1, 2, 3), (0, start, 0)), "a": integers(0), "b": integers(2), "axes": integers(1)}
    nodes = [op("Slice", "x a b axes", "part"), op("Neg", "part", "new"), op("ScatterND", "x at new")]
    made = model(nodes, weights, (1, 5, 3), opset=11)
    graph, x = load(write(made, tmp_path / "m.onnx")), floats(1, 5, 3)
    assert not islands(graph)
    assert np.array_equal(run_float(graph, x), ReferenceEvaluator(made).run(None, {"x": x})[0])


def test_scattered_positions_become_an_island_that_says_why(tmp_path: Path) -> None:
    weights = {"at": np.array([[[0, 0], [0, 2]]]), "a": integers(0), "b": integers(2), "axes": integers(1)}
    nodes = [op("Slice", "x a b axes", "part"), op("ScatterND", "x at part")]
    made = model(nodes, weights, (1, 5, 3), opset=11)
    graph, x = load(write(made, tmp_path / "m.onnx")), floats(1, 5, 3)
    assert [island.reason for island in islands(graph)] == ["it writes to scattered positions"]
    assert np.array_equal(run_float(graph, x), ReferenceEvaluator(made).run(None, {"x": x})[0])
