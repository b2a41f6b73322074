"""Kernels touch nothing beside the arrays they are given, wherever those lie."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from smidgen.run.native import native_plan
from tests.conftest import PYTHON, require
from tests.kernels.one_node import one_node, random_int8, random_integers

ROOT = Path(__file__).parents[2]


def guarded(isa: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    require(sys.platform == "linux", "pages that can't be touched")
    return subprocess.run(
        [*PYTHON, "-m", "tests.kernels.guarded", *arguments],
        cwd=ROOT,
        env={**os.environ, "SMIDGEN_ISA": isa},
        capture_output=True,
        text=True,
        check=False,
    )


def test_no_kernel_reads_or_writes_beyond_its_arrays(isa: str) -> None:
    done = guarded(isa, "6")
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 6 * 20 * 2


def test_the_guard_kills_who_does() -> None:
    done = guarded("ref", "0", "sin")
    # Under AddressSanitizer the signal becomes a report and an exit code.
    assert done.returncode == -signal.SIGSEGV or "SEGV" in done.stderr


def wide_graph():
    return one_node(
        "q.requantize",
        [(3, 5)],
        {"multiplier": np.array([30000], np.uint16), "shift": np.array([15], np.uint8)},
        (0,),
        0,
        (16,),
        16,
        lo=-30000,
        hi=30000,
    )


def test_16_bit_values_at_odd_addresses_are_accepted(isa: str) -> None:
    x = random_integers(np.random.default_rng(0), 16, 2, 3, 5)
    odd = np.frombuffer(b"?" + x.tobytes(), np.uint8)[1:].view(np.int16).reshape(x.shape)
    assert not odd.flags.aligned
    plan = native_plan(wide_graph())
    np.testing.assert_array_equal(plan.run(odd), plan.run(x))


@pytest.mark.parametrize("view", [np.s_[:, ::-1], np.s_[::2], np.s_[:, :, 1:]])
def test_views_into_larger_arrays_are_accepted(isa: str, view) -> None:
    whole = random_int8(np.random.default_rng(0), 4, 6, 7)
    part = whole[view]
    assert not part.flags.c_contiguous
    plan = native_plan(one_node("q.transpose", [part.shape[1:]], {}, (-5,), perm=(1, 0)))
    np.testing.assert_array_equal(plan.run(part), part.transpose(0, 2, 1))


def test_the_module_itself_refuses_arrays_with_gaps(isa: str) -> None:
    plan = native_plan(one_node("q.transpose", [(2, 3)], {}, (-5,), perm=(1, 0)))
    x, y = np.zeros((1, 2, 6), np.int8)[:, :, ::2], np.zeros((1, 3, 2), np.int8)
    with pytest.raises((BufferError, ValueError), match="contiguous"):
        plan._plan.run([x], [y], 1, 1)


def test_the_module_itself_refuses_outputs_that_can_not_be_written(isa: str) -> None:
    plan = native_plan(one_node("q.transpose", [(2, 3)], {}, (-5,), perm=(1, 0)))
    x, y = np.zeros((1, 2, 3), np.int8), np.zeros((1, 3, 2), np.int8)
    y.flags.writeable = False
    with pytest.raises((BufferError, ValueError), match=r"(?i)read-?only|writ"):
        plan._plan.run([x], [y], 1, 1)
