"""Trees on integers: the input's grid, how near the integers stay, and one meaning in every form."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import read_smg, write_smg
from smidgen.data import Dataset, Splits
from smidgen.emit.c import CEmitter
from smidgen.emit.onnx import OnnxEmitter
from smidgen.errors import IllegalGraph
from smidgen.formats import Dense, Grid, Integer
from smidgen.graph import Graph, GraphBuilder
from smidgen.graph.cost import element_operations
from smidgen.lower.grids import fixed_grids, with_grids
from smidgen.lower.lowering import lower
from smidgen.lower.schedule import check_schedulable
from smidgen.measure.accuracy import quantized_inputs
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.step import Context
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import layer_checksums, run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware
from smidgen.targets.emulator import emulate
from smidgen.targets.host import find_compiler
from smidgen.targets.project import read_manifest
from tests.conftest import require
from tests.random_trees import float_trees, random_input


def quantized(graph: Graph, x: np.ndarray, notes: list[str] | None = None) -> Graph:
    part = Dataset(x.astype(np.float32), np.zeros(len(x), np.int64))
    ctx = Context(Splits(part, part, part, 1), graph)
    made = AffineQuantization().apply(graph, ctx)
    if notes is not None:
        notes.extend(ctx.notes)
    return lower(made)


def samples(graph: Graph, n: int = 200, seed: int = 0) -> np.ndarray:
    shape = graph.values[graph.inputs[0]].shape
    return np.random.default_rng(seed).normal(size=(n, *shape)).astype(np.float32)


def stump(threshold: float) -> Graph:
    """-1 at or below the threshold, else 1; two idle trees hold the range of thresholds at [-1, 1]."""
    params = {
        "feature": Integer(np.zeros(3, np.int16)),
        "threshold": Dense(np.array([threshold, -1.0, 1.0], np.float32)),
        "children": Integer(np.array([[0, -1], [0, 0], [0, 0]], np.int16)),
        "tree": Integer(np.array([[0, 0, 0], [1, 2, 0], [2, 2, 0]], np.int32)),
        "leaf": Dense(np.array([[-1.0], [1.0], [0.0]], np.float32)),
        "bias": Dense(np.zeros(1, np.float32)),
    }
    b = GraphBuilder("stump")
    return b.graph(b.op("trees", [b.input("x", (1,))], params))


@settings(max_examples=60)
@given(st.floats(-0.999, 0.999), st.integers(0, 2**32 - 1))
def test_only_inputs_within_a_step_of_a_threshold_change_sides(threshold: float, seed: int) -> None:
    graph = stump(threshold)
    low = quantized(graph, np.array([[-2.0], [2.0]]))
    grid = low.values["x"].grid
    assert grid is not None
    assert grid.bits == 16
    rng = np.random.default_rng(seed)
    x = np.concatenate([rng.uniform(-3, 3, (50, 1)), threshold + grid.scale * rng.uniform(-5, 5, (50, 1))])
    sides = (
        run_integer(low, quantized_inputs(low, x.astype(np.float32)))[:, 0]
        > low.values[low.outputs[0]].grid.zero
    )
    differ = sides != (run_float(graph, x)[:, 0] > 0)
    assert (np.abs(x[differ, 0] - threshold) <= 1.01 * grid.scale).all()


def test_the_grid_spans_the_thresholds_whatever_the_data() -> None:
    graph = float_trees()
    threshold = graph.weights["y.threshold"].decode()
    near, far = (quantized(graph, scale * samples(graph)).values["x"].grid for scale in (0.01, 1000))
    assert near == far
    assert near.dequantize([near.qmin])[0] < threshold.min()
    assert near.dequantize([near.qmax])[0] > threshold.max()


def test_an_input_that_others_read_too_is_calibrated() -> None:
    graph = float_trees()
    b = GraphBuilder("both")
    x = b.input("x", (5,))
    params = {role: graph.weights[name] for role, name in graph.node("y").params.items()}
    summed = b.op("add", [b.op("trees", [x], params), b.linear(x, np.ones((3, 5)))])
    both = b.graph(summed)
    assert fixed_grids(both) == {}
    low = quantized(both, samples(both))
    assert low.values["x"].dtype == "int8"
    assert check_schedulable(low) == []


@pytest.mark.parametrize("width", [1, 3])
@pytest.mark.parametrize("seed", range(4))
def test_integers_stay_near_the_real_sums(seed: int, width: int) -> None:
    graph = float_trees(seed, width=width)
    x = samples(graph)
    low = quantized(graph, x)
    out = low.values["y"].grid
    real = out.dequantize(run_integer(low, quantized_inputs(low, x)))
    # No sample lies within a 16-bit step of a threshold here, but for one in thousands of comparisons.
    near = np.abs(real - run_float(graph, x)) <= 0.6 * out.scale
    assert near.mean() > 0.99


def test_a_huge_bias_coarsens_the_leaves_instead_of_overflowing() -> None:
    graph = float_trees()
    heavy = graph.with_weights({"y.bias": Dense(np.array([1e6, -1e6, 0], np.float32))})
    x = samples(heavy)
    low = quantized(heavy, x)
    bound = np.abs(low.weights["y.bias"].array).max() + 6 * np.abs(low.weights["y.leaf"].array).max()
    assert 2**29 < bound < 2**31
    out = low.values["y"].grid
    real = out.dequantize(run_integer(low, quantized_inputs(low, x)))
    np.testing.assert_allclose(real, run_float(heavy, x), atol=0.6 * out.scale)


def test_leaves_all_zero_give_the_bias() -> None:
    graph = float_trees()
    empty = {name: Dense(np.zeros_like(graph.weights[name].decode())) for name in ("y.leaf", "y.bias")}
    low = quantized(graph.with_weights(empty), samples(graph))
    assert (run_integer(low, random_input(low, 5)) == low.values["y"].grid.zero).all()


def test_leaves_far_beyond_all_sums_are_refused() -> None:
    graph = float_trees()
    leaf = graph.weights["y.leaf"].decode() * 1e-9
    leaf[-1] = 1e9
    params = graph.node("y").params
    grids = {"x": Grid(0.1, 0, 16), "y": Grid(1e-9, 0)}
    with pytest.raises(IllegalGraph, match=r"y: leaves reach 1e\+09"):
        lower(with_grids(graph.with_weights({params["leaf"]: Dense(leaf)}), grids))


def test_features_of_very_different_ranges_are_pointed_out() -> None:
    graph, notes = float_trees(), []
    name = graph.node("y").params["threshold"]
    threshold = graph.weights[name].decode().copy()
    threshold[0] = 1e7
    quantized(graph.with_weights({name: Dense(threshold)}), samples(graph), notes)
    assert "on the 16-bit grid of the input. Bring the features of the data to similar ranges" in notes[0]


def test_features_of_one_range_need_no_note() -> None:
    graph, notes = float_trees(), []
    quantized(graph, samples(graph), notes)
    assert notes == []


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_reference_native_and_reloaded_file_agree(shape: tuple[int, ...], tmp_path: Path) -> None:
    graph = float_trees(7, shape)
    low = quantized(graph, samples(graph))
    write_smg(tmp_path / "trees.smg", [low])
    again = read_smg(tmp_path / "trees.smg").graph
    x = random_input(low, 50)
    expected = run_integer(low, x)
    np.testing.assert_array_equal(run_integer(again, x), expected)
    y, sums = native_plan(again).run_traced(x)
    np.testing.assert_array_equal(y, expected)
    assert sums == layer_checksums(low, x)


@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_the_emitted_c_agrees(shape: tuple[int, ...], tmp_path: Path) -> None:
    require(find_compiler(), "a C compiler")
    graph = float_trees(8, shape)
    low = quantized(graph, samples(graph))
    x = random_input(low, 20)
    artifact = CEmitter().emit(low, load_target("generic-c"), tmp_path / "c")
    artifact.selftest()
    np.testing.assert_array_equal(artifact.run(x), run_integer(low, x))


def test_the_emulated_device_agrees(tmp_path: Path) -> None:
    for package in ("ziglang", "elftools", "unicorn"):
        require(importlib.util.find_spec(package), package)
    graph, device = float_trees(9), load_target("cortex-m4")
    low = quantized(graph, samples(graph))
    x = random_input(low, 1)
    project = CEmitter().emit(low, device, tmp_path / "c").folder
    found = emulate(build_firmware(project, device, tmp_path), read_manifest(project), device, x)
    np.testing.assert_array_equal(found.outputs[0], run_integer(low, x))


def test_the_exact_onnx_flavour_says_what_it_lacks() -> None:
    graph = float_trees()
    problems = OnnxEmitter().check(quantized(graph, samples(graph)), load_target("generic-c"))
    assert [problem.reason for problem in problems] == ["no rule for q.trees"]


def test_work_is_the_longest_walk_and_the_leaf_of_every_tree() -> None:
    assert element_operations(stump(0.5)) == {"trees1": 3 * 1 + 3 * 1}
