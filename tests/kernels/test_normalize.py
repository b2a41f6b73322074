"""Normalization by mean and variance, against Python's integers and against real numbers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.emit.onnx import OnnxEmitter
from smidgen.errors import Unsupported
from smidgen.graph import Graph
from smidgen.lower.nonlinear import normalize_ranges
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.targets.target import Target
from tests.kernels.one_node import HI, LO, OUT_ZERO, one_node, random_integers

HOST = Target(name="host", kind="host")
few = settings(max_examples=40)
seeds = st.integers(0, 2**32 - 1)
widths = st.sampled_from([8, 16])


@st.composite
def cases(draw):
    """(shape, axes) with axes that leave at most two runs to reduce."""
    shape = tuple(draw(st.lists(st.integers(1, 5), min_size=1, max_size=4)))
    axes = draw(st.sets(st.integers(0, len(shape) - 1), min_size=1))
    return shape, tuple(sorted(axes))


def group(x: list[int], attrs: dict[str, int], multiplier: list[int], bias: list[int]) -> list[int]:
    """One group, as docs/NUMERICS.md says, in unbounded integers; `x` without its zero point."""
    n, total = len(x), sum(x) * attrs["centered"]
    v = n * sum(d * d for d in x) - total * total
    root = math.isqrt(v * 4 ** attrs["root_shift"] + attrs["epsilon"] * 2 ** attrs["epsilon_shift"])
    inverse = 2 ** (attrs["root_shift"] + 43) // root
    made, s = [], attrs["shift"]
    for d, m, b in zip(x, multiplier, bias, strict=True):
        z = ((n * d - total) * inverse + 2**26) // 2**27
        y = (z * m + b * 2 ** (s - 8) + 2 ** (s - 1)) // 2**s + OUT_ZERO
        made.append(min(max(y, LO), HI))
    return made


def attributes(rng: np.random.Generator, bits: int, count: int) -> dict[str, int]:
    """Legal ones, their ends included."""
    drawn = normalize_ranges(f"int{bits}", count).items()
    chosen = {name: int(rng.choice([lo, hi, rng.integers(lo, hi + 1)])) for name, (lo, hi) in drawn}
    return {**chosen, "centered": int(rng.integers(0, 2))}


def node(shape, axes, params, attrs, zero: int, bits: int) -> Graph:
    return one_node("q.normalize", [shape], params, (zero,), bits=(bits,), axes=axes, lo=LO, hi=HI, **attrs)


def expected(x: np.ndarray, axes, attrs, params, zero: int) -> np.ndarray:
    """One sample [*shape], group by group."""
    channel = np.broadcast_to(np.arange(x.shape[-1]), x.shape)
    y = np.zeros(x.shape, np.int64)
    kept = [1 if axis in axes else size for axis, size in enumerate(x.shape)]
    for at in np.ndindex(*kept):
        where = tuple(slice(None) if axis in axes else slice(i, i + 1) for axis, i in enumerate(at))
        of = {role: np.broadcast_to(p, x.shape[-1:])[channel[where]].ravel() for role, p in params.items()}
        of = {role: [int(v) for v in p] for role, p in of.items()}
        values = [int(v) - zero for v in x[where].ravel()]
        y[where] = np.reshape(group(values, attrs, of["multiplier"], of["bias"]), y[where].shape)
    return y


@few
@given(cases(), widths, st.booleans(), st.booleans(), seeds)
def test_normalization_equals_unbounded_integers(case, bits, per_channel, alike, seed) -> None:
    (shape, axes), rng = case, np.random.default_rng(seed)
    count, channels = math.prod(shape[axis] for axis in axes), shape[-1] if per_channel else 1
    attrs, zero = attributes(rng, bits, count), int(rng.integers(-128, 128))
    params = {
        "multiplier": rng.integers(-65536, 65537, channels).astype(np.int32),
        "bias": rng.integers(-(2**20), 2**20, channels).astype(np.int32),
    }
    graph = node(shape, axes, params, attrs, zero, bits)
    x = random_integers(rng, bits, 2, *shape)
    x = np.full_like(x, x.flat[0]) if alike else x  # no variance at all
    made = run_integer(graph, x)
    np.testing.assert_array_equal(made, [expected(one, axes, attrs, params, zero) for one in x])
    np.testing.assert_array_equal(native_plan(graph).run(x), made)


@pytest.mark.parametrize(("bits", "count"), [(8, 65536), (16, 8192)])
@pytest.mark.parametrize("centered", [0, 1])
def test_the_largest_group_is_exact(bits: int, count: int, centered: int) -> None:
    """Values at both ends of their range, as far from the zero point as can be."""
    attrs = {name: hi for name, (_, hi) in normalize_ranges(f"int{bits}", count).items()}
    attrs |= {"epsilon": 1, "epsilon_shift": 0, "centered": centered, "shift": 16}
    half = 1 << (bits - 1)
    params = {"multiplier": np.array([65536], np.int32), "bias": np.array([0], np.int32)}
    graph = node((count,), (0,), params, attrs, half - 1, bits)
    x = np.full((1, count), -half, f"int{bits}")
    x[0, ::3] = half - 1
    made = native_plan(graph).run(x)
    np.testing.assert_array_equal(made, run_integer(graph, x))
    values = [int(v) - (half - 1) for v in x[0]]
    np.testing.assert_array_equal(made[0], group(values, attrs, [65536] * count, [0] * count))


def test_larger_groups_are_refused() -> None:
    attrs = {"root_shift": 0, "epsilon": 1, "epsilon_shift": 0, "shift": 16, "centered": 1}
    params = {"multiplier": np.array([1], np.int32), "bias": np.array([0], np.int32)}
    with pytest.raises(Unsupported, match="65537 values normalized together"):
        native_plan(node((65537,), (0,), params, attrs, 0, 8))


@pytest.mark.parametrize(
    ("name", "value"), [("root_shift", 20), ("epsilon", 0), ("epsilon_shift", 46), ("shift", 7)]
)
def test_attributes_beyond_64_bits_are_refused(name: str, value: int) -> None:
    attrs = {"root_shift": 9, "epsilon": 1, "epsilon_shift": 0, "shift": 16, "centered": 1, name: value}
    params = {"multiplier": np.array([1], np.int32), "bias": np.array([0], np.int32)}
    with pytest.raises(Unsupported, match=f"{name} is {value}"):
        native_plan(node((4,), (0,), params, attrs, 0, 8))


@settings(max_examples=15)
@given(cases(), widths, seeds)
def test_onnx_is_exact(tmp_path_factory, case, bits, seed) -> None:
    (shape, axes), rng = case, np.random.default_rng(seed)
    attrs = attributes(rng, bits, math.prod(shape[axis] for axis in axes))
    params = {
        "multiplier": rng.integers(-65536, 65537, shape[-1]).astype(np.int32),
        "bias": rng.integers(-(2**20), 2**20, shape[-1]).astype(np.int32),
    }
    graph = node(shape, axes, params, attrs, 3, bits)
    x = random_integers(rng, bits, 3, *shape)
    artifact = OnnxEmitter().emit(graph, HOST, tmp_path_factory.mktemp("onnx") / "out")
    np.testing.assert_array_equal(artifact.run(x), run_integer(graph, x))


@few
@given(st.lists(st.integers(-128, 127), min_size=2, max_size=48), st.integers(-128, 127))
def test_the_normalized_value_is_within_an_eighth_of_a_thousandth(x, zero) -> None:
    """Of the exact one, (x - mean) / sqrt(variance + epsilon), before it is rounded to the output's grid."""
    attrs = {
        "root_shift": normalize_ranges("int8", len(x))["root_shift"][1],
        "epsilon": 40,
        "epsilon_shift": 9,
    }
    n, d = len(x), [v - zero for v in x]
    total = sum(d)
    v = n * sum(i * i for i in d) - total * total
    under = Fraction(v) + Fraction(attrs["epsilon"] << attrs["epsilon_shift"], 4 ** attrs["root_shift"])
    root = math.isqrt(v * 4 ** attrs["root_shift"] + (attrs["epsilon"] << attrs["epsilon_shift"]))
    for i in d:
        z = ((n * i - total) * (2 ** (attrs["root_shift"] + 43) // root) + 2**26) // 2**27
        assert abs(z / 2**16 - (n * i - total) / math.sqrt(under)) < 2**-13


@pytest.mark.parametrize(("role", "value"), [("multiplier", -65537), ("bias", 1 << 24)])
def test_factors_and_terms_beyond_53_bits_are_refused(role: str, value: int) -> None:
    attrs = {"root_shift": 9, "epsilon": 1, "epsilon_shift": 0, "shift": 16, "centered": 1}
    params = {"multiplier": np.array([1], np.int32), "bias": np.array([0], np.int32)}
    with pytest.raises(Unsupported, match=f"{role} reaches {abs(value)}"):
        native_plan(node((4,), (0,), {**params, role: np.array([value], np.int32)}, attrs, 0, 8))
