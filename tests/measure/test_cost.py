"""The cost of a million predictions."""

from __future__ import annotations

import pytest

from smidgen.measure.cost import cost_per_million
from smidgen.measurement import Measurement
from smidgen.targets import load_target

HOST = load_target("x86-64").model_copy(update={"price_usd_per_hour": 0.36})
RATE = Measurement("throughput", 200.0, "1/s", "measured")
LATENCY = Measurement("latency_ms", 20.0, "ms", "modelled")


def test_a_million_predictions_cost_the_hours_that_they_take() -> None:
    hours = 1_000_000 / 200 / 3600
    assert [(m.name, m.value, m.unit) for m in cost_per_million([RATE], HOST)] == [
        ("cost_per_million_usd", pytest.approx(0.36 * hours), "USD")
    ]


def test_the_throughput_counts_before_the_latency() -> None:
    assert cost_per_million([LATENCY, RATE], HOST) == cost_per_million([RATE], HOST)


def test_a_cost_is_as_measured_as_the_time_it_is_made_from() -> None:
    assert cost_per_million([RATE], HOST)[0].how == "measured"
    modelled = cost_per_million([LATENCY], HOST)[0]
    assert (modelled.how, modelled.value) == ("modelled", pytest.approx(0.36 * 1e6 / 50 / 3600))


def test_without_a_price_or_a_time_there_is_no_cost() -> None:
    assert cost_per_million([RATE], load_target("cortex-m4")) == []
    assert cost_per_million([], HOST) == []


def test_the_default_price_says_that_it_is_an_example() -> None:
    target = load_target("x86-64")
    assert target.price_usd_per_hour is not None
    assert "example" in target.source
