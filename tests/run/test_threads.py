"""Threads of a native plan: the same bytes for any number of them, from any caller, after a fork too."""

from __future__ import annotations

import os
import subprocess
import threading

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smidgen.emit.c_golden import random_inputs
from smidgen.errors import BadInput
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from smidgen.run.threads import VARIABLE, chosen_threads
from tests.conftest import PYTHON
from tests.recurrent import integers_of_recurrent, recurrent_network

GRAPH = integers_of_recurrent(recurrent_network("gru_after"))
(X,) = random_inputs(GRAPH, 70)
EXPECTED = run_integer(GRAPH, X)


@settings(max_examples=30, deadline=None)
@given(st.integers(1, 9), st.integers(0, 70))
def test_outputs_do_not_depend_on_the_number_of_threads(threads: int, samples: int) -> None:
    plan = native_plan(GRAPH, threads)
    for _ in range(2):  # a second run finds threads and memory of the first
        np.testing.assert_array_equal(plan.run(X[:samples]), EXPECTED[:samples])


def test_a_plan_with_threads_still_traces_single_samples() -> None:
    plan = native_plan(GRAPH, 3)
    plan.run(X)
    y, checksums = plan.run_traced(X[:2])
    np.testing.assert_array_equal(y, EXPECTED[:2])
    assert checksums == native_plan(GRAPH).run_traced(X[:2])[1]


def test_callers_on_several_threads_share_the_pool() -> None:
    plans = [native_plan(GRAPH, 2), native_plan(GRAPH, 4)]
    wrong: list[int] = []

    def call(i: int) -> None:
        wrong.append(sum(not np.array_equal(plans[i % 2].run(X), EXPECTED) for _ in range(50)))

    callers = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert wrong == [0] * 4


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own() -> None:
    """In a process without other threads, as a fork among those would be unsafe for Python itself."""
    code = (
        "import os, numpy as np\n"
        "from tests.run.test_threads import EXPECTED, GRAPH, X, native_plan\n"
        "plan = native_plan(GRAPH, 3)\n"
        "right = lambda: np.array_equal(plan.run(X), EXPECTED)\n"
        "assert right()\n"
        "child = os.fork()\n"
        "if child == 0:\n"
        "    os._exit(0 if right() and right() else 1)\n"
        "assert os.waitpid(child, 0)[1] == 0 and right()\n"
    )
    done = subprocess.run([*PYTHON, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr


def test_one_thread_unless_more_are_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert chosen_threads() == native_plan(GRAPH).threads == 1
    monkeypatch.setenv(VARIABLE, "3")
    assert chosen_threads() == native_plan(GRAPH).threads == 3
    assert chosen_threads(2) == 2


@pytest.mark.parametrize("told", ["0", "-1", "257", "two", "1.5", ""])
def test_a_variable_that_is_no_number_of_threads_is_refused(
    told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, told)
    with pytest.raises(BadInput, match="whole number from 1 to 256"):
        native_plan(GRAPH)


@pytest.mark.parametrize("asked", [0, -2, 257])
def test_an_impossible_number_of_threads_is_refused(asked: int) -> None:
    with pytest.raises(BadInput, match="threads"):
        native_plan(GRAPH, asked)
