"""Whole plans in the emulator: variants beside portable kernels, on one arena."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.models import gru
from smidgen.run.native import native_plan
from smidgen.run.reference import run_integer
from tests.integer_networks import integer_network, integers_of, random_integers

SETS = ("neon", "dotprod")


@pytest.mark.parametrize("name", ["sink", "binary", "very sparse"])
def test_a_network_equals_the_reference(isa: str, name: str) -> None:
    graph = integer_network(name)
    x = random_integers(graph, 3)
    plan = native_plan(graph)
    assert any(isa in kernel for kernel in plan.chosen)
    np.testing.assert_array_equal(plan.run(x), run_integer(graph, x))


def test_a_recurrence_equals_the_reference(isa: str) -> None:
    graph = integers_of(gru.build((6, 5), 3, 0.1))
    x = random_integers(graph, 3)
    np.testing.assert_array_equal(native_plan(graph).run(x), run_integer(graph, x))


def test_who_reads_beyond_an_array_is_stopped(isa: str) -> None:
    import unicorn

    from tests.kernels.neon.processor import Processor

    processor = Processor(isa)
    x, y = processor.place(bytes(100)), processor.place(bytes(100))
    args = processor.place(np.array([1, 101, 101, 101], np.int32).tobytes())
    with pytest.raises(unicorn.UcError, match="READ_UNMAPPED"):
        processor.call(processor.image.address("smg_copy"), args, x, y)
