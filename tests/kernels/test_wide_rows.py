"""Softmax of 16-bit scores, and products that make them, against Python's integers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.emit.onnx import OnnxEmitter
from smidgen.formats import Grid
from smidgen.lower.nonlinear import polynomial_exp
from smidgen.lower.rules import requantization
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets.target import Target
from tests.kernels import loops
from tests.kernels.one_node import one_node, random_int8, random_integers, random_ratios, ratio_of

HOST = Target(name="host", kind="host")
seeds = st.integers(0, 2**32 - 1)
few = settings(max_examples=30)
POWERS = (np.exp2(-np.arange(256) / 256) * 65535 + 0.5).astype(np.uint16)


def softmax(x: list[int], params, kept: list[bool]) -> list[int]:
    """One row, as docs/NUMERICS.md says."""
    m, s = int(params["multiplier"][0]), int(params["shift"][0])
    top = max([v for v, keep in zip(x, kept, strict=True) if keep], default=0)

    def exponential(v: int) -> int:
        u = ((top - v) * m + 2 ** (s - 1)) // 2**s
        return int(params["table"][u % 256]) // 2 ** (u // 256)

    e = [exponential(v) if keep else 0 for v, keep in zip(x, kept, strict=True)]
    total = sum(e)
    return [min((256 * one + total // 2) // total, 255) - 128 if total else -128 for one in e]


@few
@given(st.integers(1, 9), st.booleans(), st.integers(8, 40), seeds)
def test_softmax_equals_unbounded_integers(tmp_path_factory, size, masked, shift, seed) -> None:
    rng = np.random.default_rng(seed)
    params = {"table": POWERS, **random_ratios(rng, 1, shift, shift)}
    kept = rng.random((3, size)) < 0.7 if masked else np.ones((3, size), bool)
    extra = {"mask": kept.astype(np.uint8)} if masked else {}
    graph = one_node("q.softmax", [(2, 3, size)], {**params, **extra}, (0,), -128, (16,))
    x = random_integers(rng, 16, 2, 2, 3, size)
    expected = [softmax(x[at].tolist(), params, kept[at[-1]].tolist()) for at in np.ndindex(2, 2, 3)]
    made = run_integer(graph, x)
    np.testing.assert_array_equal(made.reshape(-1, size), expected)
    np.testing.assert_array_equal(native_plan(graph).run(x), made)
    artifact = OnnxEmitter().emit(graph, HOST, tmp_path_factory.mktemp("onnx") / "out")
    np.testing.assert_array_equal(artifact.run(x), made)


@few
@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 35), seeds)
def test_a_product_of_16_bits_equals_the_loop(rows, inner, columns, seed) -> None:
    rng = np.random.default_rng(seed)
    ratios, bounds = random_ratios(rng, 1, 8, 24), (0, -32000, 32767)
    shapes = [(rows, inner), (inner, columns)]
    graph = one_node("q.matmul", shapes, ratios, (5, -9), 0, out_bits=16, lo=bounds[1], hi=bounds[2])
    a, b = (random_int8(rng, 1, *shape) for shape in shapes)
    expected = [
        [
            loops.finish(
                sum((int(p) - 5) * (int(q) + 9) for p, q in zip(row, column, strict=True)),
                ratio_of(ratios)(0),
                bounds,
            )
            for column in b[0].T
        ]
        for row in a[0]
    ]
    np.testing.assert_array_equal(run_integer(graph, (a, b))[0], expected)
    np.testing.assert_array_equal(native_plan(graph).run((a, b))[0], expected)


@given(st.floats(-40, 0))
def test_the_polynomial_exponential_is_as_close_as_its_paper_says(x: float) -> None:
    assert abs(float(polynomial_exp(np.float64(x))) - math.exp(x)) < 0.00215  # 0.0021 in two digits


@pytest.mark.parametrize("scale", [2.0**-8, 2.0**-11])
def test_wide_scores_follow_the_real_softmax(scale: float) -> None:
    rng = np.random.default_rng(0)
    params = {"table": POWERS, **requantization(scale * 256 / math.log(2))}
    graph = one_node("q.softmax", [(50, 12)], params, (0,), -128, (16,))
    x = rng.normal(0, 3, (1, 50, 12))
    q = Grid(scale, 0, 16).quantize(x).astype(np.int16)
    e = np.exp(x - x.max(axis=-1, keepdims=True))
    found = (run_integer(graph, q).astype(np.float64) + 128) / 256
    assert np.abs(found - e / e.sum(axis=-1, keepdims=True)).max() < 1.2 / 256
