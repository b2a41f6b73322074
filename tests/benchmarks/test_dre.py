"""Schedules of a recurrence: equal outputs, the accesses they say, and the traffic of a plan's calls."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.cache import LINE_BYTES, Cache
from benchmarks.dre import LSTM, SMALL, expected_bytes, program_accesses, schedules
from benchmarks.recurrence import Lstm, accesses, batched_input, gate_by_gate, run, serpentine
from smidgen.lower.schedule import schedule
from smidgen.run.loops import with_joined_products
from tests.recurrent import integers_of_recurrent, recurrent_network

HUGE = Cache(1 << 22, 16)


@settings(max_examples=15)
@given(st.integers(1, 7), st.integers(1, 20), st.integers(1, 20), st.integers(0, 99))
def test_every_schedule_gives_the_same_outputs(steps: int, inputs: int, hidden: int, seed: int) -> None:
    lstm = Lstm(steps, inputs, hidden)
    expected = run(lstm, gate_by_gate(lstm), seed)
    for one in schedules(lstm, SMALL):
        np.testing.assert_array_equal(run(lstm, one.events(lstm), seed), expected)


def test_a_schedule_that_batches_the_recurrent_product_over_time_is_found_out() -> None:
    lstm = Lstm(4, 6, 5)
    events = list(gate_by_gate(lstm))
    early = [event for event in events if event[0] != "cell"] + [
        event for event in events if event[0] == "cell"
    ]
    assert not np.array_equal(run(lstm, iter(early)), run(lstm, gate_by_gate(lstm)))


def test_batching_the_input_saves_its_weights_and_serpentine_rows_a_cache_a_step() -> None:
    together, plain = LSTM.steps, SMALL.traffic(accesses(LSTM, gate_by_gate(LSTM), 1))
    batched = SMALL.traffic(accesses(LSTM, batched_input(LSTM, together), together))
    turning = SMALL.traffic(accesses(LSTM, batched_input(LSTM, together, serpentine), together))
    assert plain.reuse_percent < batched.reuse_percent < turning.reuse_percent
    assert batched.nbytes == pytest.approx(expected_bytes(LSTM, together), rel=0.1)
    saved = (batched.nbytes - turning.nbytes) / (LSTM.steps - 1)
    assert saved == pytest.approx(SMALL.nbytes, rel=0.1)


@pytest.mark.parametrize("samples", [1, 3])
def test_a_plan_touches_all_its_memory_and_nothing_else(samples: int) -> None:
    program = with_joined_products(schedule(integers_of_recurrent(recurrent_network("lstm"))))
    found = HUGE.traffic(program_accesses(program, samples))
    ports = sum(port.nbytes for port in (*program.inputs, *program.outputs))
    constants = [constant.array.nbytes for constant in program.constants]
    most = sum(-(-n // LINE_BYTES) for n in (*constants, *[program.arena_bytes] * samples)) + samples * ports
    assert sum(constants) < found.working_set_bytes <= most * LINE_BYTES
    assert found.read_bytes == found.working_set_bytes
