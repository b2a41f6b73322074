"""Packed sparse binary layers: what is lost, in which order, and that all back ends agree."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.codec.container import pack_smg, unpack_smg
from smidgen.emit.c import CEmitter
from smidgen.formats import Binary, BinaryPacks
from smidgen.graph import Graph
from smidgen.lower import lower
from smidgen.methods.binarize._packing import greedy_order, largest_weights, retained, sorting_order
from smidgen.methods.binarize.bwn import BinaryWeights
from smidgen.methods.binarize.packed_sparse import PackedSparse
from smidgen.methods.binarize.xnor import Xnor
from smidgen.methods.quantize.affine import AffineQuantization
from smidgen.methods.recipe import Recipe
from smidgen.methods.step import Context, Step
from smidgen.methods.tune.fit import Fit
from smidgen.models.layers import Blocks
from smidgen.run.float_ops import run_float
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets import load_target
from smidgen.targets.cross import build_firmware
from smidgen.targets.emulator import emulate
from smidgen.targets.project import read_manifest
from tests.conftest import require
from tests.integer_networks import random_integers
from tests.networks import digits, noise_like, small_gru


def vectors(seed: int = 0) -> Graph:
    return Blocks("vectors", (96,), seed).linear(128).linear(70).classify(10)


def images() -> Graph:
    return (
        Blocks("images", (8, 8, 1), 0).conv(64, 3).conv(64, 3).max_pool(2).flatten().linear(64).classify(10)
    )


def applied(graph: Graph, *steps: Step) -> Graph:
    return Recipe(steps).apply(graph, Context(noise_like(graph), graph))


def integers(graph: Graph, *steps: Step) -> Graph:
    return lower(applied(graph, *steps, AffineQuantization()))


def test_binary_layers_lose_all_but_a_few_packs() -> None:
    made = applied(vectors(), Xnor(first="binary"), PackedSparse(0.5))
    found = {name: fmt for name, fmt in made.weights.items() if isinstance(fmt, BinaryPacks)}
    assert {name: fmt.packs_a_row for name, fmt in found.items()} == {
        "linear1.weight": 2,
        "linear2.weight": 2,
    }


def test_a_float_network_gets_binary_layers_as_by_xnor() -> None:
    alone, behind = applied(vectors(), PackedSparse()), applied(vectors(), Xnor(), PackedSparse())
    assert [node.op for node in alone.nodes] == [node.op for node in behind.nodes]
    assert isinstance(alone.weights["linear2.weight"], BinaryPacks)
    for name, fmt in alone.weights.items():
        assert np.array_equal(fmt.decode(), behind.weights[name].decode())


def test_weights_that_multiply_int8_are_pruned_too() -> None:
    made = applied(vectors(), BinaryWeights(), PackedSparse())
    assert isinstance(made.weights["linear2.weight"], BinaryPacks)
    assert not any(node.op == "binarize" for node in made.nodes)


def test_a_network_without_layers_that_can_be_binary_stays() -> None:
    graph = small_gru()
    ctx = Context(None, graph)
    assert PackedSparse().apply(graph, ctx) is graph
    assert "nothing changes" in ctx.notes[0]


@pytest.mark.parametrize("build", [vectors, images])
def test_sorting_leaves_the_function_as_it_is(build: object) -> None:
    graph = applied(build(), Xnor(first="binary"))  # type: ignore[operator]
    step, ctx = PackedSparse(0.9, permute="greedy"), Context(None, graph)
    made = _with_all_packs(step.apply(graph, ctx))
    assert not ctx.notes
    x = np.random.default_rng(0).normal(size=(50, *graph.values[graph.inputs[0]].shape)).astype(np.float32)
    assert np.allclose(run_float(graph, x), run_float(made, x), rtol=1e-4, atol=1e-4)
    moved = [name for name, fmt in made.weights.items() if isinstance(fmt, Binary)]
    assert any(not np.array_equal(made.weights[n].latent, graph.weights[n].latent) for n in moved)


def _with_all_packs(graph: Graph) -> Graph:
    """With signs and scales where packs were lost, so that nothing but the order has changed."""
    lost = {name: fmt for name, fmt in graph.weights.items() if isinstance(fmt, BinaryPacks)}
    return graph.with_weights({name: Binary.fit(fmt.latent) for name, fmt in lost.items()})


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 3), st.floats(0, 1))
def test_the_order_is_a_permutation_that_retains_no_fewer(seed: int, width: int, sparsity: float) -> None:
    kept = np.random.default_rng(seed).random((5, 2, 7)) < 0.4
    order, same = sorting_order(kept, width, sparsity), np.arange(7)
    assert sorted(order) == list(range(7))
    assert retained(kept, order, width, sparsity) >= retained(kept, same, width, sparsity)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.floats(0, 1))
def test_weights_are_retained_in_the_fullest_packs(seed: int, width: int, sparsity: float) -> None:
    rng = np.random.default_rng(seed)
    kept, order = rng.random((3, 2, 7)) < 0.4, rng.permutation(7)
    expected = 0
    for row in kept:
        packs = [tap[order[at : at + width]].sum() for tap in row for at in range(0, 7, width)]
        expected += sum(sorted(packs, reverse=True)[: max(1, int((1 - sparsity) * len(packs) + 0.5 + 1e-9))])
    assert retained(kept, order, width, sparsity) == expected


def test_columns_that_are_used_together_share_a_pack() -> None:
    rng = np.random.default_rng(0)
    whole = np.repeat(rng.random((40, 4)) < 0.25, 32, axis=1)
    shuffled = whole[:, rng.permutation(128)]
    packs = [set(map(tuple, shuffled.T[at])) for at in greedy_order(shuffled, 32).reshape(4, 32)]
    assert all(len(pack) == 1 for pack in packs)


def test_the_largest_weights_of_each_row_count() -> None:
    kept = largest_weights(np.array([[0.1, -3, 2, 0], [1, 1, 1, 1]], np.float32), 0.5)
    assert kept.tolist() == [[False, True, True, False], [True, True, False, False]]


@pytest.mark.parametrize("build", [vectors, images])
def test_all_back_ends_compute_the_same_integers(build: object, tmp_path: Path) -> None:
    graph = integers(build(), Xnor(first="binary"), PackedSparse(0.6, permute="greedy"))  # type: ignore[operator]
    assert sum(node.op.startswith("q.binary") and "pool" not in node.op for node in graph.nodes) >= 2
    (read,) = unpack_smg(pack_smg([graph])).graphs
    x = random_integers(graph, 20)
    expected = run_integer(graph, x)
    np.testing.assert_array_equal(native_plan(graph).run(x), expected)
    np.testing.assert_array_equal(run_integer(read, x), expected)
    np.testing.assert_array_equal(
        CEmitter().emit(graph, load_target("generic-c"), tmp_path / "c").run(x), expected
    )


def test_an_emulated_device_computes_the_same_integers(tmp_path: Path) -> None:
    for package in ("ziglang", "elftools", "unicorn"):
        require(importlib.util.find_spec(package), package)
    graph, device = (
        integers(vectors(), Xnor(first="binary"), PackedSparse(permute="greedy")),
        load_target("cortex-m4"),
    )
    project = CEmitter().emit(graph, device, tmp_path / "project").folder
    x = random_integers(graph, 3)
    found = emulate(build_firmware(project, device, tmp_path), read_manifest(project), device, x)
    np.testing.assert_array_equal(found.outputs[0], run_integer(graph, x))


def test_the_recipe_of_the_paper_learns_digits() -> None:
    graph, data = images(), digits()
    single = PackedSparse(0.8, width=1)
    steps = (
        Xnor(),
        single,
        Fit(1, 5e-3),
        PackedSparse(0.8, permute="greedy"),
        Fit(2, 5e-3),
        AffineQuantization(),
    )
    whole = lower(Recipe(steps).apply(graph, Context(data, graph)))
    grid = whole.values[whole.inputs[0]].grid
    found = native_plan(whole).run(grid.quantize(data.test.x).astype(np.int8)).argmax(axis=1)
    assert (found == data.test.y).mean() > 0.6


@pytest.mark.parametrize(
    ("settings_", "problem"),
    [
        ({"sparsity": 1.5}, "sparsity must be 0 to 1"),
        ({"open_share": -1}, "open_share must be 0 to 1"),
        ({"width": 8}, "width must be 1 or 32"),
        ({"permute": "yes"}, "permute must be greedy or off"),
    ],
)
def test_settings_out_of_range_are_refused(settings_: dict[str, object], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        PackedSparse(**settings_)  # type: ignore[arg-type]
