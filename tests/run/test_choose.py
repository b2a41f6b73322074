"""Kernels chosen by timing: any choice computes the same, and what was measured is kept and may be lost."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.errors import BadInput
from smidgen.kernels import native
from smidgen.run import choose
from smidgen.run.choose import kernel_times, quickest
from smidgen.run.isa import VARIABLE as ISA
from smidgen.run.isa import chosen_isa
from smidgen.run.kernel_cache import read_times, times_file
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.plan_code import load, serialize
from smidgen.run.reference import run_integer
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_ratios
from tests.networks import small_cnn
from tests.run.test_native import lowered

SEVERAL = len(native().supported_isas()) > 1


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Choosing is on, its file in a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv(choose.VARIABLE, "on")
    monkeypatch.setattr(choose, "BUDGET_S", 0.0)
    return times_file()


@pytest.fixture(scope="module")
def plan() -> NativePlan:
    return native_plan(lowered(small_cnn()))


@settings(max_examples=60)
@given(
    st.integers(0, 2**32 - 1),
    st.integers(1, 40),
    st.integers(1, 40),
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 5),
    st.sampled_from([-128, -1, 0, 127]),
)
def test_every_candidate_computes_the_same_bytes(seed, per_in, out, height, width, kernel, zero) -> None:
    rng = np.random.default_rng(seed)
    weight = random_int8(rng, out, kernel, 2, per_in)
    bias = rng.integers(-(2**24), 2**24, out).astype(np.int32)
    stride, dilation, before, after = (int(v) for v in rng.integers(1, 3, 4))
    shape = (height + kernel * dilation, width + 4, per_in)
    attrs = {
        "stride": (stride, 1),
        "padding": ((before, after), (after, 0)),
        "dilation": (dilation, 2 - stride % 2),
    }
    params = {"weight": weight, "bias": bias, **random_ratios(rng, out, 16, 47)}
    graph = one_node("q.conv", [shape], params, (zero,), groups=1, lo=LO, hi=HI, **attrs)
    usual, x = native_plan(graph), random_int8(rng, 2, *shape)
    code = serialize(usual.program)
    (candidates,) = load("conv", *code).candidates(chosen_isa())
    names = [name for name, _ in candidates]
    assert names[0] == "ref"
    for name in names:
        other = NativePlan(graph, usual.program, [name])
        assert other.chosen == [name]
        np.testing.assert_array_equal(other.run(x), usual.run(x))


def test_a_chosen_plan_equals_the_reference(cache: Path) -> None:
    graph = lowered(small_cnn())
    x = random_int8(np.random.default_rng(0), 3, 8, 8, 1)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


def test_the_fastest_known_kernel_is_taken(cache: Path, plan: NativePlan) -> None:
    assert SEVERAL
    kernel_times(plan.program)
    rigged = {
        key: {name: 1.0 + (name != min(times)) for name in times} for key, times in read_times().items()
    }
    cache.write_text(json.dumps(rigged))
    expected = [min(times) if times else "ref" for times in kernel_times(plan.program)]
    assert native_plan(plan.graph).chosen == expected
    assert "avx2" in expected


def test_nothing_is_measured_twice(cache: Path, plan: NativePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    first = kernel_times(plan.program)
    monkeypatch.setattr(choose, "_measured", None)
    assert kernel_times(plan.program) == first
    assert any(first)


@pytest.mark.parametrize(
    "content", ["", "{", "[1]", '{"a": 1}', '{"a": {"ref": "fast"}}', "\xff", "[" * 100_000]
)
def test_a_damaged_file_is_measured_anew(cache: Path, plan: NativePlan, content: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    assert any(kernel_times(plan.program))
    assert set(json.loads(cache.read_text())) == set(read_times()) != set()


def test_a_folder_that_can_not_be_written_is_no_error(plan: NativePlan, cache: Path) -> None:
    cache.parent.write_text("in the way")
    assert any(kernel_times(plan.program))


def test_off_measures_and_writes_nothing(
    cache: Path, plan: NativePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(choose.VARIABLE, "off")
    assert not any(kernel_times(plan.program))
    assert not cache.exists()


def test_another_value_is_one_clear_error(plan: NativePlan, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(choose.VARIABLE, "fast")
    with pytest.raises(BadInput, match="SMIDGEN_CHOOSE: 'fast', but it is on or off"):
        kernel_times(plan.program)


def test_a_forced_instruction_set_is_not_left(
    cache: Path, plan: NativePlan, monkeypatch: pytest.MonkeyPatch
) -> None:
    isa = [name for name in native().supported_isas() if name != "amx"][-1]  # AMX has few kernels of its own
    monkeypatch.setenv(ISA, isa)
    assert {name.split()[0] for times in kernel_times(plan.program) for name in times} <= {isa}


@pytest.mark.parametrize(
    ("times", "choice"),
    [
        ({}, ""),
        ({"avx2": 1.0, "avx512": 2.0}, "avx2"),
        ({"avx2": 1.96, "avx512": 2.0}, "avx512"),  # not worth it
        ({"ref": 3.0, "avx512": 2.0}, "avx512"),
    ],
)
def test_the_usual_kernel_stays_unless_another_is_clearly_faster(
    times: dict[str, float], choice: str
) -> None:
    assert quickest(times) == choice


def test_sizes_decide_and_numbers_do_not(plan: NativePlan) -> None:
    keys = [choose._key(call, {}) for call in plan.program.calls]
    assert "in_h=8" in keys[0]
    assert not any("zero" in key or "lo=" in key for key in keys)
