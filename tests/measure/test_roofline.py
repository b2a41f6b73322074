"""The roofline of layers: operations and bytes counted by hand, bounds that follow from them."""

from __future__ import annotations

import numpy as np
import pytest

from smidgen.formats import Binary
from smidgen.lower.schedule import schedule
from smidgen.measure.ceilings import Ceilings
from smidgen.measure.roofline import COMPUTE, LayerTime, layer_times, touched_bytes
from smidgen.run.isa import chosen_isa
from smidgen.run.native import NativePlan, native_plan
from smidgen.run.plan_code import load, serialize
from tests.conftest import require
from tests.kernels.one_node import HI, LO, one_node, random_int8, random_ratios
from tests.kernels.test_bits import signs_to
from tests.recurrent import integers_of_recurrent, recurrent_network

OUT, IN = 20, 30


def linear():
    rng = np.random.default_rng(0)
    params = {
        "weight": random_int8(rng, OUT, IN),
        "bias": np.zeros(OUT, np.int32),
        **random_ratios(rng, OUT),
    }
    return native_plan(one_node("q.linear", [(IN,)], params, (3,), lo=LO, hi=HI))


def ceilings(operations: float, l1: float, l2: float, l1_bytes: int = 100) -> Ceilings:
    caches = {"L1": l1_bytes, "L2": 10_000}
    return Ceilings("ref", {"dot": operations}, {"L1": l1, "L2": l2, "DRAM": 1.0}, caches)


def layer(*numbers: float) -> LayerTime:
    (found,) = layer_times(linear(), ceilings(*numbers), repeats=3)  # type: ignore[arg-type]
    return found


def test_operations_and_bytes_are_counted() -> None:
    found = layer(1e9, 1e9, 1e9)
    assert found.operations == 2 * OUT * IN
    assert found.constant_bytes == OUT * IN + 4 * OUT + 2 * OUT + OUT  # weight, bias, multiplier, shift
    assert found.moved_bytes == IN + OUT
    assert found.kernels == tuple(linear().chosen)


@pytest.mark.parametrize(("how", "share"), [("4 bits", 1), ("2 bits", 1), ("blocks", 0.1)])
def test_packed_weights_count_as_they_are_read(how: str, share: float) -> None:
    isa = "avx512" if chosen_isa() == "amx" else chosen_isa()  # whose vectors it has
    require(isa != "ref", "a vector unit")
    rng, size = np.random.default_rng(0), 640
    bits = {"4 bits": 4, "2 bits": 2}.get(how, 8)
    weight = rng.integers(-(1 << (bits - 1)), 1 << (bits - 1), (size, size)).astype(np.int8)
    weight *= (np.arange(size) % round(1 / share) == 0).astype(np.int8)
    params = {"weight": weight, "bias": np.zeros(size, np.int32), **random_ratios(rng, size)}
    graph = one_node("q.linear", [(size,)], params, (3,), lo=LO, hi=HI)
    plan = NativePlan(graph, native_plan(graph).program, [f"{isa} {how}"])
    (found,) = layer_times(plan, ceilings(1e9, 1e9, 1e9), repeats=3)
    assert found.kernels == (f"{isa} {how}",)
    least = size * size * share * bits / 8
    assert least < found.constant_bytes < 3 * least  # AVX2 multiplies 16 bits; and there are bias and scales
    assert found.operations == 2 * size * size * share


def test_slow_arithmetic_is_a_compute_bound() -> None:
    found = layer(1e6, 1e15, 1e15)
    assert found.bound == COMPUTE
    assert found.fraction == pytest.approx(found.operations / 1e6 / found.seconds)


def test_a_layer_is_held_to_the_arithmetic_that_it_computes_with() -> None:
    """Bits, tiles or products, whatever else the processor could do."""
    rng = np.random.default_rng(0)
    weight = Binary.fit(rng.normal(size=(64, 3, 3, 64)).astype(np.float32))
    params = {"weight": weight, "bias": np.zeros(64, np.int32), **random_ratios(rng, 1)}
    window = {"stride": (1, 1), "padding": ((1, 1), (1, 1)), "dilation": (1, 1), "groups": 1}
    graph = signs_to((16, 16, 64), "q.binary_conv", params, False, **window, lo=LO, hi=HI)
    program = schedule(graph)
    rates = {"dot": 1e30, "popcount": 2e6, "tiles": 3e6}
    slow = Ceilings("ref", rates, {"L1": 1e15, "DRAM": 1e15}, {"L1": 1})
    pairs = load(program.name, *serialize(program)).candidates(chosen_isa())[1]
    for name, _ in pairs:
        rows = layer_times(NativePlan(graph, program, ["", name]), slow, repeats=1)
        (found,) = (row for row in rows if row.node == "n")
        least = found.operations / rates["tiles" if "amx" in name else "popcount"]
        assert found.fraction == pytest.approx(least / found.seconds), name


def test_slow_memory_for_weights_is_their_level() -> None:
    found = layer(1e15, 1e15, 1e6)  # all that a sample touches is beyond L1, inputs and outputs are not
    assert found.bound == "L2"
    assert found.fraction == pytest.approx(found.constant_bytes / 1e6 / found.seconds, rel=1e-3)


def test_weights_that_fit_are_read_from_the_first_level() -> None:
    assert layer(1e15, 1e6, 1.0, 10_000).bound == "L1"  # type: ignore[arg-type]


def test_a_loop_reads_its_weights_in_every_turn() -> None:
    plan = native_plan(integers_of_recurrent(recurrent_network("lstm")))
    rows = {row.node: row for row in layer_times(plan, ceilings(1e9, 1e9, 1e9), repeats=3)}
    stored = sum(c.array.nbytes for c in plan.program.constants)
    assert rows["layer"].constant_bytes > stored
    assert rows["layer"].operations > 0
    assert touched_bytes(plan.program) > stored


def test_times_of_layers_are_times_of_the_plan() -> None:
    """Within a factor that only a busy machine needs."""
    plan = linear()
    (row,) = layer_times(plan, ceilings(1e9, 1e9, 1e9), repeats=50)
    assert 1e-9 < row.seconds < 1e-2
